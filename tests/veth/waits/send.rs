//! Calls that wait to send. A veth pair takes every packet at once, so a queue behind it holds them back: nothing leaves, until it is taken away.

use std::process::Command;
use std::time::Duration;

#[cfg(feature = "async")]
use fluxcap::{AsyncFluxTx, PacketBatch};
use fluxcap::{FluxEngine, FluxRaw, FluxTx, Interest, Poller, Result};

use super::super::net::{Stack, add_pair, ip, wait_until};
use super::super::traffic::{frame, frames, send};
#[cfg(feature = "async")]
use super::task;
use super::{
    Gone, HOUR, Nothing, Outcome, Packet, Row, Sent, Stopped, Waiter, engine_run, outcome, waiter,
};

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // call                                       Deleted Renamed Moved ProgramGone Replaced Forked Stop Signalled
    ("FluxRaw::flush",        raw_flush,        [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Sent]),
    ("FluxRaw::wait, to send", raw_wait,        [Gone, Sent, Gone, Gone, Gone, Sent, Stopped, Nothing]),
    ("FluxTx::wait",          tx_wait,          [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Nothing]),
    ("FluxTx::flush",         tx_flush,         [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Sent]),
    // Packets wait until there is room for them.
    ("FluxEngine::run, full", engine_run,       [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxEngine::wait, full", engine_wait,     [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    #[cfg(feature = "async")]
    ("AsyncFluxTx::send",     async_send,       [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Sent]),
    #[cfg(feature = "async")]
    ("AsyncFluxTx::send_one", async_send_one,   [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Sent]),
    #[cfg(feature = "async")]
    ("AsyncFluxTx::flush",    async_flush,      [Gone, Sent, Gone, Sent, Sent, Sent, Stopped, Sent]),
];

/// Holds back what arrives at `far`: it goes on to a device that sends a byte a second.
pub(super) struct Jam;

impl Jam {
    /// `None`, and it says why, where the kernel cannot do that.
    pub(super) fn new() -> Option<Self> {
        add_pair("sink", "drain", "");
        for words in [
            "qdisc add dev sink root tbf rate 8bit burst 225 limit 1m",
            "qdisc add dev far ingress",
            "filter add dev far ingress protocol all u32 match u32 0 0 action mirred egress redirect dev sink",
        ] {
            let output = Command::new("tc").args(words.split(' ')).output();
            let output = output.expect("tc of iproute2 must be installed");
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr);
                println!("skipped: nothing holds packets back: tc {words}: {why}");
                return None;
            }
        }
        Some(Self)
    }

    /// Sends until the TX ring is full and stays so. And one packet waits in the RX ring.
    pub(super) fn fill_up(&self, raw: &mut FluxRaw) {
        // A frame that leaves takes longer than a test.
        let frames = frames(64, 200);
        for _ in 0..3 {
            while send(raw, &frames) > 0 {}
        }
        let (_, sent) = raw.totals();
        assert_eq!(raw.tx_room(), 0, "{sent} were sent");
        Stack::of("far").send(&frame(0, 60));
        wait_until("a packet waits", || {
            raw.wait_rx(Some(Duration::ZERO)).unwrap()
        });
    }

    /// Lets everything go.
    pub(super) fn open(&self) {
        ip("link del sink");
    }
}

fn sent(result: Result<bool>) -> Outcome {
    match result {
        Ok(true) => Sent,
        other => outcome(other),
    }
}

fn raw_flush(mut raw: FluxRaw) -> Waiter {
    let stopper = raw.stopper();
    waiter(move || stopper.stop(), move || sent(raw.flush(HOUR)))
}

fn raw_wait(mut raw: FluxRaw) -> Waiter {
    let stopper = raw.stopper();
    let call = move || sent(raw.wait(Interest::Send, None).map(|ready| ready.send));
    waiter(move || stopper.stop(), call)
}

/// It comes back every now and then, to take sent frames back: a loop of one's own goes on.
fn engine_wait(raw: FluxRaw) -> Waiter {
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    engine.set_patience(Duration::MAX);
    let (stopper, own) = (engine.stopper(), engine.stopper());
    let call = move || {
        loop {
            let waited = engine.wait(None);
            let turned = waited.and_then(|()| engine.run_once(|_| ()));
            match outcome(turned.map(|count| count > 0)) {
                Nothing if own.is_stopping() => return Stopped,
                Nothing => {}
                other => return other,
            }
        }
    };
    waiter(move || stopper.stop(), call)
}

fn tx_with(
    raw: FluxRaw,
    call: impl FnOnce(&mut FluxTx) -> Result<bool> + Send + 'static,
) -> Waiter {
    let (rx, mut tx) = raw.split();
    tx.set_patience(Duration::MAX);
    let stopper = tx.stopper();
    let call = move || {
        let result = call(&mut tx);
        drop(rx);
        sent(result)
    };
    waiter(move || stopper.stop(), call)
}

fn tx_wait(raw: FluxRaw) -> Waiter {
    tx_with(raw, |tx| tx.wait(None))
}

fn tx_flush(raw: FluxRaw) -> Waiter {
    tx_with(raw, |tx| tx.flush(HOUR))
}

/// Calls it for the half that sends, and with a packet to send.
#[cfg(feature = "async")]
fn async_with<F>(raw: FluxRaw, call: F) -> Waiter
where
    F: AsyncFnOnce(&mut AsyncFluxTx, fluxcap::Packet) -> Result<()> + Send + 'static,
{
    task(move || async move {
        let (_rx, mut tx) = raw.split();
        tx.set_patience(Duration::MAX);
        let mut tx = AsyncFluxTx::new(tx)?;
        let packet = tx.get_mut().copy(&frame(0, 200))?.expect("a free frame");
        call(&mut tx, packet).await.map(|()| Sent)
    })
}

#[cfg(feature = "async")]
fn async_send(raw: FluxRaw) -> Waiter {
    async_with(raw, async |tx, packet| {
        let mut batch = PacketBatch::with_capacity(1);
        batch.push(packet).unwrap();
        tx.send(&mut batch).await
    })
}

#[cfg(feature = "async")]
fn async_send_one(raw: FluxRaw) -> Waiter {
    async_with(raw, async |tx, packet| tx.send_one(&mut Some(packet)).await)
}

#[cfg(feature = "async")]
fn async_flush(raw: FluxRaw) -> Waiter {
    async_with(raw, async |tx, packet| {
        drop(packet);
        tx.flush().await
    })
}
