//! The simulator: each rule of the kernel by name, the control interface, faults and traces.
//!
//! Needs no rights and no Linux.

#[path = "sim/capture.rs"]
mod capture;
#[path = "sim/control.rs"]
mod control;
#[cfg(target_os = "linux")]
#[path = "sim/descriptor.rs"]
mod descriptor;
#[path = "sim/engine.rs"]
mod engine;
#[path = "sim/engine_each.rs"]
mod engine_each;
#[path = "sim/faults.rs"]
mod faults;
#[cfg(target_os = "linux")]
#[path = "sim/fork.rs"]
mod fork;
#[cfg(target_os = "linux")]
#[path = "common/fork.rs"]
mod forked;
#[path = "common/group.rs"]
mod group;
#[path = "sim/grow.rs"]
mod grow;
#[path = "sim/halves.rs"]
mod halves;
#[path = "sim/kernel.rs"]
mod kernel;
#[path = "sim/queues.rs"]
mod queues;
#[path = "sim/release.rs"]
mod release;
#[path = "sim/group.rs"]
mod shared;
#[path = "sim/soak.rs"]
mod soak;
#[path = "common/strange.rs"]
mod strange;
#[path = "sim/threads.rs"]
mod threads;
#[path = "sim/tools.rs"]
mod tools;
#[path = "sim/waits.rs"]
mod waits;
