//! Whole descriptors at a time: the loops over each packet of a batch that an engine spends most of its time in.
//!
//! On x86-64 they are written with SSE2, which each of these processors has, because compilers turn the plain ones into twice as many
//! instructions. Both do the same.

use super::burst::Slot;
use crate::ring::Desc;

#[cfg(not(target_arch = "x86_64"))]
pub(super) use plain::{copy_united, show, unite, unite_differences};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{copy_united, show, unite, unite_differences};

/// Asks for the cache line at an address. That may be any: nothing is read from it, and it cannot fault.
#[inline(always)]
pub(super) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it, and it takes any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which takes any address and changes nothing that a program can see.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// In plain Rust, for the other processors, and as the measure of the loops above.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::*;

    /// Fills the slots with what the descriptors say, with `base` added to their addresses, and writes the addresses to `fill`; returns
    /// the descriptors united. All three are of one length.
    pub(in super::super) fn show(
        run: &[Desc],
        slots: &mut [Slot],
        fill: &mut [u64],
        base: u64,
    ) -> [u64; 2] {
        let mut all = [0; 2];
        for ((desc, slot), place) in run.iter().zip(slots).zip(fill) {
            let [addr, rest] = desc.words();
            *place = addr;
            *slot = Slot::of_words([addr.wrapping_add(base), rest]);
            all = [all[0] | addr, all[1] | rest];
        }
        all
    }

    /// Copies the addresses to the front of a run that is at least as long, and returns them united.
    pub(in super::super) fn copy_united(from: &[u64], to: &mut [u64]) -> u64 {
        let mut all = 0;
        for (addr, place) in from.iter().zip(to) {
            *place = *addr;
            all |= addr;
        }
        all
    }

    /// The slots united.
    pub(in super::super) fn unite(slots: &[Slot]) -> [u64; 2] {
        slots.iter().fold([0; 2], |all, slot| {
            let [data, rest] = slot.words();
            [all[0] | data, all[1] | rest]
        })
    }

    /// Writes the slots with `added` taken off to `tx`, and returns, united, in what these differ from the descriptors. All three are of
    /// one length.
    pub(in super::super) fn unite_differences(
        run: &[Desc],
        slots: &[Slot],
        tx: &mut [Desc],
        added: [u64; 2],
    ) -> [u64; 2] {
        let mut all = [0; 2];
        for ((desc, slot), place) in run.iter().zip(slots).zip(tx) {
            let ([addr, rest], [data, stands]) = (desc.words(), slot.words());
            let words = [data.wrapping_sub(added[0]), stands.wrapping_sub(added[1])];
            *place = Desc::of_words(words);
            all = [all[0] | words[0] ^ addr, all[1] | words[1] ^ rest];
        }
        all
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi64, _mm_load_si128, _mm_loadu_si128, _mm_or_si128, _mm_set_epi64x,
        _mm_setzero_si128, _mm_store_si128, _mm_storel_epi64, _mm_storeu_si128, _mm_sub_epi64,
        _mm_xor_si128,
    };
    use std::mem;

    use super::*;

    const _: () = assert!(size_of::<Desc>() == 16 && size_of::<Slot>() == 16);

    #[inline]
    fn load<T>(value: &T) -> __m128i {
        const { assert!(size_of::<T>() == 16 && align_of::<T>() == 16) }
        // SAFETY: sixteen readable, aligned bytes.
        unsafe { _mm_load_si128((&raw const *value).cast()) }
    }

    #[inline]
    fn words(value: __m128i) -> [u64; 2] {
        // SAFETY: sixteen bytes become sixteen bytes for which every bit pattern is a value.
        unsafe { mem::transmute(value) }
    }

    #[inline]
    fn pair([low, high]: [u64; 2]) -> __m128i {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { _mm_set_epi64x(high as i64, low as i64) }
    }

    #[inline(always)]
    pub(in super::super) fn show(
        run: &[Desc],
        slots: &mut [Slot],
        fill: &mut [u64],
        base: u64,
    ) -> [u64; 2] {
        let base = pair([base, 0]);
        // Several, or else descriptors would be copied to be united with each other first.
        let mut all = [pair([0, 0]); 4];
        let one = |all: &mut __m128i, desc: &Desc, slot: &mut Slot, place: &mut u64| {
            let desc = load(desc);
            // SAFETY: every x86-64 processor has SSE2; a slot has sixteen aligned bytes for which every bit pattern is a value, a place eight.
            unsafe {
                *all = _mm_or_si128(*all, desc);
                _mm_storel_epi64((&raw mut *place).cast(), desc);
                _mm_store_si128((&raw mut *slot).cast(), _mm_add_epi64(desc, base));
            }
        };
        let (runs, last) = run.as_chunks::<16>();
        let (chunks, last_slots) = slots.as_chunks_mut::<16>();
        let (places, last_places) = fill.as_chunks_mut::<16>();
        for ((run, slots), places) in runs.iter().zip(chunks).zip(places) {
            for index in 0..16 {
                let all = &mut all[index % 4];
                one(all, &run[index], &mut slots[index], &mut places[index]);
            }
        }
        for ((desc, slot), place) in last.iter().zip(last_slots).zip(last_places) {
            one(&mut all[0], desc, slot, place);
        }
        let [a, b, c, d] = all.map(words);
        [a[0] | b[0] | c[0] | d[0], a[1] | b[1] | c[1] | d[1]]
    }

    #[inline(always)]
    pub(in super::super) fn copy_united(from: &[u64], to: &mut [u64]) -> u64 {
        let (chunks, last) = from.as_chunks::<16>();
        let (places, last_places) = to[..from.len()].as_chunks_mut::<16>();
        // SAFETY: every x86-64 processor has SSE2.
        let mut all = unsafe { _mm_setzero_si128() };
        for (addrs, places) in chunks.iter().zip(places) {
            let (pairs, _) = addrs.as_chunks::<2>();
            let (twos, _) = places.as_chunks_mut::<2>();
            for (addrs, places) in pairs.iter().zip(twos) {
                // SAFETY: as above; both are sixteen bytes for which every bit pattern is a value.
                unsafe {
                    let addrs = _mm_loadu_si128((&raw const *addrs).cast());
                    _mm_storeu_si128((&raw mut *places).cast(), addrs);
                    all = _mm_or_si128(all, addrs);
                }
            }
        }
        let [mut all, other] = words(all);
        all |= other;
        for (addr, place) in last.iter().zip(last_places) {
            *place = *addr;
            all |= addr;
        }
        all
    }

    #[inline(always)]
    pub(in super::super) fn unite(slots: &[Slot]) -> [u64; 2] {
        // SAFETY: every x86-64 processor has SSE2.
        let mut all = unsafe { _mm_setzero_si128() };
        // SAFETY: as above.
        let mut one = |slot| all = unsafe { _mm_or_si128(all, load::<Slot>(slot)) };
        let (runs, last) = slots.as_chunks::<16>();
        for slots in runs {
            slots.iter().for_each(&mut one);
        }
        last.iter().for_each(&mut one);
        words(all)
    }

    #[inline(always)]
    pub(in super::super) fn unite_differences(
        run: &[Desc],
        slots: &[Slot],
        tx: &mut [Desc],
        added: [u64; 2],
    ) -> [u64; 2] {
        let added = pair(added);
        let mut all = pair([0, 0]);
        let mut one = |desc: &Desc, slot: &Slot, place: &mut Desc| {
            // SAFETY: every x86-64 processor has SSE2; a descriptor has sixteen aligned bytes for which every bit pattern is a value.
            unsafe {
                let words = _mm_sub_epi64(load(slot), added);
                _mm_store_si128((&raw mut *place).cast(), words);
                all = _mm_or_si128(all, _mm_xor_si128(words, load(desc)));
            }
        };
        let (runs, last) = run.as_chunks::<16>();
        let (chunks, last_slots) = slots.as_chunks::<16>();
        let (places, last_places) = tx.as_chunks_mut::<16>();
        for ((run, slots), places) in runs.iter().zip(chunks).zip(places) {
            for index in 0..16 {
                one(&run[index], &slots[index], &mut places[index]);
            }
        }
        for ((desc, slot), place) in last.iter().zip(last_slots).zip(last_places) {
            one(desc, slot, place);
        }
        words(all)
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn descs(count: usize) -> Vec<Desc> {
        let desc = |number: usize| Desc {
            addr: ((number as u64 + 1) << 33) + 0x700 + number as u64,
            len: 60 + number as u32,
            options: (number % 3) as u32,
        };
        (0..count).map(desc).collect()
    }

    #[test]
    fn both_ways_do_the_same_at_every_length() {
        for count in 0..40 {
            let run = descs(count);
            let mut slots = [vec![Slot::EMPTY; count], vec![Slot::EMPTY; count]];
            let mut fill = [vec![0; count], vec![0; count]];
            let base = u64::MAX - 0x1000;
            assert_eq!(
                show(&run, &mut slots[0], &mut fill[0], base),
                plain::show(&run, &mut slots[1], &mut fill[1], base)
            );
            assert_eq!(fill[0], fill[1]);
            for more in 0..20 {
                let mut copies = [vec![0; count + more], vec![0; count + more]];
                assert_eq!(
                    copy_united(&fill[0], &mut copies[0]),
                    plain::copy_united(&fill[0], &mut copies[1])
                );
                assert_eq!(copies[0], copies[1]);
                assert_eq!(copies[0][..count], fill[0]);
                assert_eq!(copies[0][count..], vec![0; more]);
            }
            let words = |slots: &[Slot]| slots.iter().map(|slot| slot.words()).collect::<Vec<_>>();
            assert_eq!(words(&slots[0]), words(&slots[1]));
            assert_eq!(unite(&slots[0]), plain::unite(&slots[0]));
            for odd in 0..=count {
                let mut slots = slots[0].clone();
                if odd < count {
                    slots[odd].verdict ^= 1 << (odd % 32);
                    slots[odd].len ^= 8;
                }
                let mut tx = [vec![Desc::default(); count], vec![Desc::default(); count]];
                let added = [base, 0];
                let found = unite_differences(&run, &slots, &mut tx[0], added);
                let told = plain::unite_differences(&run, &slots, &mut tx[1], added);
                assert_eq!(found, told);
                assert_eq!(found == [0, 0], odd == count);
                assert_eq!(tx[0], tx[1]);
                assert_eq!(tx[0] == run, odd == count);
            }
        }
    }
}
