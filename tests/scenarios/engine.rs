//! Mode A, through the Rust face: engines.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fluxcap::{BatchRef, FluxEngine, FluxRaw, Stopper};

use super::rust::{Home, counted, program, swap_addresses};
use super::world::{Program, RECEIVE, Ready, Rings, Socket, Statistics, Wrong};

/// The largest batch.
const BATCH: u32 = 4096;

/// One port of an engine.
pub(crate) struct EngineSocket {
    /// `None` when it was closed; the engine ends with its last port. It is empty while a thread has it.
    engine: Option<Rc<RefCell<Option<FluxEngine>>>>,
    port: u32,
    home: Home,
    toil: Option<Toil>,
}

struct Toil {
    stopper: Stopper,
    thread: JoinHandle<FluxEngine>,
}

impl EngineSocket {
    pub(crate) fn new(raw: FluxRaw, home: Home) -> Self {
        Self {
            engine: Some(Rc::new(RefCell::new(Some(FluxEngine::new(raw))))),
            port: 0,
            home,
            toil: None,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut FluxEngine) -> T) -> T {
        let engine = self.engine.as_ref().expect("open");
        act(engine.borrow_mut().as_mut().expect("not on a thread"))
    }

    /// Shows up to `max` packets that came through this port, the only one, to `look`, a batch at a time; returns how many.
    fn turns(&self, max: u32, mut look: impl FnMut(&mut BatchRef<'_>)) -> usize {
        self.with(|engine| {
            assert_eq!(engine.ports(), 1, "a bridge serves both sides");
            let mut done = 0;
            while done < max {
                engine.set_batch((max - done).min(BATCH)).unwrap();
                match engine.run_once(&mut look).unwrap() {
                    0 => break,
                    count => done += count,
                }
            }
            done as usize
        })
    }

    /// An engine with this port and that of another socket, which are one engine's from now on.
    fn join(&self, other: &mut Self) {
        let (Some(engine), Some(theirs)) = (&self.engine, &other.engine) else {
            panic!("both are open");
        };
        if Rc::ptr_eq(engine, theirs) {
            return;
        }
        let theirs = theirs.take().expect("not on a thread");
        for raw in theirs.into_ports() {
            let mut engine = engine.borrow_mut();
            let engine = engine.as_mut().expect("not on a thread");
            other.port = engine.add_port(raw).unwrap();
        }
        other.engine = Some(Rc::clone(engine));
    }
}

/// Why a scenario is none for Mode A.
fn impossible(what: &str) -> ! {
    panic!("an engine {what}");
}

impl Socket for EngineSocket {
    fn put(&mut self, _: &[Vec<u8>]) -> usize {
        impossible("sends what it receives")
    }

    fn wake(&mut self) -> Result<(), i32> {
        // It did so at the end of the turn.
        Ok(())
    }

    fn receive(&mut self, max: u32) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        self.turns(max, |batch| {
            batch.for_each(|packet| all.push(packet.data().to_vec()));
        });
        all
    }

    /// They are recycled when the callback returns.
    fn hold(&mut self, max: u32) -> Vec<Vec<u8>> {
        self.receive(max)
    }

    fn release(&mut self, _: usize) {}

    fn send_held(&mut self, _: usize, _: usize) -> usize {
        impossible("holds no packets")
    }

    fn give(&mut self, _: usize) -> Box<dyn Any> {
        impossible("holds no packets")
    }

    fn adopt(&mut self, _: Box<dyn Any>) -> usize {
        impossible("sends what it receives")
    }

    fn echo(&mut self, max: u32) -> usize {
        self.turns(max, echo)
    }

    fn send_wrong(&mut self, _: Wrong) -> i32 {
        impossible("sends what it receives")
    }

    fn bridge(&mut self, other: &mut dyn Socket, max: u32) -> usize {
        let other: &mut Self = other.as_any_mut().downcast_mut().expect("of this mode");
        self.join(other);
        self.with(|engine| {
            engine.set_batch(max).unwrap();
            let passed = engine.run_once(|batch| {
                let there = 1 - batch.port();
                batch.for_each(|packet| packet.send_to(there).unwrap());
            });
            passed.unwrap() as usize
        })
    }

    fn refill(&mut self) {
        // It does so in each turn.
    }

    fn wait(&mut self, interest: u32, ms: u32) -> Result<Ready, i32> {
        if interest != RECEIVE {
            impossible("sends what it receives");
        }
        let end = Instant::now() + Duration::from_millis(ms.into());
        self.with(|engine| {
            loop {
                let left = end.saturating_duration_since(Instant::now());
                // It may return early.
                engine.wait(Some(left)).map_err(|error| error.errno())?;
                let receive = engine.port(self.port).debug_rings().rx.occupied > 0;
                if receive || left.is_zero() {
                    break Ok(Ready {
                        receive,
                        send: false,
                    });
                }
            }
        })
    }

    fn has_descriptor(&mut self) -> bool {
        self.with(|engine| engine.port(self.port).fd().is_ok())
    }

    fn flush(&mut self, _: u32) -> bool {
        impossible("sends what it receives")
    }

    fn flood(&mut self, _: &[Vec<u8>]) {
        impossible("sends what it receives")
    }

    fn flooded(&mut self) -> u64 {
        impossible("sends what it receives")
    }

    fn serve(&mut self) {
        let engine = self.engine.as_ref().expect("open");
        let mut engine = engine.take().expect("not on a thread");
        let stopper = engine.stopper();
        let thread = thread::spawn(move || {
            let before = engine.statistics().total();
            let run = engine.run(echo).unwrap().total();
            let after = engine.statistics().total();
            assert_eq!(after.sent - before.sent, run.sent);
            assert_eq!(after.received - before.received, run.received);
            engine
        });
        self.toil = Some(Toil { stopper, thread });
    }

    fn calm(&mut self) {
        if let Some(Toil { stopper, thread }) = self.toil.take() {
            stopper.stop();
            let engine = thread.join().expect("the engine's run");
            self.engine.as_ref().expect("open").replace(Some(engine));
        }
    }

    fn statistics(&mut self) -> Statistics {
        self.with(|engine| {
            let raw = engine.port(self.port);
            let port = engine.statistics().ports[self.port as usize];
            // What the engine counts and what the socket counts is the same.
            assert_eq!((port.received, port.sent), raw.totals());
            assert_eq!((port.dropped, port.copied), (0, 0));
            counted(raw.statistics().unwrap(), raw.totals())
        })
    }

    fn program(&mut self) -> Option<Program> {
        self.with(|engine| {
            let counters = engine.port(self.port).program_counters();
            counters.unwrap().map(program)
        })
    }

    fn rings(&mut self) -> Rings {
        // Ports that were closed are the engine's still.
        let (ports, rings) =
            self.with(|engine| (engine.ports(), engine.port(self.port).debug_rings()));
        let alone = self.home.is_alone() && ports == 1;
        self.home.rings(&rings, alone)
    }

    fn close(&mut self) {
        self.calm();
        self.rings();
        self.engine = None;
    }

    fn prove_all_home(&mut self) {
        self.home.prove_all_free();
    }

    fn as_any(&self) -> &dyn Any {
        &self.home
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn echo(batch: &mut BatchRef<'_>) {
    batch.for_each(|packet| {
        swap_addresses(packet.data_mut());
        packet.send();
    });
}
