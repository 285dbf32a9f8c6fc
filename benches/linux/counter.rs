//! The finest counter that a process can read without a system call.

/// What a difference of two readings counts, per packet.
#[cfg(target_arch = "x86_64")]
pub(crate) const UNIT: &str = "cycles/packet";
#[cfg(target_arch = "aarch64")]
pub(crate) const UNIT: &str = "ticks of CNTVCT/packet";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) const UNIT: &str = "ns/packet";

/// The time stamp counter, which counts at one rate whatever the CPU's clock does. Everything before is done, nothing after begun.
#[cfg(target_arch = "x86_64")]
pub(crate) fn read() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 CPU has both.
    unsafe {
        _mm_lfence();
        let counter = _rdtsc();
        _mm_lfence();
        counter
    }
}

/// The virtual counter of the generic timer.
#[cfg(target_arch = "aarch64")]
pub(crate) fn read() -> u64 {
    let counter;
    // SAFETY: Linux lets every process read this register.
    unsafe { std::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) counter) };
    counter
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn read() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}
