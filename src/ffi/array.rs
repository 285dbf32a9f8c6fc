//! Arrays, bytes and texts of the caller. Their lengths are checked before anything is read.

use std::ffi::{c_char, c_int};
use std::fmt::{self, Display, Write};
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use super::error::{count, null};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::{FluxError, Result};
use crate::umem::geometry::MAX_FRAMES;

/// The most packets of one call: as many as the largest UMEM has frames.
pub(super) const MAX_PACKETS: u32 = MAX_FRAMES;
/// The most handles, queues or CPUs of one call: more than any machine has.
pub(super) const MAX_HANDLES: u32 = 1 << 16;

/// No object is larger than half the address space: a longer length is a negative number gone
/// wrong.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid).
#[inline]
pub(super) fn check_len(name: &str, len: usize) -> Result<()> {
    if isize::try_from(len).is_ok() {
        return Ok(());
    }
    Err(too_long(name, len))
}

#[cold]
fn too_long(name: &str, len: usize) -> FluxError {
    FluxError::invalid(
        format_args!("{len} bytes for argument {name}"),
        format_args!(
            "nothing is that long; as a signed number it is {}, perhaps the result of a call that failed",
            len.cast_signed()
        ),
        "pass the length in bytes",
    )
}

/// A count is at most what there can be, and never a negative number gone wrong.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid).
#[inline]
pub(super) fn check_count(name: &str, count: u32, most: u32) -> Result<usize> {
    if count <= most {
        return Ok(count as usize);
    }
    Err(too_many(name, count, most))
}

#[cold]
fn too_many(name: &str, count: u32, most: u32) -> FluxError {
    let tried = format_args!("{count} entries for argument {name}");
    match c_int::try_from(count) {
        Ok(_) => FluxError::invalid(
            tried,
            format_args!("one call takes at most {most}"),
            "use several calls",
        ),
        Err(_) => FluxError::invalid(
            tried,
            format_args!(
                "as a signed number it is {}, perhaps the result of a call that failed",
                count.cast_signed()
            ),
            "check results before using them as counts",
        ),
    }
}

/// What is there, unless it must be there and is not.
///
/// # Safety
///
/// `at` is null, or points to `len` initialised elements that do not change during `'a`, together
/// no larger than an object can be.
#[inline]
unsafe fn found<'a, T>(name: &str, at: *const T, len: usize) -> Result<&'a [T]> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: not null, so as the caller promises.
        (false, _) => Ok(unsafe { slice::from_raw_parts(at, len) }),
    }
}

/// [`found`], to be changed.
///
/// # Safety
///
/// As for [`found`], and nobody else uses the elements during `'a`.
#[inline]
unsafe fn found_mut<'a, T>(name: &str, at: *mut T, len: usize) -> Result<&'a mut [T]> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(null(name)),
        // SAFETY: not null, so as the caller promises.
        (false, _) => Ok(unsafe { slice::from_raw_parts_mut(at, len) }),
    }
}

/// # Safety
///
/// `at` is null, or points to `len` bytes that do not change during `'a`.
#[inline]
pub(super) unsafe fn bytes<'a, T>(name: &str, at: *const T, len: usize) -> Result<&'a [u8]> {
    check_len(name, len)?;
    // SAFETY: no longer than an object can be, and as the caller promises.
    unsafe { found(name, at.cast(), len) }
}

/// Bytes to be read and changed.
///
/// # Safety
///
/// `at` is null, or points to `len` initialised bytes that nobody else uses during `'a`.
#[inline]
pub(super) unsafe fn bytes_mut<'a, T>(name: &str, at: *mut T, len: usize) -> Result<&'a mut [u8]> {
    check_len(name, len)?;
    // SAFETY: no longer than an object can be, and as the caller promises.
    unsafe { found_mut(name, at.cast(), len) }
}

/// Up to `most` entries.
///
/// # Safety
///
/// `at` is null, or points to `count` entries that do not change during `'a`.
#[inline]
pub(super) unsafe fn entries<'a, T>(
    name: &str,
    at: *const T,
    (count, most): (u32, u32),
) -> Result<&'a [T]> {
    let count = check_count(name, count, most)?;
    // SAFETY: so few are no larger than an object can be; and as the caller promises.
    unsafe { found(name, at, count) }
}

/// Room for bytes that are written and never read.
///
/// # Safety
///
/// `at` is null, or points to `len` writable bytes that nobody else uses during `'a`. They need not
/// be initialised.
#[inline]
pub(super) unsafe fn bytes_room<'a, T>(
    name: &str,
    at: *mut T,
    len: usize,
) -> Result<&'a mut [MaybeUninit<u8>]> {
    check_len(name, len)?;
    // SAFETY: no longer than an object can be, and as the caller promises; any bytes will do.
    unsafe { found_mut(name, at.cast(), len) }
}

/// Makes bytes zeros, of which C may never have written any, so that they can be read.
#[inline]
pub(super) fn clear(room: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    for byte in &mut *room {
        byte.write(0);
    }
    // SAFETY: each was written just now.
    unsafe { &mut *(ptr::from_mut(room) as *mut [u8]) }
}

/// Room for up to `most` entries, which are written and never read.
///
/// # Safety
///
/// `at` is null, or points to `count` writable entries that nobody else uses during `'a`. They need
/// not be initialised.
#[inline]
pub(super) unsafe fn room<'a, T>(
    name: &str,
    at: *mut T,
    count: (u32, u32),
) -> Result<&'a mut [MaybeUninit<T>]> {
    // SAFETY: as the caller promises; any bytes are an entry.
    unsafe { entries_mut(name, at.cast(), count) }
}

/// Up to `most` entries.
///
/// # Safety
///
/// `at` is null, or points to `count` initialised entries that nobody else uses during `'a`.
#[inline]
pub(super) unsafe fn entries_mut<'a, T>(
    name: &str,
    at: *mut T,
    (count, most): (u32, u32),
) -> Result<&'a mut [T]> {
    let count = check_count(name, count, most)?;
    // SAFETY: so few are no larger than an object can be; and as the caller promises.
    unsafe { found_mut(name, at, count) }
}

/// An empty vector with room for `count` entries, which the caller gave.
///
/// # Errors
///
/// [`Memory`](ErrorKind::Memory) when there is not that much.
pub(super) fn reserved<T>(count: usize, name: &str) -> Result<Vec<T>> {
    let mut entries = Vec::new();
    match entries.try_reserve_exact(count) {
        Ok(()) => Ok(entries),
        Err(_) => Err(FluxError::no_memory(
            format_args!("a list of the {count} entries of argument {name}"),
            "pass fewer at a time",
        )),
    }
}

/// A copy of bytes of the caller; `None` when there is no memory for it.
pub(super) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_before_its_length_is_checked() {
        let nowhere = ptr::without_provenance_mut::<u64>(8);
        // SAFETY: each is refused, or empty, before the pointer is followed.
        unsafe {
            for len in [isize::MAX as usize + 1, usize::MAX] {
                assert!(bytes("data", nowhere, len).is_err());
                assert!(bytes_mut("data", nowhere, len).is_err());
                assert!(bytes_room("data", nowhere, len).is_err());
            }
            for count in [9, u32::MAX] {
                assert!(entries("packets", nowhere, (count, 8)).is_err());
                assert!(entries_mut("packets", nowhere, (count, 8)).is_err());
                assert!(room("packets", nowhere, (count, 8)).is_err());
            }
            assert!(bytes("data", ptr::null::<u64>(), 0).is_ok_and(<[u8]>::is_empty));
            assert!(entries("packets", ptr::null::<u64>(), (0, 8)).is_ok_and(<[u64]>::is_empty));
            assert!(bytes("data", ptr::null::<u64>(), 1).is_err());
            assert!(entries("packets", ptr::null::<u64>(), (1, 8)).is_err());
        }
    }

    #[test]
    fn bytes_that_nobody_wrote_are_zeros_once_they_are_cleared() {
        let mut buffer = [MaybeUninit::<u64>::uninit(); 2];
        // SAFETY: as many bytes, which nobody else uses.
        let room = unsafe { bytes_room("buffer", buffer.as_mut_ptr(), 16) };
        assert_eq!(clear(room.unwrap()), [0; 16]);
    }

    #[test]
    fn a_negative_number_gone_wrong_is_named() {
        let error = check_count("packets", -19_i32 as u32, 8)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("argument packets") && error.contains("-19"),
            "{error}"
        );
        let error = check_len("data", -22_isize as usize)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("argument data") && error.contains("-22"),
            "{error}"
        );
    }
}
