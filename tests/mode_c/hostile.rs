//! A hostile kernel.

use std::collections::HashSet;

use fluxcap::FluxEngine;

use super::common::Random;
use super::*;

/// Plays random acts of program and kernel against the model, with more or less of them in the user's hands.
fn play(seeds: std::ops::Range<u64>, steps: u32, frames: u32, ring: u32, in_place_only: bool) {
    for seed in seeds {
        let mut oracle = Oracle::new(seed, frames, ring);
        for step in 0..steps {
            oracle.step(in_place_only);
            if step % 64 == 0 {
                oracle.check_counts();
            }
        }
        assert!(oracle.delivered > u64::from(steps) / 100);
        let (refused_rx, refused_completions) = oracle.close();
        let few = u64::from(steps) / 400;
        assert!(refused_rx > few && refused_completions > few);
    }
}

#[test]
fn whatever_the_kernel_hands_back_no_frame_gets_two_owners() {
    play(0..5, 10_000, 48, 16, false);
}

#[test]
fn whatever_the_kernel_hands_back_frames_that_are_all_on_loan_stay_on_loan() {
    play(0..5, 10_000, 16, 16, true);
}

#[test]
fn whatever_the_kernel_hands_back_rings_of_any_size_hold() {
    for (frames, ring) in [(1, 1), (3, 2), (8, 4), (33, 4), (300, 64)] {
        play(0..2, 4_000, frames, ring, false);
    }
}

/// Names each frame of the fill ring up to three times in the RX ring, and each packet sent up to twice in the completion ring.
fn repeat(kernel: &Kernel, random: &mut Random, held: &mut Vec<u64>) {
    held.extend(kernel.take_fill(random.below(8)));
    held.retain(|frame| {
        let taken = kernel.push_rx(frame + 256, 60, 0);
        for _ in 0..random.below(3) {
            kernel.push_rx(frame + 256, 60, 0);
        }
        !taken
    });
    for desc in kernel.take_tx(random.below(16)) {
        for _ in 0..1 + random.below(2) {
            kernel.push_completion(desc.addr);
        }
    }
}

#[test]
fn what_comes_twice_in_the_batches_of_an_engine_comes_home_once() {
    for seed in 0..10 {
        let random = &mut Random(seed);
        let plain = Plain::default();
        let builder = || sized(plain.builder().frames(64), [16, 16, 16, 64]);
        let first = builder().build().unwrap();
        let umem = first.umem().clone();
        let mut kernels = vec![(plain.kernel(), Vec::new())];
        let second = builder().umem(&umem).build().unwrap();
        kernels.push((plain.kernel(), Vec::new()));
        let mut engine = FluxEngine::new(first);
        assert_eq!(engine.add_port(second).unwrap(), 1);
        let mut shown = 0;
        for _ in 0..2000 {
            for (kernel, held) in &mut kernels {
                repeat(kernel, random, held);
            }
            let turn = engine.run_once(|batch| {
                batch.for_each(|packet| match random.below(4) {
                    0 => packet.recycle(),
                    1 => packet.send(),
                    _ => packet.send_to(random.below(2)).unwrap(),
                });
            });
            shown += turn.unwrap();
            let accounting = umem.accounting();
            assert!(accounting.is_conserved(), "{accounting}");
            assert_eq!(accounting.user, 0, "{accounting}");
        }
        // They are refused by both, and traffic goes on all the same.
        for port in [0, 1] {
            let rings = engine.port(port).debug_rings();
            assert!(
                rings.rx.refused > 100 && rings.completion.refused > 100,
                "{rings}"
            );
        }
        assert!(shown > 10_000, "{shown} packets");
        drop(engine);
        let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
        let frames: HashSet<_> = packets.iter().map(|packet| packet.address()).collect();
        assert_eq!((packets.len(), frames.len()), (64, 64));
    }
}
