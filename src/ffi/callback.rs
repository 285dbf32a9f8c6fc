//! What an engine in C calls, and what it shows there.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::mem;
use std::process;
use std::ptr;
use std::thread;

use super::error::null;
use super::packet::Editable;
use crate::engine::Outcome;
use crate::error::{ErrorKind, FluxError, Result};
use crate::packet::plain::in_place;
use crate::packet::{BatchRef, PacketRef, PacketSlot, SharedFrameState};
use crate::ring::Desc;

/// The packet is dropped: its frame is recycled, for a new packet. It does not go on to the
/// kernel's network stack.
pub const FLUXCAP_RECYCLE: u32 = 0;
/// The packet leaves through port 0; FLUXCAP_SEND + 1: through port 1; and so on. What the device
/// drops then (too long for its MTU, no peer), fluxcap_raw_send() tells of.
pub const FLUXCAP_SEND: u32 = 1;

/// A received packet that you look at while the callback runs.
///
/// You may change its bytes, its verdict, and `data` and `len` within its frame: what is sent is
/// what they say when the callback returns. The frame begins at least 256 bytes before `data`, as
/// it comes, and ends where the next one begins. The fluxcap_packet_ref_…() functions do it within
/// those bounds. They take a pointer into the array of the callback that runs on this thread; a
/// copy of the struct, or one kept from an earlier callback, is -EINVAL.
///
/// Do not move, swap or compact the entries of the array: each stays with the packet that it came
/// with. Where an entry asks for its packet to be sent but names the frame of another one, the
/// packet is recycled, and the run ends with -EINVAL. Where the verdict is FLUXCAP_RECYCLE, `data`
/// and `len` are not looked at: the packet that came in this place is recycled, whatever stands
/// there, zeros included.
#[repr(C)]
pub struct fluxcap_packet_ref {
    /// The first byte.
    pub data: *mut u8,
    /// The length in bytes. An empty packet is recycled.
    pub len: u32,
    /// What becomes of it: FLUXCAP_RECYCLE, as it comes, or FLUXCAP_SEND + the port to leave
    /// through.
    pub verdict: u32,
}

const _: () = assert!(size_of::<fluxcap_packet_ref>() == size_of::<PacketSlot>());
const _: () = assert!(align_of::<fluxcap_packet_ref>() <= align_of::<PacketSlot>());

/// What an engine calls with the packets that came in through `port`: all `count` at once, at least
/// one.
///
/// `packets` is good until it returns. A negative result ends the run, which returns that number,
/// after the packets went where this call wanted them; 0 or more goes on. It must return: a C++
/// exception or a pthread_exit() that leaves it ends the program, by abort() and with a line on
/// stderr that says so; a longjmp() out of it is undefined. The thread is not cancelled while it
/// runs, unless it asks for that with pthread_setcancelstate(), and then a cancellation ends the
/// program likewise.
///
/// It may use everything but its own engine: calls with that are -EBUSY, except for
/// fluxcap_engine_stop().
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
        let (port, frames) = (batch.port(), batch.frames());
        let (slots, run) = batch.slots();
        let count = slots.len() as u32;
        let packets: *mut fluxcap_packet_ref = slots.as_mut_ptr().cast();
        let shown = Shown {
            frames,
            packets,
            run,
        };
        let running = Running::new(&shown);
        let entered = Entered::new();
        // SAFETY: as whoever made it promised. There are as many packets, which nobody else uses meanwhile, and the layouts are the same.
        let returned = unsafe { (self.callback)(self.user, port, packets, count) };
        entered.leave();
        drop(running);
        Returned(returned)
    }
}

/// A function of the program that was called, until it returns. It must return: what unwinds the
/// stack instead ends the program here, where the reason can be told, and not in the middle of the
/// library.
pub(super) struct Entered(());

impl Entered {
    #[inline]
    pub(super) fn new() -> Self {
        Self(())
    }

    #[inline]
    pub(super) fn leave(self) {
        mem::forget(self);
    }
}

impl Drop for Entered {
    #[cold]
    fn drop(&mut self) {
        // A panic of a callback in Rust becomes an error further up.
        if thread::panicking() {
            return;
        }
        let _ = writeln!(
            io::stderr(),
            "libfluxcap: a callback did not return: pthread_exit(), the cancellation of the thread, or an exception left it; \
             let it return a negative number to end the run; the program ends here"
        );
        process::abort();
    }
}

/// The packets that a callback looks at.
struct Shown<'a> {
    frames: &'a SharedFrameState,
    /// The first one.
    packets: *const fluxcap_packet_ref,
    /// The descriptor of each, as it came.
    run: &'a [Desc],
}

thread_local! {
    /// What the callback that runs on this thread looks at, or null. Of several, one within
    /// another, that is the innermost.
    static SHOWN: Cell<*const Shown<'static>> = const { Cell::new(ptr::null()) };
}

/// While it lives, [`SHOWN`] is a certain one.
struct Running {
    outer: *const Shown<'static>,
}

impl Running {
    #[inline]
    fn new(shown: &Shown<'_>) -> Self {
        Self {
            outer: SHOWN.replace(ptr::from_ref(shown).cast()),
        }
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        SHOWN.set(self.outer);
    }
}

impl Shown<'_> {
    /// Which of the packets this is. Copies of it are none of them: their fields are as old as they
    /// are.
    fn index(&self, packet: *const fluxcap_packet_ref) -> Option<usize> {
        let distance = (packet as usize).wrapping_sub(self.packets as usize);
        let index = distance / size_of::<fluxcap_packet_ref>();
        let is_entry = distance.is_multiple_of(size_of::<fluxcap_packet_ref>());
        (is_entry && index < self.run.len()).then_some(index)
    }
}

impl Editable for fluxcap_packet_ref {
    type Packet<'a> = PacketRef<'a>;

    /// Of the callback that runs on this thread.
    unsafe fn change<T>(
        packet: *mut Self,
        edit: impl FnOnce(&mut PacketRef<'_>) -> Result<T>,
    ) -> Result<T> {
        if packet.is_null() {
            return Err(null("packet"));
        }
        // SAFETY: as long as it stands there, the batch is borrowed, which borrows the frames.
        let shown = unsafe { SHOWN.get().as_ref() }.ok_or_else(no_callback)?;
        let index = shown.index(packet).ok_or_else(not_in_batch)?;
        // SAFETY: an entry of the batch, which C alone uses now.
        let packet = unsafe { &mut *packet };
        let place = (&mut packet.data, &mut packet.len);
        // SAFETY: each frame of the batch is the callback's alone.
        let result = unsafe { in_place((shown.frames, &shown.run[index]), place, edit)? };
        result.ok_or_else(|| moved(index))?
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

#[cold]
fn not_in_batch() -> FluxError {
    FluxError::invalid(
        "change a packet of a callback",
        "it is none of those that the running callback got",
        "pass &packets[i], and no copy of it: packets of an earlier callback belong to the kernel again",
    )
}

#[cold]
fn moved(index: usize) -> FluxError {
    FluxError::invalid(
        "change a packet of a callback",
        format_args!("packets[{index}] names a frame that it did not name before the callback"),
        "do not move or swap entries of the array: set the verdict of each in its place, and keep data within its frame",
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
