//! The sending half of a socket.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use super::array::{bytes, print};
use super::error::{count, guard, null, quick};
use super::info::{
    fluxcap_info, fluxcap_ring_state, fluxcap_statistics, ring, write_info, write_statistics,
};
use super::opaque::{self, Opaque, exclusive, shared};
use super::packet::{BATCH, array, fill, fluxcap_packet, give, places, take_for_sending};
use super::poller::timeout;
use super::umem::{fluxcap_umem, write_umem};
use crate::backend::descriptor::number;
use crate::error::{ErrorKind, Result};
use crate::packet::batch::PacketBatch;
use crate::socket::FluxTx;

/// Mode B: the sending half of a socket. It sends packets that you own, received or made, and takes
/// their frames back when they were sent.
///
/// When packets were given to the kernel and for a second nothing has moved, the next call is
/// -ETIME, and fluxcap_last_error() names driver and kernel; see fluxcap_tx_set_patience().
pub struct fluxcap_tx {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Sender {
    tx: FluxTx,
    batch: PacketBatch,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_tx {
    type Value = Sender;
    const KIND: u64 = u64::from_le_bytes(*b"flux__tx");
    const NAME: &'static str = "fluxcap_tx";
    const ARGUMENT: &'static str = "tx";
    const GIVER: &'static str = "fluxcap_raw_split";
}

/// Makes a handle of a half.
pub(super) fn open(tx: FluxTx, batch: PacketBatch) -> *mut fluxcap_tx {
    let stopper = tx.stopper();
    opaque::give_stoppable(Sender { tx, batch }, stopper)
}

/// Sends packets, in order from the front of the array.
///
/// It takes sent frames back and calls the kernel, as often as that helps. What sent means, and who
/// counts what a device drops, fluxcap_raw_send() tells.
///
/// Returns how many were taken; their `data` is NULL then. The others are still yours:
/// fluxcap_tx_wait(), and try again.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM (for that see fluxcap_tx_copy()).
/// - -EMSGSIZE: a packet is empty, or leaves its frame.
///
/// In an array of more than 256 packets, or of more than the TX ring has room for, those before may
/// be taken first: the count says so, and a later call the error.
///
/// Errors, after which packets whose `data` is NULL were taken, to be sent when that has changed:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed.
/// - -ETIME: nothing has left for the patience of this half: see fluxcap_tx_set_patience().
///
/// Threads: one at a time. System calls: sendto(), where the kernel asks for a wake-up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_send(
    tx: *mut fluxcap_tx,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (half, packets) = unsafe { (exclusive(tx)?, array(packets, count)?) };
        let mut done = 0;
        while done < packets.len() {
            let end = packets.len().min(done + BATCH);
            match send_part(half, &mut packets[done..end]) {
                Ok(0) => break,
                Ok(sent) => done += sent,
                // What was sent is sent; the caller meets the error at the front of the rest.
                Err(error) if done > 0 && error.kind() == ErrorKind::Invalid => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done as c_int)
    })
}

/// Sends up to a batch from the front of the array.
///
/// A packet that is not sent is not touched, so that copies of it stay good: only as many are taken
/// as there is room for, and only when all of them can be sent.
fn send_part(half: &mut Sender, part: &mut [fluxcap_packet]) -> Result<usize> {
    let Sender { tx, batch } = half;
    let mut room = tx.room() as usize;
    if room < part.len() {
        tx.kick()?;
        room = tx.room() as usize;
    }
    let count = part.len().min(room);
    let part = &mut part[..count];
    take_for_sending(part, tx.umem().frames(), batch)?;
    let sent = tx.send(batch);
    let left = batch.len();
    give(batch, &mut part[count - left..]);
    sent.map(|_| count - left)
}

/// Takes up to `count` free frames, for packets to send.
///
/// They become packets of length 0. Set `len`, fill in the bytes, and send them. If there are not
/// enough, sent frames are taken back.
///
/// Returns how many packets it wrote to `packets`; fewer, even 0, when that does not help, and 0 in
/// a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_alloc(
    tx: *mut fluxcap_tx,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (half, places) = unsafe { (exclusive(tx)?, places(packets, count)?) };
        let Sender { tx, batch } = half;
        Ok(fill(places, batch, |batch, max| {
            tx.alloc_at_most(batch, max)
        }))
    })
}

/// Makes a packet with a copy of `len` bytes at `data`, in a free frame.
///
/// For packets that lie in another UMEM.
///
/// Returns 1, and writes the packet to `*packet`; 0 when no frame is free now.
///
/// Errors:
/// - -EMSGSIZE: the bytes do not fit into a frame.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_copy(
    tx: *mut fluxcap_tx,
    data: *const c_void,
    len: usize,
    packet: *mut fluxcap_packet,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let half = unsafe { exclusive(tx)? };
        // SAFETY: as the header asks.
        let bytes = unsafe { bytes("data", data, len)? };
        if packet.is_null() {
            return Err(null("packet"));
        }
        let Some(copy) = half.tx.copy(bytes)? else {
            return Ok(0);
        };
        // SAFETY: not null, so writable as the header asks.
        unsafe { packet.write(copy.into()) };
        Ok(1)
    })
}

/// Takes the frames of sent packets back.
///
/// All calls that send do that, too. A half that does not send for a while keeps them: call it
/// then.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_reap(tx: *mut fluxcap_tx) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        count(unsafe { exclusive(tx)? }.tx.reap())
    })
}

/// Takes sent frames back, and makes the kernel send what is in the TX ring, if it asks for that.
///
/// Returns 0.
///
/// Errors, after which the packets stay in the ring:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed.
/// - -ETIME: nothing has left for the patience of this half: see fluxcap_tx_set_patience().
///
/// Threads: one at a time. System calls: sendto(), where the kernel asks for a wake-up, as often as
/// packets leave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_kick(tx: *mut fluxcap_tx) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        unsafe { exclusive(tx)? }.tx.kick().map(|()| 0)
    })
}

/// Sends everything in the TX ring and takes the frames back.
///
/// It waits for at most `timeout_ms` milliseconds; -1: without end.
///
/// Returns 1 when the kernel has no packet left, 0 when time ran out.
///
/// Errors:
/// - -ENETDOWN, -ENODEV, -ETIME: as fluxcap_tx_kick().
/// - -ECANCELED: fluxcap_tx_stop() ended it.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_flush(tx: *mut fluxcap_tx, timeout_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let half = unsafe { exclusive(tx)? };
        let time = timeout("timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX);
        half.tx.flush(time).map(c_int::from)
    })
}

/// Waits until the TX ring has room.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. Takes sent frames back and calls
/// the kernel meanwhile. If it has to wait, then until the ring is at most half full.
///
/// Returns 1 when there is room, 0 otherwise: when time ran out, after a signal, and when nothing
/// can ever leave on a simulated network.
///
/// Errors:
/// - -ENETDOWN, -ENODEV, -ETIME: as fluxcap_tx_kick().
/// - -ECANCELED: fluxcap_tx_stop() ended it, which a wait of 0 leaves to the next one.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_wait(tx: *mut fluxcap_tx, timeout_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let half = unsafe { exclusive(tx)? };
        half.tx
            .wait(timeout("timeout_ms", timeout_ms)?)
            .map(c_int::from)
    })
}

/// Ends a wait in fluxcap_tx_wait() or fluxcap_tx_flush(), which is -ECANCELED then.
///
/// Without one it ends the next that has to wait, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `tx` is no open sending half.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_stop(tx: *const fluxcap_tx) -> c_int {
    // SAFETY: null or an open handle, as the header asks.
    unsafe { opaque::stop(tx) }
}

/// How many packets the TX ring has room for now.
///
/// Returns that number; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_room(tx: *mut fluxcap_tx) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        count(unsafe { exclusive(tx)? }.tx.room())
    })
}

/// How many packets were given to the kernel whose frames have not been taken back.
///
/// Returns that number.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_outstanding(tx: *const fluxcap_tx) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let outstanding = unsafe { shared(tx)? }.tx.outstanding();
        Ok(c_int::try_from(outstanding).unwrap_or(c_int::MAX))
    })
}

/// Sets how long nothing may leave, while the kernel has packets, until a call is -ETIME.
///
/// In milliseconds; -1: for ever. At first it is 1000. It runs while the half is in use:
/// fluxcap_tx_send(), fluxcap_tx_kick(), fluxcap_tx_flush() and fluxcap_tx_wait() look.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_set_patience(tx: *mut fluxcap_tx, patience_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let half = unsafe { exclusive(tx)? };
        let patience = timeout("patience_ms", patience_ms)?.unwrap_or(Duration::MAX);
        half.tx.set_patience(patience);
        Ok(0)
    })
}

/// A file descriptor to wait for room on, together with others, as with epoll.
///
/// It is writable while the TX ring is at most half full. It is the socket's, and readable while
/// packets wait. Wake-ups may be spurious.
///
/// Returns the descriptor. It stays the half's own: do not close it.
///
/// Errors:
/// - -EMFILE: a simulated socket gets one when somebody asks, and no more files can be opened.
/// - -EOPNOTSUPP: a simulated socket gets none outside of Linux.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_fd(tx: *const fluxcap_tx) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { shared(tx)? }.tx.fd().map(number)
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
pub unsafe extern "C" fn fluxcap_tx_get_info(
    tx: *const fluxcap_tx,
    info: *mut fluxcap_info,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let tx = &unsafe { shared(tx)? }.tx;
        // SAFETY: as the header asks.
        unsafe { write_info(info, tx.report(), tx.umem(), tx.interface()) }
    })
}

/// What the kernel counted for the socket, both halves, and what this one sent.
///
/// `received` is 0.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_get_statistics(
    tx: *const fluxcap_tx,
    statistics: *mut fluxcap_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let tx = &unsafe { shared(tx)? }.tx;
        // SAFETY: as the header asks.
        unsafe { write_statistics(statistics, tx.statistics()?, (0, tx.total())) }
    })
}

/// The TX ring and the completion ring, as they stand.
///
/// They are zeros in a forked child.
///
/// Returns 0, and fills in `*ring` and `*completion`.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_get_rings(
    tx: *const fluxcap_tx,
    ring: *mut fluxcap_ring_state,
    completion: *mut fluxcap_ring_state,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let states = unsafe { shared(tx)? }.tx.debug_rings();
        if ring.is_null() {
            return Err(null("ring"));
        }
        if completion.is_null() {
            return Err(null("completion"));
        }
        // SAFETY: not null, so writable as the header asks.
        unsafe {
            ring.write(self::ring(states.0));
            completion.write(self::ring(states.1));
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
pub unsafe extern "C" fn fluxcap_tx_format_report(
    tx: *const fluxcap_tx,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(shared(tx)?.tx.report(), text, size) }
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
pub unsafe extern "C" fn fluxcap_tx_get_umem(
    tx: *const fluxcap_tx,
    umem: *mut *mut fluxcap_umem,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { write_umem(umem, shared(tx)?.tx.umem()) }
    })
}

/// Closes the sending half.
///
/// What is in the TX ring may be sent or not: fluxcap_tx_flush() before makes sure. Packets that
/// you still hold stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tx_free(tx: *mut fluxcap_tx) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(tx) });
        Ok(0)
    });
}
