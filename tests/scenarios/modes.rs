//! Scenarios that a mode is not for, and why. Each other one runs through every mode.

use super::harness::{Face, Ran, Stage, Where, run, run_possible};
use super::world::Mode::{self, Engine, Halves};

/// A scenario that cannot be, in a mode.
struct Impossible {
    mode: Mode,
    places: &'static [Where],
    scenarios: &'static [&'static str],
    reason: &'static str,
}

const EVERYWHERE: &[Where] = &[Where::Stepped, Where::Sim, Where::Veth];

const IMPOSSIBLE: &[Impossible] = &[
    Impossible {
        mode: Engine,
        places: EVERYWHERE,
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
        places: EVERYWHERE,
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
        places: EVERYWHERE,
        scenarios: &[
            "largest_rings",
            "waiting_to_send",
            "one_kick_sends_its_budget",
        ],
        reason: "Packets wait in the TX ring until somebody calls the kernel. The sending half calls it by itself.",
    },
    Impossible {
        mode: Halves,
        places: &[Where::Sim, Where::Veth],
        scenarios: &["full_completion_ring"],
        reason: "The sending half takes frames back by itself, and where the network runs by itself too, it may leave the completion ring \
                 full or not.",
    },
];

/// Why a scenario cannot be in a mode, at a place.
pub(crate) fn impossible(scenario: &str, stage: Stage) -> Option<&'static str> {
    IMPOSSIBLE
        .iter()
        .find(|row| {
            row.mode == stage.mode
                && row.places.contains(&stage.place)
                && row.scenarios.contains(&scenario)
        })
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
        let stage = Stage {
            mode: row.mode,
            ..REFERENCE
        };
        if !row.places.contains(&stage.place) {
            continue;
        }
        for name in row.scenarios {
            let scenario = super::ALL.iter().find(|known| known.name == *name);
            let scenario = *scenario.expect(name);
            let Ran::Told(reference) = run(scenario, REFERENCE) else {
                panic!("{name} fails by Mode C");
            };
            // Only steps of the simulator go the same way each time. What is possible there has a test of its own.
            let possible = match run_possible(scenario, stage) {
                Ran::Told(outcome) => outcome == reference,
                Ran::Skipped(reason) => panic!("{name} was skipped: {reason}"),
                Ran::Failed(_) | Ran::Impossible(_) => false,
            };
            assert!(!possible, "{name} by {:?}: take it off the list", row.mode);
        }
    }
}
