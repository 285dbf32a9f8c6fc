//! A network as its handles, sockets and thread share it: the lock around its state, and who waits for whom.

use std::hint;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::world::World;
use crate::error::Result;
use crate::umem::memory::Process;

/// Packets that the thread handles before it lets others look.
pub(super) const TURN: u32 = 256;
/// How long the thread looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(200);
/// How often it lets others in before it takes its own turn.
const POLITE: u32 = 8;
/// How long it sleeps at most: some work comes without a call.
const NAP: Duration = Duration::from_millis(1);
/// How long it sleeps while traffic waits for a receiver, which may be ready any moment.
const SHORT_NAP: Duration = Duration::from_micros(50);

/// A network as its handles, sockets and thread share it.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    /// Whose it is. In a forked child nobody moves the network, and the lock that another thread had stays locked.
    pub(super) process: Process,
    /// What its faults follow from.
    pub(super) seed: u64,
    /// The thread waits for it.
    pub(super) work: Condvar,
    /// Programs wait for it.
    pub(super) news: Condvar,
    pub(super) sleepers: AtomicU32,
    /// Who stands in front of the lock: the thread lets them in.
    queue: AtomicU32,
    /// Whether a thread moves packets: for those who look without the lock.
    pub(super) has_thread: AtomicBool,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            world: Mutex::new(World::new(seed)),
            process: Process::current(),
            seed,
            work: Condvar::new(),
            news: Condvar::new(),
            sleepers: AtomicU32::new(0),
            queue: AtomicU32::new(0),
            has_thread: AtomicBool::new(false),
        }
    }

    /// The state, for what is `tried`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) in a forked child.
    pub(super) fn lock(&self, tried: &str) -> Result<MutexGuard<'_, World>> {
        self.process.check(tried)?;
        Ok(self.enter())
    }

    /// [`lock`](Self::lock), in the process whose it is.
    pub(super) fn enter(&self) -> MutexGuard<'_, World> {
        self.queue.fetch_add(1, Ordering::Relaxed);
        // Counters and queues stay usable after a panic of a test that held it.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.fetch_sub(1, Ordering::Relaxed);
        world.tick();
        world
    }

    /// Tells the thread that there is work, and programs that there are news.
    pub(super) fn announce(&self, world: &mut World) {
        if world.running.is_some() {
            self.work.notify_one();
        }
        if std::mem::take(&mut world.news) && self.sleepers.load(Ordering::Relaxed) > 0 {
            self.news.notify_all();
        }
    }

    /// Lets simulated time pass, or waits while real time counts; returns how much has passed.
    pub(super) fn advance(&self, time: Duration) -> Duration {
        let Ok(mut world) = self.lock("letting time pass") else {
            return time;
        };
        if world.running.is_some() {
            drop(world);
            let start = Instant::now();
            thread::sleep(time);
            return start.elapsed();
        }
        let end = world.now.saturating_add(time);
        loop {
            let done = world.running.is_some() || world.advance(end);
            self.announce(&mut world);
            if done {
                world.paced = false;
                return time;
            }
            world = self.let_in(world);
        }
    }

    /// Gives the lock away for a moment.
    pub(super) fn let_in<'a>(&'a self, world: MutexGuard<'a, World>) -> MutexGuard<'a, World> {
        drop(world);
        thread::yield_now();
        self.enter()
    }

    /// The thread.
    pub(super) fn serve(&self, stop: &AtomicBool) {
        let mut idle_since = None;
        while !stop.load(Ordering::Acquire) {
            for _ in 0..POLITE {
                if self.queue.load(Ordering::Relaxed) == 0 {
                    break;
                }
                thread::yield_now();
            }
            let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
            world.tick();
            let done = world.step(TURN);
            if std::mem::take(&mut world.news) && self.sleepers.load(Ordering::Relaxed) > 0 {
                self.news.notify_all();
            }
            if done > 0 {
                idle_since = None;
                continue;
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            let idle = since.elapsed();
            if idle < SPIN {
                drop(world);
                // Who yields on a busy machine waits long for its next turn.
                if idle < SPIN / 4 {
                    hint::spin_loop();
                } else {
                    thread::yield_now();
                }
                continue;
            }
            let nap = if world.is_blocked() { SHORT_NAP } else { NAP };
            let nap = world.next_due().map_or(nap, |due| nap.min(due - world.now));
            let (guard, timeout) = self
                .work
                .wait_timeout(world, nap)
                .unwrap_or_else(PoisonError::into_inner);
            drop(guard);
            if !timeout.timed_out() {
                idle_since = None;
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the simulated network had seed {}", self.seed);
        }
        // In a forked child another thread may have been in the middle of a change, and the parent writes the recordings to the end.
        if !self.process.is_current() {
            let world = self.world.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::forget(mem::replace(world, World::new(self.seed)));
        }
    }
}
