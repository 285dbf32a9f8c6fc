//! The kernel's end of sending, done outside of what is measured: the rings are mapped a second time.

use std::error::Error;
use std::io;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long the kernel may take to send 256 packets, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// The indices and the flags of a socket's TX ring and completion ring.
pub(crate) struct TxRings {
    socket: i32,
    tx_producer: NonNull<AtomicU32>,
    tx_consumer: NonNull<AtomicU32>,
    tx_flags: NonNull<AtomicU32>,
    completed: NonNull<AtomicU32>,
}

impl TxRings {
    /// Those of a socket that stays open as long as this value. They stay mapped until the process ends.
    pub(crate) fn of(socket: i32) -> Result<Self> {
        // SAFETY: all zero is a value of it.
        let mut offsets: libc::xdp_mmap_offsets = unsafe { mem::zeroed() };
        let mut size = size_of_val(&offsets) as libc::socklen_t;
        // SAFETY: the kernel writes at most `size` bytes.
        let result = unsafe {
            libc::getsockopt(
                socket,
                libc::SOL_XDP,
                libc::XDP_MMAP_OFFSETS,
                (&raw mut offsets).cast(),
                &raw mut size,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error().into());
        }
        let tx = map(socket, offsets.tx.desc, libc::XDP_PGOFF_TX_RING)?;
        let pages = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let completion = map(socket, offsets.cr.desc, pages)?;
        // SAFETY: the kernel names places within what was mapped, each of them 32 bits.
        let at = |base: NonNull<u8>, offset: u64| unsafe { base.add(offset as usize).cast() };
        Ok(Self {
            socket,
            tx_producer: at(tx, offsets.tx.producer),
            tx_consumer: at(tx, offsets.tx.consumer),
            tx_flags: at(tx, offsets.tx.flags),
            completed: at(completion, offsets.cr.producer),
        })
    }

    /// Takes back the kernel's wish to be woken, as a driver does that is awake.
    pub(crate) fn want_no_wakeup(&self) {
        word(self.tx_flags).store(0, Ordering::Relaxed);
    }

    /// Sends what stands in the TX ring and waits until it has been completed.
    pub(crate) fn transmit(&self) -> Result<()> {
        let producer = word(self.tx_producer).load(Ordering::Acquire);
        let end = Instant::now() + PATIENCE;
        while word(self.tx_consumer).load(Ordering::Acquire) != producer
            || word(self.completed).load(Ordering::Acquire) != producer
        {
            // SAFETY: the socket is open; nothing is read.
            let result = unsafe {
                libc::sendto(
                    self.socket,
                    ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    ptr::null(),
                    0,
                )
            };
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // The usual answers where packets are left, or where the cable is full.
                _ if result >= 0 => {}
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => {}
                _ => return Err(format!("sending: {error}").into()),
            }
            if Instant::now() > end {
                return Err("packets were not sent within 10 s".into());
            }
            // The kernel may have left the far end's work to a thread that shares this CPU.
            thread::yield_now();
        }
        Ok(())
    }
}

fn word(place: NonNull<AtomicU32>) -> &'static AtomicU32 {
    // SAFETY: aligned, shared with the kernel as atomic words, and never unmapped.
    unsafe { place.as_ref() }
}

/// The head of a ring, up to its descriptors.
fn map(socket: i32, length: u64, ring: libc::off_t) -> Result<NonNull<u8>> {
    // SAFETY: a new mapping at a place that the kernel chooses.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            socket,
            ring,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error().into());
    }
    Ok(NonNull::new(at.cast()).ok_or("no memory at address 0")?)
}
