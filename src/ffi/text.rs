//! Texts for people, written into the caller's buffer as snprintf() does.

use std::ffi::{c_char, c_int};
use std::fmt::{self, Display, Write};
use std::ptr;

use super::array::check_len;
use super::error::{guard, null};
use super::handle::{count, fluxcap_raw, look};
use crate::error::Result;

/// What became of each requested setting, as text, one a line: requested, achieved, and why.
///
/// Then a line `note: …` for each thing that keeps packets, or parts of them, from the socket:
/// queues without one, offloads that take VLAN tags away or merge segments, a device without
/// Ethernet header; with the ethtool words against it.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_report(
    raw: *const fluxcap_raw,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { print(raw.report(), text, size) }
    })
}

/// The rings and the owner of every frame, as text for a person.
///
/// Time grows with the number of frames.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_debug_text(
    raw: *const fluxcap_raw,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { print(&raw.debug_rings(), text, size) }
    })
}

/// # Safety
///
/// `text` is null or points to `size` writable bytes.
pub(super) unsafe fn print(value: &dyn Display, text: *mut c_char, size: usize) -> Result<c_int> {
    check_len("text", size)?;
    if size > 0 && text.is_null() {
        return Err(null("text"));
    }
    let mut sink = Text {
        text,
        room: size.saturating_sub(1),
        len: 0,
    };
    // It fails only where a `Display` does by itself; what is there then is all there is.
    let _ = write!(sink, "{value}");
    if size > 0 {
        // SAFETY: one of the `size` bytes, which are writable as the caller promises, was kept for this.
        unsafe { sink.text.write(0) };
    }
    count(u32::try_from(sink.len).unwrap_or(u32::MAX))
}

/// Where a text goes, as far as there is room for it.
struct Text {
    /// Where the next byte goes: `room` bytes from here on are writable.
    text: *mut c_char,
    room: usize,
    /// How long the whole text is so far.
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let fits = piece.len().min(self.room);
        if fits > 0 {
            // SAFETY: `fits` is at most `room`; the text is the caller's, who has promised that nothing else is there.
            unsafe {
                ptr::copy_nonoverlapping(piece.as_ptr(), self.text.cast(), fits);
                self.text = self.text.add(fits);
            }
        }
        self.room -= fits;
        self.len += piece.len();
        Ok(())
    }
}
