//! The calling thread: the CPUs it may run on, and a guard against pthread_cancel(3).

use std::ffi::c_int;
use std::fmt::Write;
use std::marker::PhantomData;
use std::thread;
use std::time::Duration;

use crate::backend::linux::errors::{check, unexpected};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// `PTHREAD_CANCEL_DISABLE` of glibc and musl.
const DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// While it lives, this thread is not cancelled: a request takes effect at the next cancellation point afterwards.
///
/// A cancellation unwinds the stack, which no Rust function may be left by. It happens in functions of libc, of which every one that may
/// take long, and some others, is such a point: so all calls of those are made under this. Async-signal-safe.
#[derive(Debug)]
pub(crate) struct CancelGuard {
    before: c_int,
    /// It belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl CancelGuard {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            before: set_cancel_state(DISABLE),
            _thread: PhantomData,
        }
    }
}

impl Drop for CancelGuard {
    #[inline]
    fn drop(&mut self) {
        set_cancel_state(self.before);
    }
}

/// Sets the state of this thread, and returns the one before.
#[inline]
fn set_cancel_state(state: c_int) -> c_int {
    let mut before = DISABLE;
    // Miri has no such call, and cancels nothing.
    if !cfg!(miri) {
        // SAFETY: `before` is writable. It fails for an unknown state only, and this is one of the two, or what the thread had.
        unsafe { pthread_setcancelstate(state, &mut before) };
    }
    before
}

/// CPUs that a kernel can be built for, at most.
const MAX_CPUS: u32 = 8192;

/// A set of CPUs, as the kernel reads and writes it: one bit each.
struct CpuSet([libc::c_ulong; CpuSet::WORDS]);

impl CpuSet {
    const WORDS: usize = (MAX_CPUS / libc::c_ulong::BITS) as usize;

    fn of(cpus: impl Iterator<Item = u32>) -> Self {
        let mut words = [0; Self::WORDS];
        for cpu in cpus {
            if let Some(word) = words.get_mut((cpu / libc::c_ulong::BITS) as usize) {
                *word |= 1 << (cpu % libc::c_ulong::BITS);
            }
        }
        Self(words)
    }

    fn cpus(&self) -> Vec<u32> {
        let bit = |cpu: u32| {
            self.0[(cpu / libc::c_ulong::BITS) as usize] >> (cpu % libc::c_ulong::BITS) & 1 == 1
        };
        (0..MAX_CPUS).filter(|&cpu| bit(cpu)).collect()
    }

    /// Those of this thread.
    fn current() -> Result<Self, i32> {
        let mut set = Self([0; Self::WORDS]);
        // SAFETY: the kernel writes at most the size of the array, in which every bit pattern is valid.
        let result =
            unsafe { libc::sched_getaffinity(0, size_of_val(&set.0), set.0.as_mut_ptr().cast()) };
        check(result).map(|_| set)
    }

    /// Lets this thread run only there.
    fn apply(&self) -> Result<(), i32> {
        // SAFETY: the kernel reads the size of the array.
        let result =
            unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), self.0.as_ptr().cast()) };
        check(result).map(drop)
    }
}

/// Pins the calling thread to a CPU.
pub(crate) fn pin(cpu: u32) -> Result<()> {
    let tried = || format!("pinning this thread to CPU {cpu}");
    // The set is empty, and refused, for a CPU beyond its end.
    match CpuSet::of([cpu].into_iter()).apply() {
        Ok(()) => Ok(()),
        Err(errno::EINVAL) => Err(FluxError::new(
            ErrorKind::Invalid,
            errno::EINVAL,
            tried(),
            "there is no such CPU, or this process may not use it",
            format_args!("use one of {}", ranges(&allowed())),
        )),
        Err(error) => Err(unexpected(tried(), error)),
    }
}

/// The CPUs that the calling thread may run on.
pub(crate) fn cpus() -> Result<Vec<u32>> {
    match CpuSet::current() {
        Ok(set) => Ok(set.cpus()),
        Err(error) => Err(unexpected("asking for the CPUs of this thread", error)),
    }
}

/// The CPUs that this thread could be pinned to, wherever it is pinned now.
fn allowed() -> Vec<u32> {
    // The kernel takes from a request for all those that it allows. A thread of its own asks, so that this one stays where it is.
    let ask = || {
        CpuSet::of(0..MAX_CPUS).apply().ok()?;
        CpuSet::current().ok()
    };
    let asked = thread::Builder::new().spawn(ask).ok();
    let found = asked.and_then(|thread| thread.join().ok()?);
    found.map_or_else(|| cpus().unwrap_or_default(), |set| set.cpus())
}

/// Numbers in rising order, as people write them: "0-3, 8".
fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|one, next| one + 1 == *next) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}-{last}")
        };
    }
    text
}

/// A clock that costs no system call and stands still for some milliseconds at a time.
pub(crate) fn coarse_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel, or its page in this process, writes one time. It stays zero where there is no such clock, which is none.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_each_cpu_that_it_may_use_and_from_there_to_another() {
        thread::spawn(|| {
            let before = cpus().unwrap();
            assert!(!before.is_empty());
            for &cpu in &before {
                pin(cpu).unwrap();
                assert_eq!(cpus().unwrap(), [cpu]);
            }
            assert_eq!(allowed(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_refused_and_those_that_do_are_named() {
        thread::spawn(|| {
            let before = cpus().unwrap();
            let all = ranges(&allowed());
            pin(before[0]).unwrap();
            for cpu in [MAX_CPUS - 1, MAX_CPUS, u32::MAX] {
                let error = pin(cpu).unwrap_err();
                assert_eq!(
                    (error.kind(), error.errno()),
                    (ErrorKind::Invalid, errno::EINVAL)
                );
                let text = error.to_string();
                assert!(text.contains(&format!("CPU {cpu}:")), "{text}");
                assert!(text.ends_with(&format!("use one of {all}")), "{text}");
            }
            assert_eq!(cpus().unwrap(), before[..1]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn cpus_in_a_row_are_written_as_a_range() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[0, 1, 2, 3, 8, 10, 11]), "0-3, 8, 10-11");
        let cpus = [0, 63, 64, MAX_CPUS - 1];
        assert_eq!(CpuSet::of(cpus.into_iter()).cpus(), cpus);
    }
}
