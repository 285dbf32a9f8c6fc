//! What an engine in C calls, and what it shows there.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use super::change::Editable;
use super::error::null;
use crate::engine::Outcome;
use crate::error::{ErrorKind, FluxError, Result};
use crate::packet::raw::in_place;
use crate::packet::{BatchRef, PacketRef, SharedFrameState, Slot};

/// The packet is dropped: its frame is recycled, for a new packet. It does not go on to the kernel's network stack.
pub const FLUXCAP_RECYCLE: u32 = 0;
/// The packet leaves through port 0; FLUXCAP_SEND + 1: through port 1; and so on. What the device drops then (too long for its MTU, no peer),
/// fluxcap_raw_send() tells of.
pub const FLUXCAP_SEND: u32 = 1;

/// A received packet that you look at while the callback runs.
///
/// You may change its bytes, and `data` and `len` within its frame: what is sent is what they say when the callback returns. The frame begins
/// at least 256 bytes before `data`, as it comes, and ends where the next one begins.
/// fluxcap_packet_ref_adjust_head() and its kin do it within those bounds.
#[repr(C)]
pub struct fluxcap_packet_ref {
    /// The first byte.
    pub data: *mut u8,
    /// The length in bytes. An empty packet is recycled.
    pub len: u32,
    /// What becomes of it: FLUXCAP_RECYCLE, as it comes, or FLUXCAP_SEND + the port to leave through.
    pub verdict: u32,
}

const _: () = assert!(size_of::<fluxcap_packet_ref>() == size_of::<Slot>());
const _: () = assert!(align_of::<fluxcap_packet_ref>() <= align_of::<Slot>());

/// What an engine calls with the packets that came in through `port`: all `count` at once, at least one.
///
/// `packets` is good until it returns. A negative result ends the run, which returns that number, after the packets went where this call
/// wanted them; 0 or more goes on. It must return: no longjmp() out of it. A C++ exception that leaves it ends the program.
///
/// It may use everything but its own engine: calls with that are -EBUSY, except for fluxcap_engine_stop().
pub type fluxcap_callback = Option<
    unsafe extern "C-unwind" fn(
        user: *mut c_void,
        port: u32,
        packets: *mut fluxcap_packet_ref,
        count: u32,
    ) -> c_int,
>;

/// A callback, and what it is called with.
struct Caller {
    callback: unsafe extern "C-unwind" fn(*mut c_void, u32, *mut fluxcap_packet_ref, u32) -> c_int,
    user: *mut c_void,
}

// SAFETY: the header says on which thread it is called.
unsafe impl Send for Caller {}

impl Caller {
    #[inline]
    fn call(&mut self, batch: &mut BatchRef<'_>) -> Returned {
        let port = batch.port();
        let outer = SHOWN.replace(batch.frames());
        let slots = batch.slots();
        let packets: *mut fluxcap_packet_ref = slots.as_mut_ptr().cast();
        // SAFETY: as whoever made it promised. There are as many packets, which nobody else uses meanwhile, and the layouts are the same.
        let returned = unsafe { (self.callback)(self.user, port, packets, slots.len() as u32) };
        SHOWN.set(outer);
        Returned(returned)
    }
}

thread_local! {
    /// The UMEM of the packets that a callback on this thread looks at now, or null: a packet's struct does not say where its frame is.
    static SHOWN: Cell<*const SharedFrameState> = const { Cell::new(ptr::null()) };
}

impl Editable for fluxcap_packet_ref {
    type Packet<'a> = PacketRef<'a>;

    /// Of the callback that runs on this thread.
    unsafe fn change<T>(
        packet: *mut Self,
        edit: impl FnOnce(&mut PacketRef<'_>) -> Result<T>,
    ) -> Result<T> {
        // SAFETY: null, or it points to a packet, as the caller promises.
        let packet = unsafe { packet.as_mut() }.ok_or_else(|| null("packet"))?;
        // SAFETY: as long as it stands there, the batch is borrowed, which borrows the frames.
        let frames = unsafe { SHOWN.get().as_ref() }.ok_or_else(no_callback)?;
        // SAFETY: what a callback looks at is its own.
        unsafe { in_place(frames, (&mut packet.data, &mut packet.len), edit)? }
    }
}

#[cold]
fn no_callback() -> FluxError {
    FluxError::invalid(
        "change a packet of a callback",
        "none runs on this thread",
        "change it before the callback returns, on the thread that was called",
    )
}

/// A callback as the Rust API wants it.
///
/// # Safety
///
/// `callback` is null or such a function, and may be called with `user`.
pub(super) unsafe fn caller(
    callback: fluxcap_callback,
    user: *mut c_void,
) -> Result<impl FnMut(&mut BatchRef<'_>) -> Returned + Send> {
    let callback = callback.ok_or_else(|| null("callback"))?;
    let mut caller = Caller { callback, user };
    Ok(move |batch: &mut BatchRef<'_>| caller.call(batch))
}

/// What a callback in C returned.
pub(super) struct Returned(c_int);

impl Outcome for Returned {
    #[inline]
    fn into_result(self) -> Result<()> {
        match self.0 {
            0.. => Ok(()),
            number => Err(ended(number)),
        }
    }
}

/// The error that becomes the very number again.
#[cold]
fn ended(number: c_int) -> FluxError {
    FluxError::new(
        ErrorKind::Callback,
        number.wrapping_neg(),
        "run the engine",
        format_args!("its callback returned {number}"),
        "every frame is accounted for; run it again to go on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::errno;

    #[test]
    fn a_negative_number_ends_the_run_and_comes_back_as_it_is() {
        assert!(Returned(0).into_result().is_ok());
        assert!(Returned(c_int::MAX).into_result().is_ok());
        for number in [-1, -errno::ENODEV, c_int::MIN + 1, c_int::MIN] {
            let error = Returned(number).into_result().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Callback);
            assert_eq!(error.errno().wrapping_neg(), number);
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
    }
}
