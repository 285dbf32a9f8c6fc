//! Traffic, written once: each scenario runs over a simulated network and over veth pairs, through each mode and each face of the
//! library, and has to tell the same everywhere.
//!
//! Over veth it needs root and a kernel with AF_XDP; without them those tests print `skipped:` and the reason. Every scenario
//! ends with the proof that no frame was lost.

#[cfg(all(target_os = "linux", feature = "capi"))]
#[path = "scenarios/agent.rs"]
mod agent;
#[path = "scenarios/differences.rs"]
mod differences;
#[path = "scenarios/engine.rs"]
mod engine;
#[path = "scenarios/flow.rs"]
mod flow;
#[path = "scenarios/full.rs"]
mod full;
#[path = "scenarios/halves.rs"]
mod halves;
#[path = "scenarios/harness.rs"]
mod harness;
#[path = "scenarios/host.rs"]
mod host;
#[path = "scenarios/life.rs"]
mod life;
#[path = "scenarios/modes.rs"]
mod modes;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the tests of `veth` use the rest")]
#[path = "veth/net.rs"]
mod net;
#[path = "scenarios/place.rs"]
mod place;
#[path = "scenarios/rust.rs"]
mod rust;
#[path = "scenarios/scene.rs"]
mod scene;
#[path = "scenarios/selftests.rs"]
mod selftests;
#[path = "scenarios/traffic.rs"]
mod traffic;
#[path = "scenarios/world.rs"]
mod world;

/// A test of the scenario on each stage, and one that all told the same.
macro_rules! stages {
    ($($(#[$condition:meta])? $name:ident: $mode:expr, $face:expr, $place:expr;)*) => {
        $(
            $(#[$condition])?
            #[test]
            fn $name() {
                check(SCENARIO, Stage { mode: $mode, face: $face, place: $place });
            }
        )*

        #[test]
        fn tells_the_same_everywhere() {
            compare(SCENARIO, &[$(
                $(#[$condition])? Stage { mode: $mode, face: $face, place: $place }
            ),*]);
        }
    };
}

/// Each scenario, and its tests.
macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => {
        const ALL: &[harness::Scenario] = &[$($(harness::Scenario {
            name: stringify!($name),
            play: $module::$name,
        }),*),*];

        $($(mod $name {
            #[cfg(all(target_os = "linux", feature = "capi"))]
            use super::agent::Build::{C11, Cpp17, Sanitized};
            use super::differences::compare;
            use super::harness::{Face::*, Scenario, Stage, Where::*, check};
            use super::world::Mode::*;

            const SCENARIO: Scenario = Scenario {
                name: stringify!($name),
                play: super::$module::$name,
            };

            stages! {
                in_rust_over_the_simulator: Raw, Rust, Sim;
                in_rust_over_the_simulator_step_by_step: Raw, Rust, Stepped;
                in_rust_over_veth: Raw, Rust, Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_the_simulator: Raw, C(C11), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_the_simulator_step_by_step: Raw, C(C11), Stepped;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_veth: Raw, C(C11), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_over_the_simulator: Raw, C(Cpp17), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_over_veth: Raw, C(Cpp17), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_over_the_simulator: Raw, C(Sanitized), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_over_veth: Raw, C(Sanitized), Veth;
                in_rust_by_halves_over_the_simulator: Halves, Rust, Sim;
                in_rust_by_halves_over_the_simulator_step_by_step: Halves, Rust, Stepped;
                in_rust_by_halves_over_veth: Halves, Rust, Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_by_halves_over_the_simulator: Halves, C(C11), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_by_halves_over_veth: Halves, C(C11), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_by_halves_over_the_simulator: Halves, C(Cpp17), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_by_halves_over_the_simulator: Halves, C(Sanitized), Sim;
                in_rust_by_engine_over_the_simulator: Engine, Rust, Sim;
                in_rust_by_engine_over_the_simulator_step_by_step: Engine, Rust, Stepped;
                in_rust_by_engine_over_veth: Engine, Rust, Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_by_engine_over_the_simulator: Engine, C(C11), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_by_engine_over_veth: Engine, C(C11), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_by_engine_over_the_simulator: Engine, C(Cpp17), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_by_engine_over_the_simulator: Engine, C(Sanitized), Sim;
            }
        })*)*
    };
}

scenarios! {
    flow:
        echo
        echo_in_small_chunks
        echo_in_generic_mode
        echo_without_wakeup_flags
        echo_on_a_thread
        one_packet
        every_size
        bidirectional
        bursts_larger_than_the_rings
        smallest_rings
        largest_rings
        headers_grow_into_the_headroom
        many_links
        many_queues
        forwarded_between_links
        sockets_sharing_a_umem;
    full:
        slow_reader
        slow_writer
        waiting_to_receive
        waiting_to_send
        link_down
        echo_through_a_small_ring
        one_kick_sends_its_budget
        full_completion_ring
        all_frames_held_then_released
        packets_too_long_for_a_frame
        packets_too_long_for_the_link;
    host:
        packets_from_the_host
        packets_to_the_host
        a_closed_queue_is_the_hosts_again
        wrong_packets_never_reach_the_kernel
        sockets_that_cannot_be;
    life:
        both_ends_closed_and_opened
        teardown_in_every_order;
}

#[cfg(all(target_os = "linux", feature = "capi"))]
mod all_under_valgrind {
    use super::harness::{Where::*, watch};

    #[test]
    fn in_c11_over_the_simulator() {
        watch(super::ALL, Sim);
    }

    #[test]
    fn in_c11_over_veth() {
        watch(super::ALL, Veth);
    }
}
