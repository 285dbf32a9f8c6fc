//! From a capture file to its packets.
//!
//! The crate `pcap_parser` knows the formats. What a damaged file could mislead it to is kept from it: it sees one whole record
//! or block at a time, whose length was checked before any memory was taken for it.

use std::io::{self, Read};
use std::time::Duration;

use pcap_parser::nom::{Err as Stop, Needed};
use pcap_parser::{Linktype, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::{Capture, CapturedInterface, CapturedPacket, MAX_PACKET, system};
use crate::error::{ErrorKind, FluxError, Result, errno};

pub(super) const DAMAGED: &str =
    "the file is damaged; make it anew, or save what is left of it with editcap";

pub(super) fn read(input: impl Read, name: &str) -> Result<Capture> {
    let mut source = Source {
        input,
        name,
        item: Vec::new(),
        start: 0,
        capture: Capture::default(),
    };
    if !source.fill(4)? {
        let length = source.item.len();
        return Err(source.refuse(format!("it has {length} bytes"), "give it a capture file"));
    }
    match source.item[..] {
        [0x0a, 0x0d, 0x0d, 0x0a] => source.pcapng()?,
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => source.pcap(parse_pcap_frame)?,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => source.pcap(parse_pcap_frame_be)?,
        [0x1f, 0x8b, ..] => {
            return Err(source.refuse("it is compressed with gzip", "decompress it with gunzip"));
        }
        _ => {
            return Err(source.refuse(
                format!(
                    "it begins with {:02x?}, so it is neither pcap nor pcapng",
                    source.item
                ),
                "give it a capture file; one of another format, editcap may convert",
            ));
        }
    }
    Ok(source.capture)
}

/// What is being read: the file, the record or block at hand, and the packets so far.
pub(super) struct Source<'a, R> {
    input: R,
    name: &'a str,
    /// The bytes at hand, from `start` on in the file.
    pub(super) item: Vec<u8>,
    start: u64,
    pub(super) capture: Capture,
}

type ParseFrame = fn(
    &[u8],
) -> pcap_parser::nom::IResult<
    &[u8],
    pcap_parser::LegacyPcapBlock<'_>,
    pcap_parser::PcapError<&[u8]>,
>;

impl<R: Read> Source<'_, R> {
    fn pcap(&mut self, parse: ParseFrame) -> Result<()> {
        self.require(24)?;
        let Ok((_, header)) = parse_pcap_header(&self.item) else {
            return Err(self.refuse("its header is not understood", DAMAGED));
        };
        let version = (header.version_major, header.version_minor);
        if version != (2, 4) {
            return Err(self.unsupported(
                format!(
                    "its format has version {}.{}, not 2.4",
                    version.0, version.1
                ),
                "convert it with editcap -F pcap",
            ));
        }
        // The upper bits tell whether there is a frame check sequence.
        self.check_link(Linktype(header.network.0 & 0xffff))?;
        self.capture.interfaces.push(CapturedInterface::default());
        let units = match header.is_nanosecond_precision() {
            true => 1_000_000_000,
            false => 1_000_000,
        };

        while self.next(16)? {
            match parse(&self.item) {
                Err(Stop::Incomplete(Needed::Size(missing))) => {
                    self.check_length(missing.get())?;
                    self.require(16 + missing.get())?;
                }
                Ok(_) => {} // A packet of no bytes.
                Err(_) => return Err(self.refuse("a record is not understood", DAMAGED)),
            }
            let Ok((_, frame)) = parse(&self.item) else {
                return Err(self.refuse("a record is not understood", DAMAGED));
            };
            if u64::from(frame.ts_usec) >= units {
                return Err(self.refuse(
                    format!(
                        "a packet's time is {} parts of {units} of a second",
                        frame.ts_usec
                    ),
                    DAMAGED,
                ));
            }
            let nanos = u64::from(frame.ts_usec) * (1_000_000_000 / units);
            let packet = CapturedPacket {
                time: Duration::from_secs(frame.ts_sec.into()) + Duration::from_nanos(nanos),
                bytes: copied(frame.data, &mut self.capture)?,
                original_len: frame.origlen,
                interface: 0,
                direction: None,
            };
            self.push(packet)?;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, packet: CapturedPacket) -> Result<()> {
        if packet.bytes.len() > packet.original_len as usize {
            return Err(self.refuse(
                format!(
                    "{} bytes of a packet of {} were captured",
                    packet.bytes.len(),
                    packet.original_len
                ),
                DAMAGED,
            ));
        }
        if self.capture.packets.try_reserve(1).is_err() {
            return Err(no_memory(&mut self.capture));
        }
        self.capture.packets.push(packet);
        Ok(())
    }

    pub(super) fn check_link(&self, link: Linktype) -> Result<()> {
        if link == Linktype::ETHERNET {
            return Ok(());
        }
        let hint = match link {
            Linktype::LINUX_SLL | Linktype::LINUX_SLL2 => {
                "; a capture of all interfaces (any) has that, one of a single interface has not"
            }
            _ => "",
        };
        // Known ones have a name: Linktype(LINUX_SLL).
        Err(self.unsupported(
            format!("its packets are of link type {} ({link})", link.0),
            format!("capture on an Ethernet interface{hint}"),
        ))
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

    // What can go wrong.

    fn place(&self) -> String {
        let packets = self.capture.packets.len();
        format!(
            "reading {}, at byte {} after {packets} packets",
            self.name, self.start
        )
    }

    pub(super) fn refuse(&self, happened: impl std::fmt::Display, fix: &str) -> FluxError {
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

    fn failed(&self, error: &io::Error) -> FluxError {
        let fix = match error.kind() {
            io::ErrorKind::IsADirectory => "name a file in it",
            _ => "see whether the disk or the other end of the pipe is well",
        };
        system(&self.place(), error, fix)
    }
}

/// A copy of the bytes of a packet that will be one of `capture`.
pub(super) fn copied(bytes: &[u8], capture: &mut Capture) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    if copy.try_reserve_exact(bytes.len()).is_err() {
        return Err(no_memory(capture));
    }
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cold]
fn no_memory(capture: &mut Capture) -> FluxError {
    // The text of the error takes some, too.
    capture.packets = Vec::new();
    FluxError::no_memory(
        "reading a capture file whole",
        "cut it in pieces, as `editcap -c` does",
    )
}
