//! A simulated network: NICs, cables between them, and who moves the packets.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::config::NicConfig;
use super::faults::Faults;
use super::nic::Nic;
use super::port::Port;
use super::shared::{Shared, TURN};
use super::trace::Event;
use crate::error::{ErrorKind, FluxError, Result, errno};

/// What is tried, for an error.
const USING: &str = "using a simulated network";

/// A network without a kernel: NICs that sockets can be opened on, and cables between them.
///
/// A handle, cheap to clone. Any thread. Nothing moves by itself: packets move when the network is [stepped](Self::step), when its time
/// [advances](Self::advance), when a socket waits, or while its [thread](Self::run) runs.
///
/// It belongs to the process that made it: in a forked child its calls are errors of kind [`Invalid`](ErrorKind::Invalid), or do and find
/// nothing.
///
/// ```
/// use fluxcap::FluxBuilder;
/// use fluxcap::sim::Network;
///
/// let network = Network::new();
/// let nic = network.nic("sim0")?;
/// let mut raw = FluxBuilder::new(&nic).build()?;
///
/// nic.inject(0, b"to all: from me: hello")?;
/// network.settle();
/// assert_eq!(raw.recv_each(64, |packet| assert!(packet.data().ends_with(b"hello"))), 1);
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Clone)]
pub struct Network {
    pub(super) shared: Arc<Shared>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// A network without NICs, with seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A network whose [faults](Faults) follow from a seed: the same seed and the same calls on one thread give the same
    /// [trace](Self::trace), byte for byte. When a test panics, the seed is printed.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared::new(seed)),
        }
    }

    /// Whether this process may use it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) in a forked child.
    #[cfg(feature = "capi")]
    pub(crate) fn check(&self) -> Result<()> {
        self.shared.process.check(USING)
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Adds an ordinary NIC: one queue, MTU 1500, up, without a cable.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn nic(&self, name: &str) -> Result<Nic> {
        self.add(NicConfig::new(name))
    }

    /// Adds a NIC. It is up, and without a cable.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid): a number out of its range, or a name that the network has already.
    pub fn add(&self, config: NicConfig) -> Result<Nic> {
        config.check()?;
        let mut world = self.shared.lock("adding a simulated NIC")?;
        let known = |port: &Port| !port.removed && port.config.name == config.name;
        if world.ports.iter().any(known) {
            return Err(FluxError::new(
                ErrorKind::Invalid,
                errno::EEXIST,
                format_args!("adding the simulated NIC {:?}", config.name),
                "the network has one of this name",
                "use another name",
            ));
        }
        let faults = world.faults;
        let name = config.name.as_str().into();
        world.ports.push(Port::new(config, faults));
        world.assign();
        Ok(Nic {
            shared: Arc::clone(&self.shared),
            index: world.ports.len() - 1,
            name,
        })
    }

    /// The NIC of this name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn find(&self, name: &str) -> Result<Nic> {
        let world = self.shared.lock("looking for a simulated NIC")?;
        let found = |port: &Port| !port.removed && port.config.name == name;
        match world.ports.iter().position(found) {
            Some(index) => Ok(Nic {
                shared: Arc::clone(&self.shared),
                index,
                name: name.into(),
            }),
            None => Err(FluxError::new(
                ErrorKind::NotFound,
                errno::ENODEV,
                format_args!("looking for the simulated NIC {name:?}"),
                "the network has none of this name",
                "add it first",
            )),
        }
    }

    /// Joins two NICs by a cable: what one sends, the other receives, on the queue of the same number.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when it is twice the same, or they belong to different networks; [`Busy`](ErrorKind::Busy)
    /// when one has a cable already; [`NotFound`](ErrorKind::NotFound) when one was removed.
    pub fn join(&self, one: &Nic, other: &Nic) -> Result<()> {
        let ours = |nic: &Nic| Arc::ptr_eq(&nic.shared, &self.shared);
        if !ours(one) || !ours(other) || one.index == other.index {
            return Err(FluxError::invalid(
                "joining two simulated NICs",
                "they must be two, both of this network",
                "add both to the network that joins them",
            ));
        }
        let far = other.index;
        one.with(|world, near| {
            if world.ports[far].removed {
                return Err(Nic::absent(&world.ports[far]));
            }
            for port in [near, far] {
                if world.ports[port].peer.is_some() {
                    return Err(FluxError::new(
                        ErrorKind::Busy,
                        errno::EBUSY,
                        format_args!("joining {}", world.ports[port].config.name),
                        "it has a cable already",
                        "add another NIC",
                    ));
                }
            }
            world.ports[near].peer = Some(far);
            world.ports[far].peer = Some(near);
            Ok(())
        })
    }

    /// Handles up to `budget` packets that are due and returns how many: those that leave a zero-copy socket, are played, arrive, or
    /// are completed late. 0 means that nothing is left to do at this time. Traffic at full speed comes as long as the budget lasts.
    pub fn step(&self, budget: u32) -> u32 {
        let Ok(mut world) = self.shared.lock(USING) else {
            return 0;
        };
        world.paced = false;
        let done = world.step(budget);
        self.shared.announce(&mut world);
        done
    }

    /// Steps until nothing is left to do at this time; returns how many packets were handled. After a million it stops, for a playback
    /// without end.
    pub fn settle(&self) -> u64 {
        let mut total = 0;
        while total < 1_000_000 {
            match self.step(TURN) {
                0 => break,
                done => total += u64::from(done),
            }
        }
        total
    }

    /// Lets simulated time pass, in which all happens that is due: delayed packets arrive, recorded traffic is played.
    ///
    /// While the thread runs, real time counts, and this waits for it.
    pub fn advance(&self, time: Duration) {
        let _ = self.shared.advance(time);
    }

    /// The time since the network was made, as its packets see it.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared
            .lock(USING)
            .map_or(Duration::ZERO, |world| world.now)
    }

    /// What goes wrong from now on, at all NICs, and at those to come.
    ///
    /// # Errors
    ///
    /// As [`Nic::set_faults`].
    pub fn set_faults(&self, faults: Faults) -> Result<()> {
        faults.check()?;
        let mut world = self.shared.lock(USING)?;
        world.faults = faults;
        for port in &mut world.ports {
            port.faults = faults;
        }
        Ok(())
    }

    /// Notes down what happens from now on, up to `events` of it; 0 ends that. What was noted before is gone.
    pub fn start_trace(&self, events: usize) {
        if let Ok(mut world) = self.shared.lock(USING) {
            world.trace.start(events);
        }
    }

    /// What happened since [`start_trace`](Self::start_trace), in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Event> {
        match self.shared.lock(USING) {
            Ok(world) => world.trace.events().to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// Starts a thread that moves packets as they come, in real time, until the returned handle is dropped.
    ///
    /// With it, programs of several threads run as on a real machine; without it, a single thread sees the same happen each time.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) when there is such a thread; [`System`](ErrorKind::System) when no thread can be had.
    pub fn run(&self) -> Result<Running> {
        let mut world = self.shared.lock("running a simulated network")?;
        if world.running.is_some() {
            return Err(FluxError::new(
                ErrorKind::Busy,
                errno::EBUSY,
                "running a simulated network",
                "it runs already",
                "keep the first handle",
            ));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, wanted) = (Arc::clone(&self.shared), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("fluxcap-sim".to_owned())
            .spawn(move || shared.serve(&wanted))
            .map_err(|error| {
                FluxError::new(
                    ErrorKind::System,
                    error.raw_os_error().unwrap_or(errno::EAGAIN),
                    "starting the thread of a simulated network",
                    error,
                    "use fewer threads, or step the network by hand",
                )
            })?;
        world.paced = false;
        world.running = Some((Instant::now(), world.now));
        self.shared.has_thread.store(true, Ordering::Relaxed);
        Ok(Running {
            shared: Arc::clone(&self.shared),
            stop,
            thread: Some(thread),
        })
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut network = f.debug_struct("Network");
        network.field("seed", &self.shared.seed);
        let Ok(world) = self.shared.lock(USING) else {
            return network.finish_non_exhaustive();
        };
        let names = world.ports.iter().map(|port| &port.config.name);
        network
            .field("now", &world.now)
            .field("nics", &names.collect::<Vec<_>>())
            .finish()
    }
}

/// A network's thread at work. Dropping it ends the thread.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct Running {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A forked child has no such thread, and perhaps a lock that nobody opens.
        if !self.shared.process.is_current() {
            return std::mem::forget(self.thread.take());
        }
        self.stop.store(true, Ordering::Release);
        self.shared.work.notify_all();
        let fault = self.thread.take().and_then(|thread| thread.join().err());
        let mut world = self.shared.enter();
        world.running = None;
        self.shared.has_thread.store(false, Ordering::Relaxed);
        drop(world);
        self.shared.news.notify_all();
        if let (Some(fault), false) = (fault, thread::panicking()) {
            resume_unwind(fault);
        }
    }
}
