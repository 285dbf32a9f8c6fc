//! The arithmetic of a UMEM: which chunk size, headroom, frame count and MTU go together.
//!
//! Checked before any system call, so that a refusal names its rule instead of `EINVAL`.

#![forbid(unsafe_code)]

use crate::error::{FluxError, Result};
use crate::umem::memory::PAGE_SIZE;

/// Bytes that the kernel keeps free in front of every received packet (`XDP_PACKET_HEADROOM`).
pub const KERNEL_HEADROOM: u32 = 256;
/// The smallest chunk that the kernel accepts (`XDP_UMEM_MIN_CHUNK_SIZE`).
pub const MIN_CHUNK_SIZE: u32 = 2048;
/// The largest chunk this library accepts; above a page it needs hugepages and Linux 6.6.
pub const MAX_CHUNK_SIZE: u32 = 65_536;
/// The most frames in one UMEM.
pub const MAX_FRAMES: u32 = 1 << 24;

/// Ethernet header, two VLAN tags and frame check sequence around an MTU.
const LINK_OVERHEAD: u32 = 14 + 8 + 4;

/// Chunks of a UMEM, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    frames: u32,
    chunk_size: u32,
    headroom: u32,
}

impl Geometry {
    /// Checks the numbers; `page_size` in bytes is the smallest page that may end up behind the UMEM.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) with the rule that is broken and numbers that would work.
    pub fn new(frames: u32, chunk_size: u32, headroom: u32, page_size: usize) -> Result<Self> {
        if frames == 0 || frames > MAX_FRAMES {
            return Err(FluxError::invalid(
                format_args!("UMEM of {frames} frames"),
                format_args!("a UMEM has 1 to {MAX_FRAMES} frames"),
                "use 4096, or the sum of the four ring sizes",
            ));
        }
        if !chunk_size.is_power_of_two() || !(MIN_CHUNK_SIZE..=MAX_CHUNK_SIZE).contains(&chunk_size)
        {
            return Err(FluxError::invalid(
                format_args!("chunk size {chunk_size}"),
                format_args!(
                    "chunks are a power of two between {MIN_CHUNK_SIZE} and {MAX_CHUNK_SIZE} bytes"
                ),
                "use 2048 or 4096",
            ));
        }
        if chunk_size as usize > page_size {
            return Err(FluxError::invalid(
                format_args!("chunk size {chunk_size}"),
                format_args!("a chunk must not be larger than a page, here {page_size} bytes"),
                format_args!("use {PAGE_SIZE}, or require hugepages (Linux 6.6)"),
            ));
        }
        let most = chunk_size - KERNEL_HEADROOM;
        if headroom >= most {
            return Err(FluxError::invalid(
                format_args!("headroom {headroom}"),
                format_args!(
                    "it must stay below {most}: the chunk of {chunk_size} less {KERNEL_HEADROOM} bytes that the kernel keeps"
                ),
                "use a smaller headroom or a larger chunk",
            ));
        }
        Ok(Self {
            frames,
            chunk_size,
            headroom,
        })
    }

    /// The number of frames.
    #[must_use]
    pub fn frames(self) -> u32 {
        self.frames
    }

    /// Bytes from the start of one frame to the next.
    #[must_use]
    pub fn chunk_size(self) -> u32 {
        self.chunk_size
    }

    /// Bytes that the user wants free in front of each packet, besides the kernel's 256.
    #[must_use]
    pub fn headroom(self) -> u32 {
        self.headroom
    }

    /// The size of the UMEM in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.frames) * u64::from(self.chunk_size)
    }

    /// The longest packet that a frame holds behind both headrooms.
    #[must_use]
    pub fn packet_capacity(self) -> u32 {
        self.chunk_size - KERNEL_HEADROOM - self.headroom
    }

    /// The longest MTU that zero-copy mode accepts.
    ///
    /// Linux 7.0, and the stable series since April 2026, refuse to bind above it:
    /// commit 36ee60b5 and its companions ask for `mtu + 26 <= ALIGN_DOWN(chunk - 256 - headroom, 128)`.
    #[must_use]
    pub fn zero_copy_mtu(self) -> u32 {
        (self.packet_capacity() & !127).saturating_sub(LINK_OVERHEAD)
    }

    /// Checks that a received packet of a full `mtu`, with one VLAN tag, fits a frame.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid): the kernel would drop such packets without a word to the program.
    pub fn check_mtu(self, mtu: u32) -> Result<()> {
        let longest = mtu.saturating_add(14 + 4);
        if longest <= self.packet_capacity() {
            return Ok(());
        }
        Err(FluxError::invalid(
            format_args!("MTU {mtu} with chunks of {} bytes", self.chunk_size),
            format_args!(
                "packets reach {longest} bytes, a frame holds {} behind {KERNEL_HEADROOM} + {} bytes of headroom",
                self.packet_capacity(),
                self.headroom
            ),
            "use larger chunks or less headroom, or lower the interface's MTU",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(frames: u32, chunk_size: u32, headroom: u32) -> String {
        Geometry::new(frames, chunk_size, headroom, PAGE_SIZE)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_refusal_names_the_rule_and_a_fix() {
        assert!(refusal(0, 2048, 0).contains("1 to 16777216 frames; use 4096"));
        assert!(refusal(64, 0, 0).contains("power of two between 2048 and 65536 bytes; use 2048"));
        assert!(refusal(64, 3000, 0).contains("power of two"));
        assert!(refusal(64, 1024, 0).contains("power of two between 2048"));
        assert!(refusal(64, 8192, 0).contains("not be larger than a page, here 4096 bytes"));
        assert!(refusal(64, 2048, 1792).contains("stay below 1792"));
        assert!(refusal(64, 2048, u32::MAX).contains("stay below 1792"));
    }

    #[test]
    fn the_largest_headroom_below_the_limit_is_accepted() {
        let geometry = Geometry::new(1, 2048, 1791, PAGE_SIZE).unwrap();
        assert_eq!(geometry.packet_capacity(), 1);
    }

    #[test]
    fn hugepages_allow_chunks_above_a_page() {
        assert!(Geometry::new(64, 16_384, 0, 2 << 20).is_ok());
    }

    #[test]
    fn the_zero_copy_mtu_follows_the_kernel_formula() {
        let mtu = |chunk, headroom| {
            Geometry::new(64, chunk, headroom, PAGE_SIZE)
                .unwrap()
                .zero_copy_mtu()
        };
        assert_eq!(mtu(4096, 0), 3814);
        assert_eq!(mtu(2048, 0), 1766);
        assert!(mtu(2048, 256) >= 1500);
        assert!(mtu(2048, 257) < 1500);
    }

    #[test]
    fn an_mtu_that_overflows_a_frame_is_refused_with_both_numbers() {
        let geometry = Geometry::new(64, 2048, 0, PAGE_SIZE).unwrap();
        assert!(geometry.check_mtu(1500).is_ok());
        let text = geometry.check_mtu(9000).unwrap_err().to_string();
        assert!(text.contains("9018") && text.contains("1792"), "{text}");
        assert!(geometry.check_mtu(u32::MAX).is_err());
    }

    #[test]
    fn sizes_beyond_four_gibibytes_do_not_overflow() {
        let geometry = Geometry::new(MAX_FRAMES, 4096, 0, PAGE_SIZE).unwrap();
        assert_eq!(geometry.bytes(), 64 << 30);
    }
}
