//! What may differ between the worlds, and why. All else has to be the same: each counter, each delivered byte.

use std::collections::BTreeSet;

use super::harness::{Ran, Scenario, Stage, Where, run};
use super::modes::REFERENCE;
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

/// A test: a scenario tells the same on all stages, but for the differences that are listed.
pub(crate) fn compare(scenario: Scenario, stages: &[Stage]) {
    let mut skipped = BTreeSet::new();
    let mut told = |stage| match run(scenario, stage) {
        Ran::Told(outcome) => Some(outcome),
        Ran::Skipped(reason) => {
            skipped.insert(reason);
            None
        }
        Ran::Impossible(_) => None,
        Ran::Failed(text) => panic!("{stage:?}: {text}"),
    };
    let Some(reference) = told(REFERENCE) else {
        return;
    };
    let mut faults = Vec::new();
    for &stage in stages {
        if let Some(outcome) = told(stage) {
            let simulated = stage.place != Where::Veth;
            let found = judge(DIFFERENCES, scenario.name, &reference, &outcome, simulated);
            faults.extend(found.iter().map(|fault| format!("{stage:?}: {fault}")));
        }
    }
    for reason in skipped {
        println!("skipped: not compared everywhere: {reason}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What two outcomes tell differently and should not, or the other way round. The first is that of Rust over the simulator; the
/// other may be simulated, too.
fn judge(
    list: &[Difference],
    scenario: &str,
    reference: &Outcome,
    outcome: &Outcome,
    simulated: bool,
) -> Vec<String> {
    let known: Vec<&Difference> = list
        .iter()
        .filter(|known| known.scenario == "*" || known.scenario == scenario)
        .filter(|known| !simulated || known.occurs == Occurs::Perhaps)
        .collect();
    let unequal = unequal(reference, outcome);
    let unlisted = unequal
        .iter()
        .filter(|(what, ..)| !known.iter().any(|known| what.ends_with(known.what)))
        .map(|(what, is, other)| format!("{what} is {other:?}, not {is:?}"));
    let missing = known
        .iter()
        .filter(|known| known.occurs == Occurs::Always)
        .filter(|known| !unequal.iter().any(|(what, ..)| what.ends_with(known.what)))
        .map(|known| format!("{} differs no more: take it off the list", known.what));
    unlisted.chain(missing).collect()
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

#[test]
fn a_difference_that_is_not_listed_is_a_fault_and_so_is_one_that_is_gone() {
    let difference = |scenario, occurs| {
        [Difference {
            scenario,
            what: " sent",
            occurs,
            reason: "Because.",
        }]
    };
    let outcome = |sent: u64| Outcome::from([("near sent".into(), sent), ("all".into(), 1)]);
    let faults = |list: &[Difference], sent, simulated| {
        judge(list, "echo", &outcome(7), &outcome(sent), simulated).len()
    };
    for simulated in [false, true] {
        assert_eq!(faults(&[], 7, simulated), 0);
        assert_eq!(faults(&[], 8, simulated), 1);
        let other = difference("pump", Occurs::Always);
        assert_eq!(
            (faults(&other, 7, simulated), faults(&other, 8, simulated)),
            (0, 1)
        );
        let perhaps = difference("*", Occurs::Perhaps);
        assert_eq!(
            (
                faults(&perhaps, 7, simulated),
                faults(&perhaps, 8, simulated)
            ),
            (0, 0)
        );
    }
    let always = difference("echo", Occurs::Always);
    assert_eq!(
        (faults(&always, 7, false), faults(&always, 8, false)),
        (1, 0)
    );
    // The simulator does not differ from itself, through whatever face.
    assert_eq!((faults(&always, 7, true), faults(&always, 8, true)), (0, 1));
    // What only one of them tells differs, too.
    assert_eq!(
        judge(&[], "echo", &outcome(7), &Outcome::new(), false).len(),
        2
    );
}
