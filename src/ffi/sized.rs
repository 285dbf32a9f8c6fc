//! Structs that may grow: `struct_size` first, zero is the default, an unknown non-zero tail is
//! refused.

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
    /// Its sizes in all versions that had it, ascending up to that of this one. Others would cut a
    /// field in two.
    const SIZES: &'static [usize] = &[size_of::<Self>()];
    /// Its name, for messages.
    const NAME: &'static str;
}

/// Reads a struct that the caller filled in, perhaps compiled against a shorter or longer version
/// of it.
///
/// # Safety
///
/// `from` is null, or points to at least as many readable bytes as its `struct_size` says.
pub(super) unsafe fn read<T: Sized32>(name: &str, from: *const T) -> Result<T> {
    // SAFETY: as the caller promises.
    let given = unsafe { size(name, from)? };
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

/// Writes a struct for the caller, as much as its `struct_size` has room for; the size itself stays
/// as it is.
///
/// # Safety
///
/// `to` is null, or points to at least as many writable bytes as its `struct_size` says.
pub(super) unsafe fn write<T: Sized32>(name: &str, to: *mut T, value: &T) -> Result<()> {
    // SAFETY: as the caller promises.
    let given = unsafe { size(name, to)? };
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

/// How long the caller's struct is, by its `struct_size`: the size of some version of it, or longer
/// than that of this one.
///
/// # Safety
///
/// `at` is null or points to a readable `u32`.
pub(super) unsafe fn size<T: Sized32>(name: &str, at: *const T) -> Result<usize> {
    if at.is_null() {
        return Err(null(format_args!("{name}, a struct {}", T::NAME)));
    }
    // SAFETY: not null, so readable as the caller promises.
    let given = unsafe { at.cast::<u32>().read_unaligned() } as usize;
    let known = mem::size_of::<T>();
    // Four times the known size is more than any version will have: a caller that forgot to set it.
    let is_later =
        given > known && given <= 4 * known + 4096 && given.is_multiple_of(mem::align_of::<T>());
    if is_later || T::SIZES.contains(&given) {
        return Ok(given);
    }
    Err(impossible::<T>(name, given))
}

#[cold]
fn impossible<T: Sized32>(name: &str, given: usize) -> FluxError {
    let all: Vec<String> = T::SIZES.iter().map(usize::to_string).collect();
    FluxError::invalid(
        format_args!("argument {name}, a struct {}", T::NAME),
        format_args!(
            "its struct_size is {given}, and no version of it has that: {} bytes",
            all.join(" or ")
        ),
        format_args!("set struct_size to sizeof(struct {})", T::NAME),
    )
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
        const SIZES: &'static [usize] = &[8, 12];
        const NAME: &'static str = "grown";
    }

    fn given(words: &[u32]) -> Result<Grown> {
        // SAFETY: the tests pass as many words as the first one says.
        unsafe { read("grown", words.as_ptr().cast()) }
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
        // Between two versions, and with half a field.
        for size in [0, 4, 7, 9, 10, 11, 13, 14, 15, 100_000] {
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
        unsafe { write("grown", short.as_mut_ptr().cast(), &value) }.unwrap();
        assert_eq!(short, [8, 5, 77]);
        let mut long = [16, 0, 0, 77];
        // SAFETY: as above.
        unsafe { write("grown", long.as_mut_ptr().cast(), &value) }.unwrap();
        assert_eq!(long, [16, 5, 6, 0]);
    }
}
