//! What may differ between the worlds, and why. All else has to be the same: each counter, each delivered byte.

use std::collections::BTreeSet;

use super::harness::{Face, Ran, Scenario, Where, run};
use super::scene::Outcome;

/// One way in which veth pairs and a simulated network differ, in what a scenario tells.
struct Difference {
    /// The scenario; `*` is any.
    scenario: &'static str,
    /// How what is told ends.
    what: &'static str,
    occurs: Occurs,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occurs {
    /// Each time: it is an error if it does not.
    Always,
    /// Chance decides.
    Perhaps,
}

const DIFFERENCES: &[Difference] = &[Difference {
    scenario: "*",
    what: " tx_ring_empty_descs",
    occurs: Occurs::Perhaps,
    reason: "It counts the looks at an empty TX ring, and each wait is a look: how often a program waits depends on how fast packets \
             come.",
}];

fn listed(scenario: Scenario, what: &str) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |difference| {
        (difference.scenario == "*" || difference.scenario == scenario.name)
            && what.ends_with(difference.what)
    })
}

/// A test: a scenario tells the same in all worlds, but for the differences that are listed.
pub(crate) fn compare(scenario: Scenario, worlds: &[(Face, Where)]) {
    let mut skipped = BTreeSet::new();
    let mut told = |face, place| match run(scenario, face, place) {
        Ran::Told(outcome) => Some(outcome),
        Ran::Skipped(reason) => {
            skipped.insert(reason);
            None
        }
        Ran::Failed(text) => panic!("{face:?} over {place:?}: {text}"),
    };
    let Some(reference) = told(Face::Rust, Where::Stepped) else {
        return;
    };
    let mut faults = Vec::new();
    for &(face, place) in worlds {
        let Some(outcome) = told(face, place) else {
            continue;
        };
        let mut seen = BTreeSet::new();
        for (what, simulated, real) in unequal(&reference, &outcome) {
            let before = seen.len();
            seen.extend(
                listed(scenario, &what)
                    .filter(|known| place == Where::Veth || known.occurs == Occurs::Perhaps)
                    .map(|known| (known.what, what.clone())),
            );
            if seen.len() == before {
                faults.push(format!(
                    "{what}: {simulated:?} in Rust over the simulator, {real:?} with {face:?} over {place:?}"
                ));
            }
        }
        let missing = DIFFERENCES.iter().filter(|known| {
            known.scenario == scenario.name
                && known.occurs == Occurs::Always
                && place == Where::Veth
                && !seen.iter().any(|(what, _)| *what == known.what)
        });
        faults.extend(missing.map(|known| {
            format!(
                "{}: no difference any more, with {face:?} over {place:?}; take it off the list ({})",
                known.what, known.reason
            )
        }));
    }
    for reason in skipped {
        println!("skipped: not compared everywhere: {reason}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What two outcomes tell differently.
fn unequal(one: &Outcome, other: &Outcome) -> Vec<(String, Option<u64>, Option<u64>)> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| {
            (
                name.clone(),
                one.get(name).copied(),
                other.get(name).copied(),
            )
        })
        .collect()
}

#[test]
fn each_listed_difference_names_a_scenario_and_a_reason() {
    for difference in DIFFERENCES {
        let known = |scenario: &Scenario| scenario.name == difference.scenario;
        assert!(
            difference.scenario == "*" || super::ALL.iter().any(known),
            "no scenario {}",
            difference.scenario
        );
        assert!(difference.reason.ends_with('.') && !difference.what.is_empty());
        // What is true of all scenarios cannot be certain in each.
        assert!(difference.scenario != "*" || difference.occurs == Occurs::Perhaps);
    }
}
