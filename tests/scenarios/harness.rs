//! Runs a scenario in a world, once a process, for all tests that want its outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

#[cfg(all(target_os = "linux", feature = "capi"))]
use super::agent::{Agent, Build, CWorld};
use super::modes::impossible;
#[cfg(target_os = "linux")]
use super::place::VethPlace;
use super::place::{Place, SimPlace};
use super::rust::RustWorld;
use super::scene::{Outcome, Scene};
use super::world::{Mode, World};

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&mut Scene<'_>),
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
    /// The C face, by a program in C that is compiled and watched in this way.
    #[cfg(all(target_os = "linux", feature = "capi"))]
    C(Build),
}

/// Where a scenario plays, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stage {
    pub(crate) mode: Mode,
    pub(crate) face: Face,
    pub(crate) place: Where,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, face, place } = self;
        write!(f, "{mode:?} in {face:?} over {place:?}")
    }
}

/// What became of a scenario.
#[derive(Clone)]
pub(crate) enum Ran {
    Told(Outcome),
    /// What this machine cannot run.
    Skipped(String),
    /// What the mode is not for, and why.
    Impossible(&'static str),
    Failed(String),
}

type Runs = BTreeMap<(&'static str, Stage), Arc<OnceLock<Ran>>>;

/// Runs a scenario, unless it has run in this process already, or is none for the mode.
pub(crate) fn run(scenario: Scenario, stage: Stage) -> Ran {
    match impossible(scenario.name, stage) {
        Some(reason) => Ran::Impossible(reason),
        None => run_possible(scenario, stage),
    }
}

/// Runs a scenario, unless it has run in this process already.
pub(crate) fn run_possible(scenario: Scenario, stage: Stage) -> Ran {
    static RUNS: Mutex<Runs> = Mutex::new(Runs::new());
    let cell = {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(runs.entry((scenario.name, stage)).or_default())
    };
    cell.get_or_init(|| {
        let start = Instant::now();
        let ran = catch_unwind(|| run_anew(scenario, stage));
        println!("{}, {stage:?}: {:?}", scenario.name, start.elapsed());
        ran.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Ran::Failed(text.unwrap_or_else(|| "it panicked".to_owned()))
        })
    })
    .clone()
}

fn run_anew(scenario: Scenario, stage: Stage) -> Ran {
    match stage.place {
        #[cfg(target_os = "linux")]
        Where::Veth => crate::net::in_empty_namespace(move || anywhere(scenario, stage))
            .unwrap_or_else(Ran::Skipped),
        #[cfg(not(target_os = "linux"))]
        Where::Veth => Ran::Skipped("needs Linux".to_owned()),
        Where::Sim | Where::Stepped => anywhere(scenario, stage),
    }
}

/// Runs a scenario; for veth in the network namespace that this thread is in.
fn anywhere(scenario: Scenario, Stage { mode, face, place }: Stage) -> Ran {
    match face {
        Face::Rust => {
            let place: Box<dyn Place> = match place {
                Where::Sim => Box::new(SimPlace::running()),
                Where::Stepped => Box::new(SimPlace::stepped()),
                #[cfg(target_os = "linux")]
                Where::Veth => Box::new(VethPlace::default()),
                #[cfg(not(target_os = "linux"))]
                Where::Veth => unreachable!("skipped"),
            };
            play(scenario, mode, &mut RustWorld { place })
        }
        #[cfg(all(target_os = "linux", feature = "capi"))]
        Face::C(build) => match Agent::start(build) {
            Ok(agent) => {
                let mut world = c_world(agent, place);
                let ran = play(scenario, mode, &mut world);
                world.into_agent().end();
                ran
            }
            Err(reason) => Ran::Skipped(reason),
        },
    }
}

#[cfg(all(target_os = "linux", feature = "capi"))]
fn c_world(agent: Agent, place: Where) -> CWorld {
    match place {
        Where::Veth => CWorld::over_veth(agent),
        Where::Sim => CWorld::over_sim(agent, false),
        Where::Stepped => CWorld::over_sim(agent, true),
    }
}

/// A test: all scenarios under valgrind, which takes long to start: one after the other in one program.
#[cfg(all(target_os = "linux", feature = "capi"))]
pub(crate) fn watch(scenarios: &'static [Scenario], place: Where) {
    let all = move || match Agent::start(Build::Valgrind) {
        Ok(mut agent) => {
            for &scenario in scenarios {
                let start = Instant::now();
                let mut world = c_world(agent, place);
                let ran = play(scenario, Mode::Raw, &mut world);
                agent = world.into_agent();
                println!("{}: {:?}", scenario.name, start.elapsed());
                if let Ran::Skipped(reason) = ran {
                    println!("skipped: {}: {reason}", scenario.name);
                }
            }
            agent.end();
        }
        Err(reason) => println!("skipped: {reason}"),
    };
    if place != Where::Veth {
        all();
    } else if let Err(reason) = crate::net::in_empty_namespace(all) {
        println!("skipped: {reason}");
    }
}

fn play(scenario: Scenario, mode: Mode, world: &mut dyn World) -> Ran {
    let mut scene = Scene::new(world, mode);
    (scenario.play)(&mut scene);
    Ran::Told(scene.end())
}

/// A test: the scenario on one stage.
pub(crate) fn check(scenario: Scenario, stage: Stage) {
    match run(scenario, stage) {
        Ran::Told(_) => {}
        Ran::Skipped(reason) => println!("skipped: {reason}"),
        Ran::Impossible(reason) => println!("not by {:?}: {reason}", stage.mode),
        Ran::Failed(text) => panic!("{}, {stage:?}: {text}", scenario.name),
    }
}
