//! The whole library on veth pairs, in network namespaces that each test makes itself.
//!
//! Needs root and a kernel with AF_XDP; without them each test prints `skipped:` and the reason. Every test ends with the
//! proof that no frame was lost. Namespaces, programs and processes are gone after each test, also when it fails.

#![cfg(target_os = "linux")]

#[path = "veth/balancer.rs"]
mod balancer;
#[path = "veth/cards.rs"]
mod cards;
#[path = "veth/echo.rs"]
mod echo;
#[path = "veth/examples.rs"]
mod examples;
#[path = "veth/firewall.rs"]
mod firewall;
#[path = "veth/fork.rs"]
mod fork;
#[path = "common/fork.rs"]
mod forked;
#[path = "common/group.rs"]
mod group;
#[path = "veth/halves.rs"]
mod halves;
#[path = "veth/interface.rs"]
mod interface;
#[path = "veth/lifetime.rs"]
mod lifetime;
#[path = "veth/net.rs"]
mod net;
#[path = "veth/notes.rs"]
mod notes;
#[path = "veth/ping.rs"]
mod ping;
#[path = "veth/process.rs"]
mod process;
#[path = "veth/queues.rs"]
mod queues;
#[path = "veth/refusals.rs"]
mod refusals;
#[path = "veth/rights.rs"]
mod rights;
#[path = "veth/rings.rs"]
mod rings;
#[path = "veth/group.rs"]
mod shared;
#[path = "veth/stacks.rs"]
mod stacks;
#[path = "veth/steering.rs"]
mod steering;
#[path = "common/strange.rs"]
mod strange;
#[path = "veth/tags.rs"]
mod tags;
#[path = "veth/traffic.rs"]
mod traffic;
#[path = "veth/waits.rs"]
mod waits;
#[path = "veth/wishes.rs"]
mod wishes;
