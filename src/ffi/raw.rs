//! You serve the four rings yourself, in batches.
//!
//! Received packets are taken as packets that you own (fluxcap_raw_recv()), or looked at in place:
//! peek, work on the bytes, and consume them from the front by recycling or forwarding. Two things
//! must happen regularly, in whatever order: the fill ring gets free frames (refill), or the kernel
//! drops what arrives; and sent frames are taken back (reap), or it stops sending.
//! fluxcap_raw_wait() does both.
//!
//! ```c
//! // Sends every packet back to where it came from.
//! static int reflect(struct fluxcap_raw *raw)
//! {
//!     uint8_t *umem = fluxcap_raw_data(raw);
//!     const struct fluxcap_desc *descs;
//!     int result;
//!
//!     do {
//!         result = fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1);
//!         if (result < 0)
//!             break;
//!         result = fluxcap_raw_peek(raw, 64, &descs);
//!         if (result < 0)
//!             break;
//!         for (int i = 0; i < result; i++)
//!             fluxcap_ethernet_header_swap(umem + descs[i].addr, descs[i].len);
//!         fluxcap_raw_forward_front(raw, (uint32_t)result);
//!         result = fluxcap_raw_wake_tx(raw);
//!     } while (result >= 0);
//!     return result;
//! }
//! ```

use std::ffi::c_int;
use std::ops::Deref;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use super::error::{count, guard, null, quick};
use super::opaque::{self, Lock, Opaque, exclusive};
use super::packet::{BATCH, array, fill, fluxcap_packet, give, places, take_for_sending};
use super::poller::timeout;
use crate::backend::Interest;
use crate::backend::descriptor::number;
use crate::engine::{EngineGroup, FluxEngine};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::{FluxError, Result};
use crate::packet::batch::PacketBatch;
use crate::ring::Desc;
use crate::socket::FluxRaw;

/// A socket in Mode C: its four rings, its frames, its UMEM.
pub struct fluxcap_raw {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Open {
    pub(super) raw: FluxRaw,
    pub(super) batch: PacketBatch,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_raw {
    type Value = Open;
    const KIND: u64 = u64::from_le_bytes(*b"flux_raw");
    const NAME: &'static str = "fluxcap_raw";
    const ARGUMENT: &'static str = "raw";
    const GIVER: &'static str = "fluxcap_open";

    fn mistaken(kind: u64) -> Option<FluxError> {
        (kind == Port::KIND).then(|| {
            FluxError::invalid(
                format_args!("argument {}", Self::ARGUMENT),
                "it is a port of an engine, to look at alone: the engine has the socket",
                "pass it where a const struct fluxcap_raw is asked for, or use the engine",
            )
        })
    }
}

/// Makes a handle of a socket, to be freed with `fluxcap_raw_free`.
///
/// # Errors
///
/// [`Memory`](ErrorKind::Memory).
pub fn open(raw: FluxRaw) -> Result<*mut fluxcap_raw> {
    let batch = PacketBatch::try_with_capacity(BATCH)?;
    let stopper = raw.stopper();
    Ok(opaque::give_stoppable(Open { raw, batch }, stopper))
}

/// A socket that is a port of an engine: what a `const struct fluxcap_raw *` may also be.
pub(super) struct Port;

/// Where it is.
pub(super) struct Place {
    owner: Owner,
    port: u32,
}

/// Who has a port.
pub(super) enum Owner {
    Engine(Arc<Lock<FluxEngine>>),
    /// The engine of this number.
    Group(Arc<Lock<EngineGroup>>, usize),
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for Port {
    type Value = Place;
    const KIND: u64 = u64::from_le_bytes(*b"fluxport");
    const NAME: &'static str = "fluxcap_raw";
    const ARGUMENT: &'static str = "raw";
    const GIVER: &'static str = "fluxcap_engine_port";
}

/// Makes a handle to look at a port of an engine, to be freed with [`close_port`].
pub(super) fn port(owner: Owner, port: u32) -> *mut fluxcap_raw {
    opaque::give::<Port>(Place { owner, port }).cast()
}

/// # Safety
///
/// `raw` comes from [`port`], and nobody uses it any more.
pub(super) unsafe fn close_port(raw: *mut fluxcap_raw) {
    // SAFETY: as the caller promises.
    drop(unsafe { opaque::take::<Port>(raw.cast()) });
}

/// A socket to look at.
pub(super) enum Look<'a> {
    Own(&'a FluxRaw),
    Port(RwLockReadGuard<'a, FluxEngine>, u32),
    OfGroup(RwLockReadGuard<'a, EngineGroup>, usize, u32),
}

impl Deref for Look<'_> {
    type Target = FluxRaw;

    #[inline]
    fn deref(&self) -> &FluxRaw {
        match self {
            Self::Own(raw) => raw,
            Self::Port(engine, port) => engine.port(*port),
            Self::OfGroup(group, engine, port) => group.engines()[*engine].port(*port),
        }
    }
}

/// Looks at a socket, through a handle of its own or as a port of an engine.
///
/// # Safety
///
/// `raw` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn look<'a>(raw: *const fluxcap_raw) -> Result<Look<'a>> {
    // SAFETY: as the caller promises.
    if let Some(place) = unsafe { opaque::find::<Port>(raw.cast()) } {
        let port = place.port;
        return Ok(match &place.owner {
            Owner::Engine(engine) => Look::Port(engine.look()?, port),
            Owner::Group(group, engine) => Look::OfGroup(group.look()?, *engine, port),
        });
    }
    // SAFETY: as the caller promises.
    Ok(Look::Own(&unsafe { opaque::shared(raw)? }.raw))
}

/// Wait for received packets.
pub const FLUXCAP_WAIT_RECEIVE: u32 = 1;
/// Wait for free slots in the TX ring.
pub const FLUXCAP_WAIT_SEND: u32 = 2;

/// Where a received packet lies in the UMEM: a copy of a slot of the RX ring.
#[repr(C)]
pub struct fluxcap_desc {
    /// Offset of the first byte from fluxcap_raw_data().
    pub addr: u64,
    /// The length in bytes.
    pub len: u32,
    /// 0 for a plain packet.
    pub options: u32,
}

const _: () = assert!(size_of::<fluxcap_desc>() == size_of::<Desc>());

/// Takes up to `count` received packets, and tops the fill ring up.
///
/// It does not wait: see fluxcap_raw_wait().
///
/// Returns how many packets it wrote to `packets`; 0: none now. Each is yours until you send or
/// free it.
///
/// Errors:
/// - -ENODEV: there is no packet, and the interface was removed, or moved to another network
///   namespace, which shows within a tenth of a second, or its XDP program was taken off, within a
///   second.
///
/// Threads: one at a time. System calls: none while packets arrive; without any it looks whether
/// the interface is still there, every tenth of a second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_recv(
    raw: *mut fluxcap_raw,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (handle, places) = unsafe { (exclusive(raw)?, places(packets, count)?) };
        let Open { raw, batch } = handle;
        let received = fill(places, batch, |batch, max| raw.receive_at_most(batch, max));
        if received == 0 {
            raw.check()?;
        }
        Ok(received)
    })
}

/// Takes up to `count` free frames, for packets to send.
///
/// They become packets of length 0. Set `len`, fill in the bytes, and send them. If the pool has
/// not enough, sent frames are taken back. Frames return with fluxcap_raw_reap() and
/// fluxcap_packet_free(). Of the free frames of a UMEM each socket keeps up to 128 for itself, but
/// at most an eighth of all, divided by the number of sockets that there were when it was opened.
///
/// Returns how many packets it wrote to `packets`; fewer, even 0, when frames run out, and 0 in a
/// forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_alloc(
    raw: *mut fluxcap_raw,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (handle, places) = unsafe { (exclusive(raw)?, places(packets, count)?) };
        let Open { raw, batch } = handle;
        Ok(fill(places, batch, |batch, max| {
            raw.alloc_at_most(batch, max)
        }))
    })
}

/// Puts packets into the TX ring, in order from the front of the array.
///
/// They leave with fluxcap_raw_wake_tx(). Sent means that the kernel took the packet. What the
/// device drops then, it tells nobody here: a packet longer than its MTU, and all while the peer of
/// a veth is down or the cable is out. `ip -s link show DEVICE` (TX: dropped, carrier) and `ethtool
/// -S DEVICE` have them.
///
/// Returns how many were taken; their `data` is NULL then. The others are still yours: wake the
/// kernel, reap, and try again.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM.
/// - -EMSGSIZE: a packet is empty, or leaves its frame.
///
/// In an array of more than 256 packets, or of more than the TX ring has room for, those before may
/// be taken first: the count says so, and a later call the error.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_send(
    raw: *mut fluxcap_raw,
    packets: *mut fluxcap_packet,
    count: u32,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (handle, packets) = unsafe { (exclusive(raw)?, array(packets, count)?) };
        let mut done = 0;
        for part in packets.chunks_mut(BATCH) {
            match send_part(handle, part) {
                Ok(sent) => {
                    done += sent;
                    if sent < part.len() {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                // What was sent is sent; the caller meets the error at the front of the rest.
                Err(_) => break,
            }
        }
        Ok(done as c_int)
    })
}

/// Sends up to a batch from the front of the array.
///
/// A packet that is not sent is not touched, so that copies of it stay good: only as many are taken
/// as there is room for, and only when all of them can be sent.
fn send_part(handle: &mut Open, part: &mut [fluxcap_packet]) -> Result<usize> {
    let room = handle.raw.tx_room() as usize;
    let count = part.len().min(room);
    let part = &mut part[..count];
    take_for_sending(part, handle.raw.umem().frames(), &mut handle.batch)?;
    let sent = handle.raw.send(&mut handle.batch);
    give(&mut handle.batch, part);
    sent.map(|sent| sent as usize)
}

/// Shows up to `max` received packets in place.
///
/// `*descs` points at copies of their descriptors. All are checked: each lies within one frame that
/// is on loan from this socket. They end before one that is not, so there may be more: call again
/// after consuming these. You may read and change the bytes until you consume the packets from the
/// front, with fluxcap_raw_recycle_front(), fluxcap_raw_forward_front() or fluxcap_raw_recv();
/// `*descs` is good until then, too.
///
/// Returns how many it shows; 0: none now.
///
/// Errors:
/// - -ENODEV: there is no packet, and the interface was removed, or moved to another network
///   namespace, which shows within a tenth of a second, or its XDP program was taken off, within a
///   second.
///
/// Threads: one at a time. System calls: none while packets arrive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_peek(
    raw: *mut fluxcap_raw,
    max: u32,
    descs: *mut *const fluxcap_desc,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        if descs.is_null() {
            return Err(null("descs"));
        }
        if !handle.raw.has_arrived() {
            handle.raw.check()?;
        }
        let run = handle.raw.peek(max);
        // SAFETY: not null, so writable as the header asks. The layouts are the same.
        unsafe { descs.write(run.as_ptr().cast()) };
        count(run.len() as u32)
    })
}

/// Consumes the first `max` received packets: the kernel gets their frames, for new packets.
///
/// Those that fluxcap_raw_peek() showed last are consumed as they were shown. Frames that the fill
/// ring has no room for go to the pool. It does not tell that the interface is gone:
/// fluxcap_raw_peek() does.
///
/// Returns how many there were; 0: none now, or a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_recycle_front(raw: *mut fluxcap_raw, max: u32) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        count(handle.raw.recycle_front(max))
    })
}

/// Consumes the first `max` received packets by putting them into the TX ring.
///
/// They go with their bytes as they are now; those that fluxcap_raw_peek() showed last as they were
/// shown. Packets that are empty or have options are recycled. They leave with
/// fluxcap_raw_wake_tx(); their frames come back with fluxcap_raw_refill() or fluxcap_raw_reap().
/// It does not tell that the interface is gone: fluxcap_raw_peek() does.
///
/// Returns how many were consumed; 0: none now, no room in the TX ring, or a forked child. The
/// others stay in the RX ring.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_forward_front(raw: *mut fluxcap_raw, max: u32) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        count(handle.raw.forward_front(max))
    })
}

/// The start of the UMEM, to which descriptor addresses are offsets.
///
/// Returns the same for as long as the socket is open; NULL for NULL, and while the socket is the
/// port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_data(raw: *const fluxcap_raw) -> *mut u8 {
    // SAFETY: as the header asks.
    match unsafe { look(raw) } {
        Ok(raw) => raw.umem().memory().start().as_ptr(),
        Err(_) => std::ptr::null_mut(),
    }
}

/// Tops the fill ring up, with frames just sent and then with free ones.
///
/// A part of the frames stays for sending. Without frames in the fill ring the kernel drops what
/// arrives: call it once a batch.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_refill(raw: *mut fluxcap_raw) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        count(handle.raw.refill())
    })
}

/// Takes all sent frames back into the pool.
///
/// Call it (or fluxcap_raw_refill()) regularly: the kernel stops sending when the completion ring
/// is full.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_reap(raw: *mut fluxcap_raw) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        count(handle.raw.reap())
    })
}

/// Makes the kernel look at the fill ring, if it asks for that.
///
/// Returns 0.
///
/// Errors:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed, which shows within a tenth of a second.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once. System calls: recvfrom(), where the kernel asks for a wake-up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_wake_rx(raw: *const fluxcap_raw) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        raw.wake_rx().map(|()| 0)
    })
}

/// Makes the kernel send what is in the TX ring, if it asks for that.
///
/// What the device has no room for stays in the ring, for a later call.
///
/// Returns 0.
///
/// Errors, after which the packets stay in the ring:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed, which shows within a tenth of a second.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once. System calls: sendto(), where the kernel asks for a wake-up, as often
/// as packets leave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_wake_tx(raw: *const fluxcap_raw) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        raw.wake_tx().map(|()| 0)
    })
}

/// Sends everything in the TX ring and takes the frames back.
///
/// It waits for at most `timeout_ms` milliseconds; -1: without end.
///
/// Returns 1 when the kernel has no packet left, 0 when time ran out.
///
/// Errors:
/// - -ENETDOWN, -ENODEV: as fluxcap_raw_wake_tx().
/// - -ECANCELED: fluxcap_raw_stop() ended it.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_flush(raw: *mut fluxcap_raw, timeout_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        let time = timeout("timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX);
        handle.raw.flush(time).map(c_int::from)
    })
}

/// Waits for packets, or for room in the TX ring, or for whichever comes first.
///
/// `interest` is FLUXCAP_WAIT_RECEIVE, FLUXCAP_WAIT_SEND, or both. It waits for at most
/// `timeout_ms` milliseconds; -1: for ever. Takes sent frames back and tops the fill ring up first,
/// so that a packet can arrive and a slot become free.
///
/// Returns the FLUXCAP_WAIT_… bits that hold; 0 after the timeout, or a signal. It may return
/// early.
///
/// Errors:
/// - -ENODEV: the interface was removed, or moved to another network namespace, which shows within
///   a tenth of a second, or its XDP program was taken off, within a second.
/// - -ECANCELED: fluxcap_raw_stop() ended it, which a wait of 0 leaves to the next one.
///
/// Threads: one at a time. System calls: ppoll().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_wait(
    raw: *mut fluxcap_raw,
    interest: u32,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let handle = unsafe { exclusive(raw)? };
        let ready = handle
            .raw
            .wait(interest_of(interest)?, timeout("timeout_ms", timeout_ms)?)?;
        let bit = |ready, bit| if ready { bit } else { 0 };
        count(bit(ready.receive, FLUXCAP_WAIT_RECEIVE) | bit(ready.send, FLUXCAP_WAIT_SEND))
    })
}

fn interest_of(bits: u32) -> Result<Interest> {
    const BOTH: u32 = FLUXCAP_WAIT_RECEIVE | FLUXCAP_WAIT_SEND;
    match bits {
        FLUXCAP_WAIT_RECEIVE => Ok(Interest::Receive),
        FLUXCAP_WAIT_SEND => Ok(Interest::Send),
        BOTH => Ok(Interest::Both),
        _ => Err(FluxError::invalid(
            "argument interest",
            format_args!("{bits} is not known"),
            "use FLUXCAP_WAIT_RECEIVE, FLUXCAP_WAIT_SEND, or both",
        )),
    }
}

/// Ends a wait in fluxcap_raw_wait() or fluxcap_raw_flush(), which is -ECANCELED then.
///
/// Without one it ends the next fluxcap_raw_wait() with a timeout other than 0, or the next flush
/// that has to wait, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `raw` is no open socket, or one of an engine.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_stop(raw: *const fluxcap_raw) -> c_int {
    // SAFETY: null or an open handle, as the header asks.
    unsafe { opaque::stop(raw) }
}

/// The socket's file descriptor, to wait on together with others.
///
/// It is readable while packets wait, and writable while the TX ring is at most half full. Wake-ups
/// may be spurious. Neither that the interface was removed nor that frames came home shows there:
/// with packets of fluxcap_raw_recv(), wait on fluxcap_raw_rx_fd().
///
/// Returns the descriptor. It stays the socket's own: do not close it.
///
/// Errors:
/// - -EMFILE: a simulated socket gets one when somebody asks, and no more files can be opened.
/// - -EOPNOTSUPP: a simulated socket gets none outside of Linux.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_fd(raw: *const fluxcap_raw) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        raw.fd().map(number)
    })
}

/// A file descriptor to wait for packets on, as fluxcap_rx_fd().
///
/// It is readable while packets wait, when frames return that the fill ring was out of, and about
/// once a second. Then call fluxcap_raw_recv() until it returns 0 or an error, or
/// fluxcap_raw_refill() after fluxcap_raw_peek(), fluxcap_raw_recycle_front() or
/// fluxcap_raw_forward_front().
///
/// Returns the descriptor. It stays the socket's own: do not close it.
///
/// Errors:
/// - -EMFILE: the first call opens descriptors, and no more files can be opened.
/// - -EOPNOTSUPP: there are none outside of Linux.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_rx_fd(raw: *const fluxcap_raw) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        raw.rx_fd().map(number)
    })
}

/// Closes a socket, and frees the handle.
///
/// It is taken out of the XDP program, which goes with its last socket. Packets that you still hold
/// stay good; free them whenever you like. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_free(raw: *mut fluxcap_raw) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(raw) });
        Ok(0)
    });
}
