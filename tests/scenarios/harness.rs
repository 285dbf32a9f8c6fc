//! Runs a scenario in a world, once a process, for all tests that want its outcome.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::place::SimPlace;
use super::rust::RustWorld;
use super::scene::{Outcome, Scene, Skip};
use super::world::World;

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&mut Scene<'_>) -> Result<(), Skip>,
}

/// Where the links are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Where {
    /// A simulated network whose thread runs.
    Sim,
    /// A simulated network that moves when somebody waits.
    Stepped,
    /// Veth pairs in a network namespace.
    Veth,
}

/// Through which face of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Face {
    Rust,
}

/// What became of a scenario.
#[derive(Clone)]
pub(crate) enum Ran {
    Told(Outcome),
    Skipped(String),
    Failed(String),
}

type Runs = BTreeMap<(&'static str, Face, Where), Arc<OnceLock<Ran>>>;

/// Runs a scenario, unless it has run in this process already.
pub(crate) fn run(scenario: Scenario, face: Face, place: Where) -> Ran {
    static RUNS: Mutex<Runs> = Mutex::new(Runs::new());
    let cell = {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(runs.entry((scenario.name, face, place)).or_default())
    };
    cell.get_or_init(|| {
        let start = Instant::now();
        let ran = catch_unwind(|| run_anew(scenario, face, place));
        println!(
            "{}, {face:?} over {place:?}: {:?}",
            scenario.name,
            start.elapsed()
        );
        ran.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Ran::Failed(text.unwrap_or_else(|| "it panicked".to_owned()))
        })
    })
    .clone()
}

fn run_anew(scenario: Scenario, face: Face, place: Where) -> Ran {
    match place {
        Where::Sim => play(scenario, &mut *world(face, SimPlace::running())),
        Where::Stepped => play(scenario, &mut *world(face, SimPlace::stepped())),
        #[cfg(target_os = "linux")]
        Where::Veth => crate::net::in_empty_namespace(move || {
            play(
                scenario,
                &mut *world(face, super::place::VethPlace::default()),
            )
        })
        .unwrap_or_else(Ran::Skipped),
        #[cfg(not(target_os = "linux"))]
        Where::Veth => Ran::Skipped("needs Linux".to_owned()),
    }
}

fn world(face: Face, place: impl super::place::Place + 'static) -> Box<dyn World> {
    match face {
        Face::Rust => Box::new(RustWorld {
            place: Box::new(place),
        }),
    }
}

fn play(scenario: Scenario, world: &mut dyn World) -> Ran {
    let mut scene = Scene::new(world);
    match (scenario.play)(&mut scene) {
        Ok(()) => Ran::Told(scene.end()),
        Err(Skip(reason)) => Ran::Skipped(reason),
    }
}

/// A test: the scenario in one world.
pub(crate) fn check(scenario: Scenario, face: Face, place: Where) {
    match run(scenario, face, place) {
        Ran::Told(_) => {}
        Ran::Skipped(reason) => println!("skipped: {reason}"),
        Ran::Failed(text) => panic!("{}, {face:?} over {place:?}: {text}", scenario.name),
    }
}
