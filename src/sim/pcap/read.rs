//! From a capture file to its packets.
//!
//! One whole record or block is at hand at a time, whose length was checked before any memory was taken for it.

use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

use super::{Capture, CapturedInterface, CapturedPacket, LINK_ETHERNET, MAX_PACKET, system};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// What to do about a file that is cut off or damaged.
pub(super) const DAMAGED: &str = "capture anew";

/// The same, when there are whole packets in front of that place.
const PARTLY_DAMAGED: &str = "capture anew, or take the packets before: Capture has them in Rust, FLUXCAP_SIM_REPLAY_DAMAGED plays them in C";

pub(super) fn read(input: impl Read, name: &str) -> Result<Capture> {
    let mut source = Source {
        input,
        name,
        item: Vec::new(),
        start: 0,
        order: Order::Little,
        untimed: 0,
        skipped_link: None,
        capture: Capture::default(),
    };
    if !source.fill(4)? {
        let length = source.item.len();
        return Err(source.refuse(format!("it has {length} bytes"), "give it a capture file"));
    }
    let read = match source.item[..] {
        [0x0a, 0x0d, 0x0d, 0x0a] => source.pcapng(),
        [0x1f, 0x8b, ..] => {
            return Err(source.refuse("it is compressed with gzip", "decompress it with gunzip"));
        }
        [a, b, c, d] => match Pcap::of([a, b, c, d]) {
            Some(pcap) => source.pcap(pcap),
            None => {
                return Err(source.refuse(
                    format!(
                        "it begins with {:02x?}, as no kind of pcap or pcapng that is read here",
                        source.item
                    ),
                    "give it a capture file; one of another format, editcap may convert",
                ));
            }
        },
        _ => Ok(()), // they are four
    };
    match read {
        Ok(()) => {}
        // What was read before the file ends or makes no sense is good.
        Err(error) if source.has_packets() && is_of_file(&error) => {
            source.capture.damage = Some(error);
        }
        Err(error) => return Err(error),
    }
    match source.skipped_link {
        Some(link) if source.capture.packets.is_empty() => Err(source.foreign(link)),
        _ => Ok(source.capture),
    }
}

/// Whether it is the file that is wrong, and not the operating system.
fn is_of_file(error: &FluxError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported)
}

/// The byte order of a file or a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn long(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// What the magic number of a pcap file tells.
#[derive(Debug, Clone, Copy)]
struct Pcap {
    order: Order,
    /// Units of time in a second.
    units: u32,
    /// Length of the header of a record.
    record_len: usize,
}

impl Pcap {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let orders = [Order::Little, Order::Big];
        orders.into_iter().find_map(|order| {
            let (units, record_len) = match order.word(magic) {
                0xa1b2_c3d4 => (1_000_000, 16),
                0xa1b2_3c4d => (1_000_000_000, 16),
                // Of a patched tcpdump: interface, protocol and direction follow.
                0xa1b2_cd34 => (1_000_000, 24),
                _ => return None,
            };
            Some(Self {
                order,
                units,
                record_len,
            })
        })
    }
}

/// What is being read: the file, the record or block at hand, and the packets so far.
pub(super) struct Source<'a, R> {
    input: R,
    name: &'a str,
    /// The bytes at hand, from `start` on in the file.
    pub(super) item: Vec<u8>,
    start: u64,
    pub(super) order: Order,
    /// Packets at the start of the capture that have no time yet.
    untimed: usize,
    /// The link type of the first packet that was skipped.
    pub(super) skipped_link: Option<u32>,
    pub(super) capture: Capture,
}

impl<R: Read> Source<'_, R> {
    fn pcap(&mut self, pcap: Pcap) -> Result<()> {
        self.order = pcap.order;
        self.require(24)?;
        let (major, minor) = (self.half(4), self.half(6));
        if major != 2 || minor > 4 {
            return Err(self.unsupported(
                format!("its format has version {major}.{minor}, not 2.4 or one before"),
                "convert it with editcap -F pcap",
            ));
        }
        // The upper bits tell whether there is a frame check sequence.
        let link = self.word(20) & 0xffff;
        if link != LINK_ETHERNET {
            return Err(self.foreign(link));
        }
        self.capture.interfaces.push(CapturedInterface::default());
        while self.next(pcap.record_len)? {
            let [mut captured, mut original] = [self.word(8), self.word(12)];
            // The two were exchanged up to 2.2, and by some in 2.3.
            if minor < 3 || minor == 3 && captured > original {
                (captured, original) = (original, captured);
            }
            self.check_length(captured as usize)?;
            self.require(pcap.record_len + captured as usize)?;
            let (seconds, fraction) = (self.word(0), self.word(4));
            // A fraction of more than a second counts as others count it.
            let nanos = u64::from(fraction) * u64::from(1_000_000_000 / pcap.units);
            let bytes = self.copied(pcap.record_len..pcap.record_len + captured as usize)?;
            self.push(CapturedPacket {
                time: Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos),
                bytes,
                original_len: original,
                interface: 0,
                direction: None,
            })?;
        }
        Ok(())
    }

    /// Adds a packet with a time.
    pub(super) fn push(&mut self, packet: CapturedPacket) -> Result<()> {
        // Those before it came no later.
        let untimed = std::mem::take(&mut self.untimed);
        for earlier in &mut self.capture.packets[..untimed] {
            earlier.time = packet.time;
        }
        self.add(packet)
    }

    /// Adds a packet without a time: it gets that of the packet before, or else of the first one with a time.
    pub(super) fn push_untimed(&mut self, mut packet: CapturedPacket) -> Result<()> {
        let count = self.capture.packets.len();
        match self.capture.packets.last() {
            Some(last) if self.untimed < count => packet.time = last.time,
            _ => self.untimed = count + 1,
        }
        self.add(packet)
    }

    fn add(&mut self, mut packet: CapturedPacket) -> Result<()> {
        // Some write less than they captured; others read it all the same.
        let length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        packet.original_len = packet.original_len.max(length);
        if self.capture.packets.try_reserve(1).is_err() {
            return Err(self.no_memory());
        }
        self.capture.packets.push(packet);
        Ok(())
    }

    /// Bytes of the item at hand, as a packet of their own.
    pub(super) fn copied(&mut self, range: Range<usize>) -> Result<Vec<u8>> {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(range.len()).is_err() {
            return Err(self.no_memory());
        }
        copy.extend_from_slice(&self.item[range]);
        Ok(copy)
    }

    #[cold]
    pub(super) fn no_memory(&mut self) -> FluxError {
        // The text of the error takes some, too.
        self.capture.packets = Vec::new();
        FluxError::no_memory(
            "reading a capture file whole",
            "cut it in pieces, as `editcap -c` does",
        )
    }

    fn has_packets(&self) -> bool {
        !self.capture.packets.is_empty() || self.capture.skipped > 0
    }

    /// Refuses packets of a link type other than Ethernet.
    fn foreign(&self, link: u32) -> FluxError {
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
            format!("its packets are of link type {link}{name}, not of Ethernet"),
            format!("capture on an Ethernet interface{hint}"),
        )
    }

    pub(super) fn check_length(&self, length: usize) -> Result<()> {
        if length > MAX_PACKET {
            return Err(self.refuse(
                format!("a packet of {length} bytes; the longest possible has {MAX_PACKET}"),
                DAMAGED,
            ));
        }
        Ok(())
    }

    /// Goes to the next record or block and gets its first bytes; false at the end of the file.
    pub(super) fn next(&mut self, length: usize) -> Result<bool> {
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

    /// Whether only the magic number was read so far, which of pcapng is a part of the first block.
    fn is_at_first_block(&self) -> bool {
        self.start == 0 && self.item.len() == 4
    }

    /// Goes on after a block of `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<()> {
        let rest = length - self.item.len() as u64;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())
            .map_err(|error| self.failed(&error))?;
        if skipped < rest {
            return Err(self.refuse("the file ends within a block", DAMAGED));
        }
        self.start += length;
        self.item.clear();
        Ok(())
    }

    /// Gets bytes until `length` are at hand.
    pub(super) fn require(&mut self, length: usize) -> Result<()> {
        match self.fill(length)? {
            true => Ok(()),
            false => Err(self.refuse(
                format!("the file ends {} bytes too early", length - self.item.len()),
                DAMAGED,
            )),
        }
    }

    /// Gets bytes until `length` are at hand; false when the file ends before.
    fn fill(&mut self, length: usize) -> Result<bool> {
        let missing = length.saturating_sub(self.item.len());
        self.input
            .by_ref()
            .take(missing as u64)
            .read_to_end(&mut self.item)
            .map_err(|error| self.failed(&error))?;
        Ok(self.item.len() >= length)
    }

    /// A number of the record or block at hand.
    pub(super) fn half(&self, at: usize) -> u16 {
        self.order.half([0, 1].map(|i| self.item[at + i]))
    }

    /// Likewise.
    pub(super) fn word(&self, at: usize) -> u32 {
        self.order.word([0, 1, 2, 3].map(|i| self.item[at + i]))
    }

    // What can go wrong.

    fn place(&self) -> String {
        let packets = self.capture.packets.len();
        format!(
            "reading {}, at byte {} after {packets} packets",
            self.name, self.start
        )
    }

    pub(super) fn refuse(&self, happened: impl std::fmt::Display, fix: &str) -> FluxError {
        let fix = match fix {
            DAMAGED if self.has_packets() => PARTLY_DAMAGED,
            fix => fix,
        };
        FluxError::invalid(self.place(), happened, fix)
    }

    pub(super) fn unsupported(
        &self,
        happened: impl std::fmt::Display,
        fix: impl std::fmt::Display,
    ) -> FluxError {
        FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            self.place(),
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
            _ => "check that the file is on a disk that can be read",
        };
        system(&self.place(), error, fix)
    }
}

/// What has that link type.
const HINT_ANY: &str =
    "; a capture of all interfaces (any) has that, one of a single interface has not";
