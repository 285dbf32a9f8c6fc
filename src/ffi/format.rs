//! One line about a packet, in C.

use std::ffi::{c_char, c_int, c_void};

use super::array::bytes;
use super::error::quick;
use super::text::print;
use crate::error::{FluxError, Result};
use crate::proto::summary;

/// Show the Ethernet header, as `tcpdump -e` does.
pub const FLUXCAP_FORMAT_ETHERNET: u32 = 0x01;

fn with_ethernet(flags: u32) -> Result<bool> {
    if flags & !FLUXCAP_FORMAT_ETHERNET != 0 {
        return Err(FluxError::invalid(
            format_args!("flags of {flags:#x}"),
            "they have bits that this version does not know",
            "join FLUXCAP_FORMAT_… with |, or pass 0",
        ));
    }
    Ok(flags & FLUXCAP_FORMAT_ETHERNET != 0)
}

/// Writes one line about a packet, in the style of `tcpdump -nn`, without a line end.
///
/// `data` are `len` bytes, which begin with the Ethernet header. A line is `IP 10.0.0.1.1234 >
/// 10.0.0.2.80: Flags [S], seq 1, win 64240, length 0`. Any bytes will do: what is cut off is told
/// as `[|tcp]`, what cannot be as `[bad ip IHL 4]`. `flags` are 0 or FLUXCAP_FORMAT_…. Nothing is
/// allocated. `text` and `data` do not overlap.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_format(
    data: *const c_void,
    len: usize,
    flags: u32,
    text: *mut c_char,
    size: usize,
) -> c_int {
    quick(|| {
        let with_ethernet = with_ethernet(flags)?;
        // SAFETY: as the header asks.
        let mut line = summary(unsafe { bytes("data", data, len)? });
        if with_ethernet {
            line = line.with_ethernet();
        }
        // SAFETY: as the header asks.
        unsafe { print(&line, text, size) }
    })
}
