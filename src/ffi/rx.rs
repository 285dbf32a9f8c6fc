//! A receiving and a sending half of one socket, which need no lock between them.
//!
//! The receiving half hands out packets that you own, and gives the kernel free frames. The sending
//! half sends packets, whoever received or made them, and takes their frames back. Refilling,
//! taking back and waking the kernel happen within these calls. Packets travel between threads as
//! you like.
//!
//! ```c
//! // What one half receives, the other sends: those of one socket, or of two on one UMEM.
//! static int pass_on(struct fluxcap_rx *rx, struct fluxcap_tx *tx)
//! {
//!     struct fluxcap_packet packets[64];
//!     int count, sent;
//!
//!     while ((count = fluxcap_rx_recv(rx, packets, 64, -1)) >= 0) {
//!         sent = fluxcap_tx_send(tx, packets, (uint32_t)count);
//!         // Drops what there is no room for; those that were sent have moved away.
//!         fluxcap_packets_free(packets, (uint32_t)count);
//!         if (sent < 0)
//!             return sent;
//!     }
//!     return count;
//! }
//! ```

use std::ffi::{c_char, c_int};

use super::array::print;
use super::error::{self, guard, null, quick};
use super::info::{
    fluxcap_info, fluxcap_program_counters, fluxcap_ring_state, fluxcap_statistics, ring,
    write_counters, write_info, write_statistics,
};
use super::opaque::{self, Opaque, exclusive, shared};
use super::packet::{BATCH, array, fluxcap_packet, places, pop_free};
use super::poller::{fluxcap_poller_statistics, poller, timeout};
use super::raw::{Open, fluxcap_raw};
use super::sized;
use super::tx::{self, fluxcap_tx};
use super::umem::{fluxcap_umem, write_umem};
use crate::backend::descriptor::number;
use crate::packet::batch::PacketBatch;
use crate::socket::FluxRx;

/// Mode B: the receiving half of a socket. It hands out packets that you own, and gives the kernel
/// the frames of those that were freed, on whatever thread, or sent.
pub struct fluxcap_rx {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Receiver {
    rx: FluxRx,
    batch: PacketBatch,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_rx {
    type Value = Receiver;
    const KIND: u64 = u64::from_le_bytes(*b"flux__rx");
    const NAME: &'static str = "fluxcap_rx";
    const ARGUMENT: &'static str = "rx";
    const GIVER: &'static str = "fluxcap_raw_split";
}

/// Makes two halves of a socket, which may be used on different threads at once.
///
/// They know nothing of each other, and are freed in any order. The handle of the socket is gone
/// then, with a stop that no wait has taken yet. Packets that you hold, that stand in a ring or are
/// being sent stay good. When the receiving half is gone, no more packets come, and the other one
/// still sends.
///
/// Returns 0; `*rx` and `*tx` are handles to be freed with fluxcap_rx_free() and fluxcap_tx_free().
///
/// Errors, after which the socket is as it was:
/// - -ENOMEM: not enough memory.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_split(
    raw: *mut fluxcap_raw,
    rx: *mut *mut fluxcap_rx,
    tx: *mut *mut fluxcap_tx,
) -> c_int {
    guard(|| {
        if rx.is_null() {
            return Err(null("rx"));
        }
        if tx.is_null() {
            return Err(null("tx"));
        }
        // SAFETY: as the header asks.
        let process = unsafe { shared(raw)? }.raw.umem().process();
        process.check("splitting a socket")?;
        let sending = PacketBatch::try_with_capacity(BATCH)?;
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        let (_, Open { raw, batch }) = unsafe { opaque::empty(raw)? };
        let (receiver, sender) = raw.split();
        let stopper = receiver.stopper();
        let receiver = Receiver {
            rx: receiver,
            batch,
        };
        // SAFETY: not null, so writable as the header asks.
        unsafe {
            rx.write(opaque::give_stoppable(receiver, stopper));
            tx.write(tx::open(sender, sending));
        }
        Ok(0)
    })
}

/// Takes up to `count` received packets; without any it waits for one.
///
/// It waits as the poller says, for at most `timeout_ms` milliseconds; 0: not at all, -1: for ever.
/// It tops the fill ring up, too.
///
/// Returns how many packets it wrote to `packets`; 0 when time is over, or earlier: after a signal,
/// and when nothing can ever arrive on a simulated network. Each is yours until you send, recycle
/// or free it.
///
/// Errors:
/// - -ENODEV: the interface was removed, or moved to another network namespace, which a call that
///   finds no packet tells within a tenth of a second, whether it waits or not, or its XDP program
///   was taken off, within a second.
/// - -ECANCELED: fluxcap_rx_stop() ended the wait.
/// - -EINVAL: a wait for 0 packets.
///
/// Threads: one at a time. System calls: none while packets arrive, but recvfrom() where the kernel
/// asks for a wake-up; ppoll() to sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_recv(
    rx: *mut fluxcap_rx,
    packets: *mut fluxcap_packet,
    count: u32,
    timeout_ms: c_int,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (half, places) = unsafe { (exclusive(rx)?, places(packets, count)?) };
        let mut places = places.iter_mut();
        let mut put = |packet| {
            if let Some(place) = places.next() {
                place.write(fluxcap_packet::from(packet));
            }
        };
        let mut done = 0;
        if timeout_ms != 0 {
            let first = match (count, timeout("timeout_ms", timeout_ms)?) {
                // For its error.
                (0, _) => return half.rx.recv(&mut nothing()).and_then(error::count),
                (_, Some(time)) => half.rx.recv_one_timeout(time)?,
                (_, None) => half.rx.recv_one()?,
            };
            match first {
                Some(packet) => put(packet),
                None => return Ok(0),
            }
            done = 1;
        }
        done += half.rx.recv_to(count - done, put);
        if done == 0 {
            half.rx.check()?;
        }
        error::count(done)
    })
}

/// A batch without room, which does not allocate.
fn nothing() -> PacketBatch {
    PacketBatch::with_capacity(0)
}

/// Gives the frames of packets straight back to the kernel, for new packets.
///
/// That is cheaper than to free them.
///
/// Returns 0; their `data` is NULL then.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM.
///
/// In an array of more than 256 packets, those before may be taken first: their `data` is NULL.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_recycle(
    rx: *mut fluxcap_rx,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (half, packets) = unsafe { (exclusive(rx)?, array(packets, count)?) };
        for part in packets.chunks_mut(BATCH) {
            pop_free(part, half.rx.umem().frames(), &mut half.batch)?;
            half.rx.recycle(&mut half.batch)?;
        }
        Ok(0)
    })
}

/// Tops the fill ring up with free frames.
///
/// fluxcap_rx_recv() does that, too.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_refill(rx: *mut fluxcap_rx) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        error::count(unsafe { exclusive(rx)? }.rx.refill())
    })
}

/// Sets how fluxcap_rx_recv() waits. At first it is FLUXCAP_POLLER_ADAPTIVE.
///
/// `poller` is one of FLUXCAP_POLLER_…; `spin_us` is how long FLUXCAP_POLLER_ADAPTIVE spins after
/// the last packet, in microseconds; 0: 50. The counters of fluxcap_rx_get_poller_statistics()
/// begin anew.
///
/// Returns 0.
///
/// Errors, after which the poller is as before:
/// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with another poller.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_set_poller(
    rx: *mut fluxcap_rx,
    poller: u32,
    spin_us: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let half = unsafe { exclusive(rx)? };
        half.rx.set_poller(self::poller(poller, spin_us)?);
        Ok(0)
    })
}

/// What the poller did since it was set.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_poller_statistics(
    rx: *const fluxcap_rx,
    statistics: *mut fluxcap_poller_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let counted = unsafe { shared(rx)? }.rx.poller_statistics();
        let value = fluxcap_poller_statistics {
            struct_size: 0,
            reserved: 0,
            spins: counted.spins,
            sleeps: counted.sleeps,
            switches: counted.switches,
        };
        // SAFETY: as the header asks.
        unsafe { sized::write("statistics", statistics, &value) }.map(|()| 0)
    })
}

/// Ends a wait in fluxcap_rx_recv(), which is -ECANCELED then.
///
/// Without one it ends the next, before it begins, so that no stop is lost; a call with a
/// `timeout_ms` of 0 does not wait, and leaves it to the next that does.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `rx` is no open receiving half.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_stop(rx: *const fluxcap_rx) -> c_int {
    // SAFETY: null or an open handle, as the header asks.
    unsafe { opaque::stop(rx) }
}

/// A file descriptor to wait for packets on, together with others, as with epoll.
///
/// It is readable while packets wait; when frames come home that the fill ring was out of, from
/// whatever thread they were freed on; and about once a second, so that a loop sees whether the
/// interface is still there. Then call fluxcap_rx_recv() with a `timeout_ms` of 0, until it returns
/// 0 or an error: it brings frames that came home to the fill ring, and makes the descriptor
/// unreadable again. A loop that frees packets need not do more. It is not the descriptor of the
/// other half, fluxcap_tx_fd().
///
/// Returns the descriptor. It stays the half's own: do not close it.
///
/// Errors:
/// - -EMFILE: the first call opens descriptors, and no more files can be opened.
/// - -EOPNOTSUPP: there are none outside of Linux.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_fd(rx: *const fluxcap_rx) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { shared(rx)? }.rx.fd().map(number)
    })
}

/// What the socket is, as fluxcap_raw_get_info().
///
/// Returns 0, and fills in `*info`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_info(
    rx: *const fluxcap_rx,
    info: *mut fluxcap_info,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let rx = &unsafe { shared(rx)? }.rx;
        // SAFETY: as the header asks.
        unsafe { write_info(info, rx.report(), rx.umem(), rx.interface()) }
    })
}

/// What the kernel counted for the socket, both halves, and what this one received.
///
/// `sent` is 0.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_statistics(
    rx: *const fluxcap_rx,
    statistics: *mut fluxcap_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let rx = &unsafe { shared(rx)? }.rx;
        // SAFETY: as the header asks.
        unsafe { write_statistics(statistics, rx.statistics()?, (rx.total(), 0)) }
    })
}

/// What the XDP program counted for the whole interface.
///
/// All is 0 without a program of this library.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors:
/// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
///
/// Threads: several at once. System calls: bpf().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_program_counters(
    rx: *const fluxcap_rx,
    counters: *mut fluxcap_program_counters,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let program = unsafe { shared(rx)? }.rx.program_counters()?;
        // SAFETY: as the header asks.
        unsafe { write_counters(counters, program) }
    })
}

/// The fill ring and the RX ring, as they stand.
///
/// They are zeros in a forked child.
///
/// Returns 0, and fills in `*fill` and `*ring`.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_rings(
    rx: *const fluxcap_rx,
    fill: *mut fluxcap_ring_state,
    ring: *mut fluxcap_ring_state,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let states = unsafe { shared(rx)? }.rx.debug_rings();
        if fill.is_null() {
            return Err(null("fill"));
        }
        if ring.is_null() {
            return Err(null("ring"));
        }
        // SAFETY: not null, so writable as the header asks.
        unsafe {
            fill.write(self::ring(states.0));
            ring.write(self::ring(states.1));
        }
        Ok(0)
    })
}

/// What became of each requested setting, as text: see fluxcap_raw_format_report().
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_format_report(
    rx: *const fluxcap_rx,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(shared(rx)?.rx.report(), text, size) }
    })
}

/// Gives a handle to the UMEM of the socket: see fluxcap_raw_get_umem().
///
/// Returns 0; `*umem` is a handle to be freed with fluxcap_umem_free().
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_get_umem(
    rx: *const fluxcap_rx,
    umem: *mut *mut fluxcap_umem,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { write_umem(umem, shared(rx)?.rx.umem()) }
    })
}

/// Closes the receiving half: no more packets come.
///
/// Packets that you still hold stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rx_free(rx: *mut fluxcap_rx) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(rx) });
        Ok(0)
    });
}
