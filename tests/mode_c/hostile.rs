//! A hostile kernel.

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
