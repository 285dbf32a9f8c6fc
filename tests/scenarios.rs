//! Traffic, written once: each scenario runs over a simulated network and over veth pairs, through each face of the library, and
//! has to tell the same everywhere.
//!
//! Over veth it needs root and a kernel with AF_XDP; without them those tests print `skipped:` and the reason. Every scenario
//! ends with the proof that no frame was lost.

#[cfg(all(target_os = "linux", feature = "capi"))]
#[path = "scenarios/agent.rs"]
mod agent;
#[path = "scenarios/differences.rs"]
mod differences;
#[path = "scenarios/flow.rs"]
mod flow;
#[path = "scenarios/full.rs"]
mod full;
#[path = "scenarios/harness.rs"]
mod harness;
#[path = "scenarios/host.rs"]
mod host;
#[path = "scenarios/life.rs"]
mod life;
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

/// A test of the scenario in each world, and one that all told the same.
macro_rules! worlds {
    ($($(#[$condition:meta])? $name:ident: $face:expr, $place:expr;)*) => {
        $(
            $(#[$condition])?
            #[test]
            fn $name() {
                check(SCENARIO, $face, $place);
            }
        )*

        #[test]
        fn tells_the_same_everywhere() {
            compare(SCENARIO, &[$($(#[$condition])? ($face, $place)),*]);
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
            use super::harness::{Face::*, Scenario, Where::*, check};

            const SCENARIO: Scenario = Scenario {
                name: stringify!($name),
                play: super::$module::$name,
            };

            worlds! {
                in_rust_over_the_simulator: Rust, Sim;
                in_rust_over_the_simulator_step_by_step: Rust, Stepped;
                in_rust_over_veth: Rust, Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_the_simulator: C(C11), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_the_simulator_step_by_step: C(C11), Stepped;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_over_veth: C(C11), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_over_the_simulator: C(Cpp17), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_cpp17_over_veth: C(Cpp17), Veth;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_over_the_simulator: C(Sanitized), Sim;
                #[cfg(all(target_os = "linux", feature = "capi"))]
                in_c11_with_sanitizers_over_veth: C(Sanitized), Veth;
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
        one_packet
        every_size
        bidirectional
        bursts_larger_than_the_rings
        smallest_rings
        largest_rings
        headers_grow_into_the_headroom
        many_links
        many_queues
        sockets_sharing_a_umem;
    full:
        slow_reader
        slow_writer
        waiting_to_receive
        waiting_to_send
        link_down
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
