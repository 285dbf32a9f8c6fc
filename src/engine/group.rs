//! Several engines, each on a thread of its own.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::course::{Course, GroupStopper};
use super::outcome::panicked;
use super::run::lend;
use super::tally::GroupStatistics;
use super::watch::{QueueChange, Watch};
use super::{EngineStatistics, FluxEngine, Outcome};
use crate::builder::FluxBuilder;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::BatchRef;
use crate::poller::{self, Poller};
use crate::queues::Queues;

/// How often the number of queues is looked at, and the shortest time between two looks.
const WATCH: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(1);

type Hook = Box<dyn FnMut(&QueueChange) + Send>;

/// Several engines, each on a thread of its own, which run and stop together.
///
/// The common case is one engine for each queue of an interface, each with a socket and a UMEM of its own, so that the threads share
/// nothing. [`pin`](Self::pin) gives each a CPU. For an interface with fewer queues than CPUs, make engines of the sockets that
/// [`FluxBuilder::build_group`] gives.
///
/// While they run, the number of queues of each interface is looked at once a second: when it changes, packets go where no engine sees
/// them, and that is [told](Self::on_queue_change).
///
/// ```no_run
/// use fluxcap::{EngineGroup, FluxBuilder};
///
/// // Every queue of veth0, each on a CPU of its own.
/// let mut group = EngineGroup::open(FluxBuilder::new("veth0"), ..)?;
/// let cpus: Vec<u32> = (0..group.engines().len() as u32).collect();
/// group.pin(&cpus)?;
/// group.on_queue_change(|change| eprintln!("{change}"));
///
/// let mut bytes = vec![0; group.engines().len()];
/// let mut places = bytes.iter_mut();
/// let statistics = group.run(|_engine| {
///     // Each callback may borrow what is its own.
///     let bytes = places.next().expect("one for each engine");
///     move |batch| batch.for_each(|packet| *bytes += packet.len())
/// })?;
/// println!("{statistics}");
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
pub struct EngineGroup {
    watch: Watch,
    engines: Vec<FluxEngine>,
    cpus: Vec<u32>,
    stopper: GroupStopper,
    interval: Duration,
    /// Nobody ever waits for it: with a lock around it, several threads may look at the group.
    hook: Option<Mutex<Hook>>,
    past: GroupStatistics,
}

impl EngineGroup {
    /// A group of engines, which have one port or several each.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when there is none, or in a forked child.
    pub fn new(engines: impl IntoIterator<Item = FluxEngine>) -> Result<Self> {
        let engines: Vec<FluxEngine> = engines.into_iter().collect();
        if engines.is_empty() {
            return Err(FluxError::invalid(
                "a group of engines",
                "it has none",
                "give it one at least",
            ));
        }
        for engine in &engines {
            engine.check_process("making a group of engines")?;
        }
        let alarms = engines.iter().map(|engine| engine.alarm.clone());
        Ok(Self {
            watch: Watch::over(&engines),
            stopper: GroupStopper::new(alarms.collect()),
            engines,
            cpus: Vec::new(),
            interval: WATCH,
            hook: None,
            past: GroupStatistics::default(),
        })
    }

    /// An engine for each of several queues of one interface, in the order of their numbers in `queues`; `..` means all.
    ///
    /// # Errors
    ///
    /// As [`FluxBuilder::build_queues`].
    pub fn open(builder: FluxBuilder, queues: impl Into<Queues>) -> Result<Self> {
        let sockets = builder.build_queues(queues)?;
        Self::new(sockets.into_iter().map(FluxEngine::new))
    }

    /// Gives each engine's thread a CPU, in the order of the engines; none leaves them to the scheduler again. Two may have the same.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when there are not as many as engines, or when there is no such CPU or this process may not use
    /// it, naming those it may; [`Unsupported`](ErrorKind::Unsupported) on systems other than Linux. All stays as it was then.
    pub fn pin(&mut self, cpus: &[u32]) -> Result<()> {
        let engines = self.engines.len();
        if !cpus.is_empty() && cpus.len() != engines {
            return Err(FluxError::invalid(
                format_args!("pin {engines} engines to CPUs"),
                format_args!("{} are named", cpus.len()),
                "name one for each, or none",
            ));
        }
        // On a thread that can be moved about: this one stays where it is.
        let tried = thread::scope(|scope| {
            let try_all = || cpus.iter().try_for_each(|&cpu| poller::pin(cpu));
            let thread = Builder::new().spawn_scoped(scope, try_all);
            let thread = thread.map_err(|error| not_started("pin engines to CPUs", &error))?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        tried?;
        self.cpus = cpus.to_vec();
        Ok(())
    }

    /// How all engines wait for packets.
    pub fn set_poller(&mut self, poller: Poller) {
        for engine in &mut self.engines {
            engine.set_poller(poller);
        }
    }

    /// How often the number of queues is looked at during a run. Default every second. `Duration::MAX`: only at its start and its end.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for less than a millisecond.
    pub fn set_watch(&mut self, interval: Duration) -> Result<()> {
        if interval < SHORTEST {
            return Err(FluxError::invalid(
                format_args!("look at the number of queues every {interval:?}"),
                format_args!("{SHORTEST:?} is the shortest time"),
                "a second is often enough",
            ));
        }
        self.interval = interval;
        Ok(())
    }

    /// Calls `hook` when the number of queues of an interface has changed, during a run, on the thread that called
    /// [`run`](Self::run), which has nothing else to do. In place of the hook that was there.
    ///
    /// It may [stop](Self::stopper) the group. If it panics, all engines end, and the panic goes on to the caller of `run`.
    pub fn on_queue_change(&mut self, hook: impl FnMut(&QueueChange) + Send + 'static) {
        self.hook = Some(Mutex::new(Box::new(hook)));
    }

    /// Runs all engines, each on a thread of its own, `fluxcap-0` and so on, until a [`GroupStopper`] ends them; returns what happened in
    /// this run.
    ///
    /// `make` gets the number of each engine, counted from 0, and returns its callback; it is called on this thread, before any of them
    /// starts. When one engine ends, for whatever reason, all end. A stop that came before ends them at once. The group can run again.
    ///
    /// # Errors
    ///
    /// The first error of an engine, as [`FluxEngine::run`], with the number of the engine; [`System`](ErrorKind::System) when a thread
    /// cannot be had; as [`poller::pin`] when a CPU went away.
    pub fn run<C, O>(&mut self, make: impl FnMut(usize) -> C) -> Result<GroupStatistics>
    where
        C: FnMut(&mut BatchRef<'_>) -> O + Send,
        O: Outcome,
    {
        self.run_until(None, make)
    }

    /// [`run`](Self::run) for at most `time`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_for<C, O>(
        &mut self,
        time: Duration,
        make: impl FnMut(usize) -> C,
    ) -> Result<GroupStatistics>
    where
        C: FnMut(&mut BatchRef<'_>) -> O + Send,
        O: Outcome,
    {
        self.run_until(Some(time), make)
    }

    fn run_until<C, O>(
        &mut self,
        time: Option<Duration>,
        make: impl FnMut(usize) -> C,
    ) -> Result<GroupStatistics>
    where
        C: FnMut(&mut BatchRef<'_>) -> O + Send,
        O: Outcome,
    {
        let callbacks: Vec<C> = (0..self.engines.len()).map(make).collect();
        let before = self.each();
        let start = Instant::now();
        let mut run = GroupStatistics::default();
        let course = Course::new(self.stopper.clone());
        let watched = thread::scope(|scope| {
            let mut threads = Vec::with_capacity(callbacks.len());
            for (number, (engine, callback)) in self.engines.iter_mut().zip(callbacks).enumerate() {
                let cpu = self.cpus.get(number).copied();
                let (course, part) = (&course, course.part());
                let work = move || {
                    // Also when a callback panics as it is dropped.
                    let _part = part;
                    if let Err(error) = engage(engine, cpu, time, callback) {
                        course.fail(of_engine(number, error));
                    }
                };
                let name = format!("fluxcap-{number}");
                match Builder::new().name(name).spawn_scoped(scope, work) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        course.fail(of_engine(number, not_started("run an engine", &error)));
                        break;
                    }
                }
            }
            let (watch, hook) = (&mut self.watch, &mut self.hook);
            let mut look = || {
                for change in watch.look() {
                    if let Some(hook) = hook {
                        let hook = hook.get_mut().unwrap_or_else(PoisonError::into_inner);
                        hook(&change);
                    }
                    run.queue_changes.push(change);
                }
            };
            let watched = catch_unwind(AssertUnwindSafe(|| {
                look();
                while course.wait(self.interval) {
                    look();
                }
                look();
            }));
            if watched.is_err() {
                course.end();
            }
            join(threads, &course);
            watched
        });
        let error = course.finish();
        run.time = start.elapsed();
        self.past.add(&run);
        if let Err(panic) = watched {
            resume_unwind(panic);
        }
        if let Some(error) = error {
            return Err(error);
        }
        let engines = self.engines.iter().zip(&before);
        run.engines = engines
            .map(|(engine, before)| engine.statistics().since(before))
            .collect();
        Ok(run)
    }

    fn each(&self) -> Vec<EngineStatistics> {
        self.engines.iter().map(FluxEngine::statistics).collect()
    }

    /// The engines.
    #[must_use]
    pub fn engines(&self) -> &[FluxEngine] {
        &self.engines
    }

    /// Ends the group and gives its engines back.
    #[must_use]
    pub fn into_engines(self) -> Vec<FluxEngine> {
        self.engines
    }

    /// A handle that stops all engines from elsewhere.
    ///
    /// The [stopper](FluxEngine::stopper) of one engine does so, too: with one, all end.
    #[must_use]
    pub fn stopper(&self) -> GroupStopper {
        self.stopper.clone()
    }

    /// What the engines did in all their runs.
    #[must_use]
    pub fn statistics(&self) -> GroupStatistics {
        GroupStatistics {
            engines: self.each(),
            ..self.past.clone()
        }
    }
}

impl fmt::Debug for EngineGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineGroup")
            .field("engines", &self.engines)
            .field("cpus", &self.cpus)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// What the thread of an engine does.
fn engage<O: Outcome>(
    engine: &mut FluxEngine,
    cpu: Option<u32>,
    time: Option<Duration>,
    callback: impl FnMut(&mut BatchRef<'_>) -> O,
) -> Result<()> {
    lend(callback, |callback| {
        if let Some(cpu) = cpu {
            poller::pin(cpu)?;
        }
        match time {
            Some(time) => engine.run_for(time, callback),
            None => engine.run(callback),
        }
        .map(drop)
    })
}

/// Waits for the ends of threads, in which all has been said, unless one panicked where nothing catches it.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>, course: &Course) {
    for (number, thread) in threads.into_iter().enumerate() {
        if let Err(panic) = thread.join() {
            course.fail(of_engine(number, panicked(&*panic)));
        }
    }
}

fn of_engine(number: usize, error: FluxError) -> FluxError {
    error.with_note(format_args!("engine {number} of the group"))
}

#[cold]
fn not_started(tried: &str, error: &io::Error) -> FluxError {
    FluxError::new(
        ErrorKind::System,
        error.raw_os_error().unwrap_or(errno::EAGAIN),
        tried,
        format_args!("a thread could not be started: {error}"),
        "use fewer threads; or allow for more (ulimit -u), or for the memory of their stacks (ulimit -v)",
    )
}
