#[path = "common/plain.rs"]
mod plain;
use fluxcap::*;
use plain::*;
use std::hint::black_box;

#[unsafe(no_mangle)]
#[inline(never)]
fn counted_rxdrop(raw: &mut FluxRaw) -> u64 {
    let rings = raw.rings();
    let mut sum = 0;
    rings.rx.recycle(rings.fill, 64, |packet| {
        let first = packet.data().first().copied().unwrap_or(0);
        sum += u64::from(first) + packet.len() as u64;
    });
    sum
}
#[unsafe(no_mangle)]
#[inline(never)]
fn counted_l2fwd(raw: &mut FluxRaw) -> u32 {
    let rings = raw.rings();
    rings.completion.refill(rings.fill, 64);
    rings
        .rx
        .forward(rings.fill, rings.tx, 64, |packet| {
            let [a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5, ..] = packet.data_mut() else {
                return Verdict::Recycle;
            };
            std::mem::swap(a0, b0);
            std::mem::swap(a1, b1);
            std::mem::swap(a2, b2);
            std::mem::swap(a3, b3);
            std::mem::swap(a4, b4);
            std::mem::swap(a5, b5);
            Verdict::Send
        })
        .unwrap()
}
fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    let plain = PlainLink::default();
    let mut raw = FluxBuilder::new(&plain.link())
        .load_xdp(false)
        .frames(4096)
        .fill_size(2048)
        .build()
        .unwrap();
    let mut kernel = plain.kernel();
    let rounds = 1000;
    let mut total = 0u64;
    for _ in 0..rounds {
        kernel.deliver(64, 60);
        if which == "l2fwd" {
            total += u64::from(black_box(counted_l2fwd(&mut raw)));
            kernel.transmit();
        } else {
            black_box(counted_rxdrop(&mut raw));
            total += 64;
        }
    }
    println!("packets {total}");
    assert!(raw.debug_rings().is_conserved());
}
