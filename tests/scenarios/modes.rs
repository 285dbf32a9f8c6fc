//! Scenarios that a mode is not for, and why. Each other one runs through every mode.

use super::harness::{Face, Ran, Stage, Where, run, run_possible};
use super::world::Mode::{self, Engine, Halves};

/// A scenario that cannot be, in a mode.
struct Impossible {
    mode: Mode,
    scenarios: &'static [&'static str],
    reason: &'static str,
}

const IMPOSSIBLE: &[Impossible] = &[
    Impossible {
        mode: Engine,
        scenarios: &[
            "bidirectional",
            "bursts_larger_than_the_rings",
            "smallest_rings",
            "many_queues",
            "packets_to_the_host",
        ],
        reason: "The socket inside sends packets of its own. An engine sends what it receives.",
    },
    Impossible {
        mode: Engine,
        scenarios: &[
            "headers_grow_into_the_headroom",
            "sockets_sharing_a_umem",
            "all_frames_held_then_released",
            "teardown_in_every_order",
        ],
        reason: "The socket inside holds packets. An engine shows them for as long as its callback runs.",
    },
    Impossible {
        mode: Halves,
        scenarios: &[
            "largest_rings",
            "waiting_to_send",
            "one_kick_sends_its_budget",
            "full_completion_ring",
        ],
        reason: "Packets wait in the TX ring, or their frames in the completion ring. The sending half calls the kernel, and takes frames \
                 back, by itself.",
    },
];

/// Why a scenario cannot be in a mode.
pub(crate) fn impossible(scenario: &str, mode: Mode) -> Option<&'static str> {
    IMPOSSIBLE
        .iter()
        .find(|row| row.mode == mode && row.scenarios.contains(&scenario))
        .map(|row| row.reason)
}

/// By Mode C, with which all others are compared.
pub(crate) const REFERENCE: Stage = Stage {
    mode: Mode::Raw,
    face: Face::Rust,
    place: Where::Stepped,
};

#[test]
fn what_is_listed_as_impossible_fails_or_tells_something_else() {
    for row in IMPOSSIBLE {
        assert!(row.reason.ends_with('.'));
        for name in row.scenarios {
            let scenario = super::ALL.iter().find(|known| known.name == *name);
            let scenario = *scenario.expect(name);
            let Ran::Told(reference) = run(scenario, REFERENCE) else {
                panic!("{name} fails by Mode C");
            };
            // What a step of the simulator takes one after the other, the kernel may do at once.
            let possible = [Where::Stepped, Where::Veth].into_iter().all(|place| {
                let stage = Stage {
                    mode: row.mode,
                    place,
                    ..REFERENCE
                };
                match run_possible(scenario, stage) {
                    Ran::Told(outcome) => outcome == reference,
                    Ran::Skipped(reason) => {
                        println!("skipped: {name} by {:?}: {reason}", row.mode);
                        false
                    }
                    Ran::Failed(_) | Ran::Impossible(_) => false,
                }
            });
            assert!(!possible, "{name} by {:?}: take it off the list", row.mode);
        }
    }
}
