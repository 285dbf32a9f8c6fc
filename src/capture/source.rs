//! The bytes of a capture file, one record or block at a time, and the packets read so far.
//!
//! The length of a record or block is checked before memory is allocated for it.

use std::collections::TryReserveError;
use std::io::{self, Read};
use std::ops::Range;

use super::{Capture, CapturedPacket, LINK_ETHERNET, MAX_PACKET, system_error};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// The remedy for a file that is cut off or damaged.
pub(super) const DAMAGED: &str = "capture anew";

/// The same, when whole packets precede the damage.
const PARTLY_DAMAGED: &str = "capture anew, or use the packets before it: Capture has them in Rust, FLUXCAP_SIM_REPLAY_DAMAGED plays them in C";

/// A hint for the link types of captures on `any`.
const HINT_ANY: &str = " instead of all interfaces (any)";

/// The byte order of a file or a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// A capture file while it is read.
pub(super) struct Source<'a, R> {
    input: R,
    /// What the file is called in errors.
    name: &'a str,
    /// The current record or block.
    pub(super) item: Vec<u8>,
    /// Its offset in the file.
    start: u64,
    pub(super) order: ByteOrder,
    /// Packets at the start of the capture that have no time yet.
    untimed: usize,
    /// The link type of the first packet that was skipped.
    skipped_link: Option<u32>,
    /// The packets so far.
    pub(super) capture: Capture,
}

impl<'a, R: Read> Source<'a, R> {
    pub(super) fn new(input: R, name: &'a str) -> Self {
        Self {
            input,
            name,
            item: Vec::new(),
            start: 0,
            order: ByteOrder::Little,
            untimed: 0,
            skipped_link: None,
            capture: Capture::default(),
        }
    }

    /// The packets, unless there are none because all were of other link types.
    pub(super) fn finish(self) -> Result<Capture> {
        match self.skipped_link {
            Some(link) if self.capture.packets.is_empty() => Err(self.not_ethernet(link)),
            _ => Ok(self.capture),
        }
    }

    /// Whether to skip a packet of this link type; counts it then.
    pub(super) fn skip_other_link(&mut self, link: u32) -> bool {
        if link == LINK_ETHERNET {
            return false;
        }
        self.capture.skipped += 1;
        self.skipped_link.get_or_insert(link);
        true
    }

    /// Adds a packet with a time.
    pub(super) fn push(&mut self, packet: CapturedPacket) -> Result<()> {
        // Earlier packets without a time get this one.
        let untimed = std::mem::take(&mut self.untimed);
        for earlier in &mut self.capture.packets[..untimed] {
            earlier.time = packet.time;
        }
        self.add(packet)
    }

    /// Adds a packet without a time: it gets the time of the packet before, or of the first packet that has one.
    pub(super) fn push_untimed(&mut self, mut packet: CapturedPacket) -> Result<()> {
        let count = self.capture.packets.len();
        match self.capture.packets.last() {
            Some(last) if self.untimed < count => packet.time = last.time,
            _ => self.untimed = count + 1,
        }
        self.add(packet)
    }

    fn add(&mut self, mut packet: CapturedPacket) -> Result<()> {
        // Some programs write a length below that of the captured bytes; other readers accept it.
        let length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        packet.original_len = packet.original_len.max(length);
        if self.capture.packets.try_reserve(1).is_err() {
            return Err(self.no_memory());
        }
        self.capture.packets.push(packet);
        Ok(())
    }

    /// Copies bytes of the current record or block.
    pub(super) fn copy_of(&mut self, range: Range<usize>) -> Result<Vec<u8>> {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(range.len()).is_err() {
            return Err(self.no_memory());
        }
        copy.extend_from_slice(&self.item[range]);
        Ok(copy)
    }

    #[cold]
    pub(super) fn no_memory(&mut self) -> FluxError {
        // Frees memory for the text of the error.
        self.capture.packets = Vec::new();
        FluxError::no_memory(
            "reading a capture file whole",
            "split the file, for example with `editcap -c`",
        )
    }

    pub(super) fn has_packets(&self) -> bool {
        !self.capture.packets.is_empty() || self.capture.skipped > 0
    }

    /// The error for packets of a link type other than Ethernet.
    pub(super) fn not_ethernet(&self, link: u32) -> FluxError {
        let (name, hint) = match link {
            113 => (" (LINUX_SLL)", HINT_ANY),
            276 => (" (LINUX_SLL2)", HINT_ANY),
            0 => (" (NULL)", ""),
            9 => (" (PPP)", ""),
            101 | 12 => (" (RAW)", ""),
            105 => (" (IEEE802_11)", ""),
            127 => (" (IEEE802_11_RADIOTAP)", ""),
            228 => (" (IPV4)", ""),
            229 => (" (IPV6)", ""),
            _ => ("", ""),
        };
        self.unsupported(
            format!("its packets have link type {link}{name}, not Ethernet"),
            format!("capture on an Ethernet interface{hint}"),
        )
    }

    pub(super) fn check_length(&self, length: usize) -> Result<()> {
        if length > MAX_PACKET {
            return Err(self.invalid(
                format!("a packet of {length} bytes; the maximum is {MAX_PACKET}"),
                DAMAGED,
            ));
        }
        Ok(())
    }

    /// Starts the next record or block with its first `length` bytes; false at the end of the file.
    pub(super) fn start_item(&mut self, length: usize) -> Result<bool> {
        if !self.is_at_first_block() {
            self.start += self.item.len() as u64;
            self.item.clear();
            if !self.fill(1)? {
                return Ok(false);
            }
        }
        self.require(length)?;
        Ok(true)
    }

    /// Whether only the magic number was read so far, which in pcapng is part of the first block.
    fn is_at_first_block(&self) -> bool {
        self.start == 0 && self.item.len() == 4
    }

    /// Skips the rest of a block of `length` bytes.
    pub(super) fn skip_block(&mut self, length: u64) -> Result<()> {
        let rest = length - self.item.len() as u64;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())
            .map_err(|error| self.failed(&error))?;
        if skipped < rest {
            return Err(self.invalid("the file ends within a block", DAMAGED));
        }
        self.start += length;
        self.item.clear();
        Ok(())
    }

    /// Reads until the current record or block has `length` bytes.
    pub(super) fn require(&mut self, length: usize) -> Result<()> {
        match self.fill(length)? {
            true => Ok(()),
            false => Err(self.invalid(
                format!("the file ends {} bytes too early", length - self.item.len()),
                DAMAGED,
            )),
        }
    }

    /// [`require`](Self::require); false when the file ends before.
    pub(super) fn fill(&mut self, length: usize) -> Result<bool> {
        let missing = length.saturating_sub(self.item.len());
        self.input
            .by_ref()
            .take(missing as u64)
            .read_to_end(&mut self.item)
            .map_err(|error| self.failed(&error))?;
        Ok(self.item.len() >= length)
    }

    /// The 16-bit number at an offset of the current record or block.
    pub(super) fn u16(&self, at: usize) -> u16 {
        self.order.u16([0, 1].map(|i| self.item[at + i]))
    }

    /// The 32-bit number at an offset.
    pub(super) fn u32(&self, at: usize) -> u32 {
        self.order.u32([0, 1, 2, 3].map(|i| self.item[at + i]))
    }

    // Errors.

    fn attempt(&self) -> String {
        let packets = self.capture.packets.len();
        format!(
            "reading {}, at byte {} after {packets} packets",
            self.name, self.start
        )
    }

    pub(super) fn invalid(&self, happened: impl std::fmt::Display, fix: &str) -> FluxError {
        let fix = match fix {
            DAMAGED if self.has_packets() => PARTLY_DAMAGED,
            fix => fix,
        };
        FluxError::invalid(self.attempt(), happened, fix)
    }

    pub(super) fn unsupported(
        &self,
        happened: impl std::fmt::Display,
        fix: impl std::fmt::Display,
    ) -> FluxError {
        FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            self.attempt(),
            happened,
            fix,
        )
    }

    fn failed(&mut self, error: &io::Error) -> FluxError {
        if error.kind() == io::ErrorKind::OutOfMemory {
            return self.no_memory();
        }
        let fix = match error.kind() {
            io::ErrorKind::IsADirectory => "name a file in it",
            _ => "check that the disk can be read",
        };
        system_error(&self.attempt(), error, fix)
    }
}

/// `String::from_utf8_lossy` that reports a lack of memory.
pub(super) fn text_lossy(bytes: &[u8]) -> Result<String, TryReserveError> {
    const REPLACEMENT: &str = "\u{fffd}";
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.try_reserve(chunk.valid().len() + REPLACEMENT.len())?;
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push_str(REPLACEMENT);
        }
    }
    Ok(text)
}
