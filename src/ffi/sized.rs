//! Structs that may grow: `struct_size` first, zero is the default, an unknown non-zero tail is refused.

use std::mem;
use std::ptr;
use std::slice;

use super::error::null;
use crate::error::{ErrorKind, FluxError, Result, errno};

/// A struct of the C face that begins with `uint32_t struct_size`.
///
/// # Safety
///
/// It is `repr(C)`, begins with a `u32`, and every bit pattern is a value of it.
pub(super) unsafe trait Sized32: Copy {
    /// Its size in the first version that had it: the least that a caller may give.
    const LEAST: usize;
    /// Its name, for messages.
    const NAME: &'static str;
}

/// Reads a struct that the caller filled in, perhaps compiled against a shorter or longer version of it.
///
/// # Safety
///
/// `from` is null, or points to at least as many readable bytes as its `struct_size` says.
pub(super) unsafe fn read<T: Sized32>(from: *const T) -> Result<T> {
    // SAFETY: as the caller promises.
    let given = unsafe { size_of_struct(from)? };
    // SAFETY: every bit pattern is a value of `T` (`Sized32`).
    let mut value: T = unsafe { mem::zeroed() };
    let known = mem::size_of::<T>();
    // SAFETY: `given` bytes are readable, as the caller promises, and `known` are writable.
    unsafe {
        ptr::copy_nonoverlapping(
            from.cast::<u8>(),
            ptr::from_mut(&mut value).cast(),
            given.min(known),
        );
    }
    if given > known {
        // SAFETY: `given` bytes are readable, as the caller promises.
        let tail = unsafe { slice::from_raw_parts(from.cast::<u8>().add(known), given - known) };
        if tail.iter().any(|&byte| byte != 0) {
            return Err(FluxError::new(
                ErrorKind::Invalid,
                errno::E2BIG,
                format_args!("struct {}", T::NAME),
                format_args!(
                    "it has {given} bytes, this version knows {known}, and the rest is not zero"
                ),
                "use a newer libfluxcap, or leave new fields at zero",
            ));
        }
    }
    Ok(value)
}

/// Writes a struct for the caller, as much as its `struct_size` has room for; the size itself stays as it is.
///
/// # Safety
///
/// `to` is null, or points to at least as many writable bytes as its `struct_size` says.
pub(super) unsafe fn write<T: Sized32>(to: *mut T, value: &T) -> Result<()> {
    // SAFETY: as the caller promises.
    let given = unsafe { size_of_struct(to)? };
    let known = mem::size_of::<T>();
    let head = mem::size_of::<u32>();
    // SAFETY: `given` bytes are writable, as the caller promises, `known` are readable, and both are at least `head` long.
    unsafe {
        ptr::copy_nonoverlapping(
            ptr::from_ref(value).cast::<u8>().add(head),
            to.cast::<u8>().add(head),
            given.min(known) - head,
        );
        if given > known {
            ptr::write_bytes(to.cast::<u8>().add(known), 0, given - known);
        }
    }
    Ok(())
}

/// How long the caller's struct is: each of an array, of which this is the first.
///
/// # Safety
///
/// `at` is null or points to a readable `u32`.
pub(super) unsafe fn size<T: Sized32>(at: *const T) -> Result<usize> {
    // SAFETY: as the caller promises.
    unsafe { size_of_struct(at) }
}

/// # Safety
///
/// `at` is null or points to a readable `u32`.
unsafe fn size_of_struct<T: Sized32>(at: *const T) -> Result<usize> {
    if at.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: not null, so readable as the caller promises.
    let given = unsafe { at.cast::<u32>().read_unaligned() } as usize;
    // Four times the known size is more than any version will have: a caller that forgot to set it.
    if given < T::LEAST || given > 4 * mem::size_of::<T>() + 4096 {
        return Err(FluxError::invalid(
            format_args!("struct {}", T::NAME),
            format_args!(
                "its struct_size {given} cannot be, it has {} bytes",
                mem::size_of::<T>()
            ),
            format_args!("set struct_size to sizeof(struct {})", T::NAME),
        ));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    #[repr(C)]
    struct Grown {
        struct_size: u32,
        old: u32,
        new: u32,
    }

    // SAFETY: `repr(C)`, three plain numbers, the first a `u32`.
    unsafe impl Sized32 for Grown {
        const LEAST: usize = 8;
        const NAME: &'static str = "grown";
    }

    fn given(words: &[u32]) -> Result<Grown> {
        // SAFETY: the tests pass as many words as the first one says.
        unsafe { read(words.as_ptr().cast()) }
    }

    #[test]
    fn an_old_callers_struct_is_filled_up_with_zero() {
        let value = given(&[8, 5]).unwrap();
        assert_eq!((value.old, value.new), (5, 0));
    }

    #[test]
    fn a_newer_callers_zero_tail_is_accepted_and_a_used_one_refused() {
        assert_eq!(given(&[20, 5, 6, 0, 0]).unwrap().new, 6);
        assert_eq!(given(&[20, 5, 6, 0, 1]).unwrap_err().errno(), errno::E2BIG);
    }

    #[test]
    fn an_impossible_size_is_refused() {
        for size in [0, 4, 7, 100_000] {
            assert_eq!(given(&[size, 1, 2]).unwrap_err().errno(), errno::EINVAL);
        }
    }

    #[test]
    fn writing_respects_the_callers_size() {
        let value = Grown {
            struct_size: 12,
            old: 5,
            new: 6,
        };
        let mut short = [8, 0, 77];
        // SAFETY: the first word says how many bytes there are, or fewer.
        unsafe { write(short.as_mut_ptr().cast(), &value) }.unwrap();
        assert_eq!(short, [8, 5, 77]);
        let mut long = [16, 0, 0, 77];
        // SAFETY: as above.
        unsafe { write(long.as_mut_ptr().cast(), &value) }.unwrap();
        assert_eq!(long, [16, 5, 6, 0]);
    }
}
