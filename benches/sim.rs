//! Packets per second through the simulator: its thread plays the kernel, one user thread is the program. 64-byte packets, batches of 64.
//!
//! - `rxdrop`: packets come as fast as they are taken; look at one byte and the length of each, recycle.
//! - `l2fwd`: send them back; what leaves is discarded.
//! - `txonly`: write 64 bytes, send, take sent frames back.
//!
//! There is no peer to compare with. The aim for `rxdrop` is 5 million packets a second on two processors.
//!
//! ```text
//! cargo bench --bench sim
//! ```

#[path = "common/results.rs"]
mod results;

use std::error::Error;
use std::time::{Duration, Instant};

use fluxcap::sim::{Network, NicConfig, Playback, Speed};
use fluxcap::{FluxBuilder, FluxRaw, PacketBatch, Verdict};
use results::Row;

const BATCH: u32 = 64;
const WARM_UP: Duration = Duration::from_millis(200);
const RUN: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const PACKET: [u8; 64] = [0x5a; 64];
const AIM: f64 = 5e6;

fn rxdrop(raw: &mut FluxRaw, _batch: &mut PacketBatch) {
    let mut sum = 0;
    raw.recv_each(BATCH, |packet| {
        sum += u64::from(packet.data()[0]) + packet.len() as u64;
    });
    std::hint::black_box(sum);
}

fn l2fwd(raw: &mut FluxRaw, _batch: &mut PacketBatch) {
    raw.refill();
    raw.forward_each(BATCH, |_| Verdict::Send);
    raw.wake_tx().expect("the NIC is up");
}

fn txonly(raw: &mut FluxRaw, batch: &mut PacketBatch) {
    let left = batch.len();
    raw.alloc_batch(batch);
    for packet in batch.iter_mut().skip(left) {
        packet.copy_from(&PACKET).expect("a frame has room for it");
    }
    raw.send(batch).expect("they are of this socket");
    raw.wake_tx().expect("the NIC is up");
}

type Loop = fn(&mut FluxRaw, &mut PacketBatch);

/// Packets a second in one round.
fn measure(work: Loop, zero_copy: bool, receives: bool) -> Result<f64, Box<dyn Error>> {
    let network = Network::new();
    let nic = network.add(NicConfig {
        zero_copy,
        keep: 0,
        ..NicConfig::new("sim0")
    })?;
    let mut raw = FluxBuilder::new(&nic).build()?;
    if receives {
        let endless = Playback::of([PACKET.to_vec()]).times(u64::MAX);
        nic.play(endless.speed(Speed::Paced))?;
    }
    let running = network.run()?;
    let mut batch = PacketBatch::with_capacity(BATCH as usize);
    let passed = |raw: &FluxRaw| {
        if receives {
            raw.totals().0
        } else {
            raw.totals().1
        }
    };
    let mut run = |raw: &mut FluxRaw, time| {
        let (start, before) = (Instant::now(), passed(raw));
        while start.elapsed() < time {
            for _ in 0..16 {
                work(raw, &mut batch);
            }
        }
        (passed(raw) - before) as f64 / start.elapsed().as_secs_f64()
    };
    run(&mut raw, WARM_UP);
    let rate = run(&mut raw, RUN);
    drop(batch);
    drop(running);
    let rings = raw.debug_rings();
    if !rings.is_conserved() {
        return Err(format!("frames were lost:\n{rings}").into());
    }
    if receives && raw.statistics()?.rx_ring_full > 0 {
        return Err("packets were dropped, although they come as they are taken".into());
    }
    Ok(rate)
}

fn main() -> Result<(), Box<dyn Error>> {
    let cases: [(&str, Loop, bool, bool); 5] = [
        ("sim/rxdrop/copy", rxdrop, false, true),
        ("sim/rxdrop/zero-copy", rxdrop, true, true),
        ("sim/l2fwd/copy", l2fwd, false, true),
        ("sim/l2fwd/zero-copy", l2fwd, true, true),
        ("sim/txonly/copy", txonly, false, false),
    ];
    let mut rows = Vec::new();
    println!(
        "{:22} {:>10}  {:>10} to {:>10}  packets/s",
        "case", "median", "least", "most"
    );
    for (case, work, zero_copy, receives) in cases {
        let mut rates = (0..ROUNDS)
            .map(|_| measure(work, zero_copy, receives))
            .collect::<Result<Vec<_>, _>>()?;
        rates.sort_by(f64::total_cmp);
        let (median, least, most) = (rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1]);
        println!("{case:22} {median:>10.0}  {least:>10.0} to {most:>10.0}");
        rows.push(Row::alone(case, "packets/s", median));
    }
    if rows[0].ours < AIM {
        println!("rxdrop is below the aim of {AIM:.0} packets a second");
    }
    println!("{}", results::save("sim", &rows)?.display());
    Ok(())
}
