//! From a capture file to its packets: pcap, and the blocks of pcapng (draft-ietf-opsawg-pcapng).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::source::{ByteOrder, DAMAGED, Source, text_lossy};
use super::{
    BYTE_ORDER, Block, Capture, CapturedInterface, CapturedPacket, Direction, LINK_ETHERNET,
    MAX_PACKET, OptionCode, system_error,
};
use crate::error::{ErrorKind, FluxError, Result};

/// The longest block that is read: a packet with options. Blocks of other types are skipped, whatever their length.
const MAX_BLOCK: usize = 2 * MAX_PACKET;

impl Capture {
    /// Reads a capture file into memory, pcap or pcapng, whatever its name.
    ///
    /// Packets of other link types than Ethernet are skipped and counted. A file that is cut off or damaged after its first packet gives the
    /// packets before that place; [`damage`](Self::damage) says what is wrong. [`complete`](Self::complete) refuses both.
    ///
    /// The packets take about as much memory as the file; ten times as much if all packets are empty.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound): there is no such file.
    /// - [`Permission`](crate::ErrorKind::Permission): the program may not read it.
    /// - [`System`](crate::ErrorKind::System): any other error of the operating system.
    /// - [`Invalid`](crate::ErrorKind::Invalid): it is not a capture file, it is cut off or damaged before the end of its first packet, or that
    ///   packet is longer than 256 KiB.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): it has packets, but none of Ethernet; or an unknown version.
    /// - [`Memory`](crate::ErrorKind::Memory): there is not enough memory for its packets.
    ///
    /// ```
    /// use fluxcap::{ErrorKind, capture::Capture};
    ///
    /// let error = Capture::read("no-such-file.pcap").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = format!("capture file {}", path.display());
        let file = File::open(path)
            .map_err(|error| system_error(&format!("opening {name}"), &error, "check the path"))?;
        read_all(io::BufReader::new(file), &name)
    }

    /// Reads a capture file from any reader, to its end.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// ```
    /// use fluxcap::{ErrorKind, capture::Capture};
    ///
    /// let error = Capture::from_reader(&b"GET / HTTP/1.1"[..]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Invalid);
    /// ```
    pub fn from_reader(reader: impl Read) -> Result<Self> {
        read_all(io::BufReader::new(reader), "the capture")
    }
}

/// Reads both formats; `name` is what errors call the file.
fn read_all(input: impl Read, name: &str) -> Result<Capture> {
    let mut source = Source::new(input, name);
    if !source.fill(4)? {
        let length = source.item.len();
        return Err(source.invalid(format!("it has {length} bytes"), "use a capture file"));
    }
    let read = match source.item[..] {
        [0x0a, 0x0d, 0x0d, 0x0a] => source.pcapng(),
        [0x1f, 0x8b, ..] => {
            return Err(source.invalid("it is compressed with gzip", "decompress it with gunzip"));
        }
        [a, b, c, d] => match PcapVariant::of([a, b, c, d]) {
            Some(variant) => source.pcap(variant),
            None => {
                return Err(source.invalid(
                    format!(
                        "it begins with {:02x?}, as no kind of pcap or pcapng does",
                        source.item
                    ),
                    "use a capture file; editcap converts other formats",
                ));
            }
        },
        _ => Ok(()), // never: the item has four bytes
    };
    match read {
        Ok(()) => {}
        // The packets before the damage are good.
        Err(error) if source.has_packets() && is_damage(&error) => {
            source.capture.damage = Some(error);
        }
        Err(error) => return Err(error),
    }
    source.finish()
}

/// Whether the error is about the content of the file, not the operating system.
fn is_damage(error: &FluxError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported)
}

// pcap.

/// The variant of pcap, which the magic number tells.
#[derive(Debug, Clone, Copy)]
struct PcapVariant {
    order: ByteOrder,
    /// Units of time per second.
    units: u32,
    /// Length of a record's header.
    record_len: usize,
}

impl PcapVariant {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let orders = [ByteOrder::Little, ByteOrder::Big];
        orders.into_iter().find_map(|order| {
            let (units, record_len) = match order.u32(magic) {
                0xa1b2_c3d4 => (1_000_000, 16),
                0xa1b2_3c4d => (1_000_000_000, 16),
                // A patched tcpdump: interface, protocol and direction follow.
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

impl<R: Read> Source<'_, R> {
    fn pcap(&mut self, variant: PcapVariant) -> Result<()> {
        self.order = variant.order;
        self.require(24)?;
        let (major, minor) = (self.u16(4), self.u16(6));
        if major != 2 || minor > 4 {
            return Err(self.unsupported(
                format!("its format has version {major}.{minor}, not 2.4 or older"),
                "convert it with editcap -F pcap",
            ));
        }
        // The upper bits describe the frame check sequence.
        let link = self.u32(20) & 0xffff;
        if link != LINK_ETHERNET {
            return Err(self.not_ethernet(link));
        }
        self.capture.interfaces.push(CapturedInterface::default());
        while self.start_item(variant.record_len)? {
            let [mut captured, mut original] = [self.u32(8), self.u32(12)];
            // Their order was the other way round up to 2.2, and in some files of 2.3.
            if minor < 3 || minor == 3 && captured > original {
                (captured, original) = (original, captured);
            }
            self.check_length(captured as usize)?;
            self.require(variant.record_len + captured as usize)?;
            let (seconds, fraction) = (self.u32(0), self.u32(4));
            // Other readers, too, accept a fraction of more than a second.
            let nanos = u64::from(fraction) * u64::from(1_000_000_000 / variant.units);
            let bytes = self.copy_of(variant.record_len..variant.record_len + captured as usize)?;
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
}

// pcapng.

/// An interface description block: how to read the packets of the interface.
struct InterfaceBlock {
    /// The index in [`Capture::interfaces`].
    index: usize,
    link: u32,
    /// The length that packets were cut to; 0 for no limit.
    snap_len: u32,
    /// Units of time per second; `None` if the number does not fit.
    units: Option<u128>,
    /// Seconds to add to each time.
    offset: i64,
}

impl<R: Read> Source<'_, R> {
    fn pcapng(&mut self) -> Result<()> {
        let mut interfaces = Vec::new();
        // The first block begins with the magic number, which was read already.
        while self.start_item(12)? {
            if self.item[..4] == Block::SECTION.to_le_bytes() {
                self.order = ByteOrder::Little;
                if self.u32(8) != BYTE_ORDER {
                    self.order = ByteOrder::Big;
                }
                if self.u32(8) != BYTE_ORDER {
                    return Err(self.invalid("a section has no byte order", DAMAGED));
                }
                interfaces.clear();
            }
            let kind = self.u32(0);
            let length = self.u32(4);
            if length < 12 || !length.is_multiple_of(4) {
                return Err(self.invalid(format!("a block is {length} bytes long"), DAMAGED));
            }
            match kind {
                Block::SECTION
                | Block::INTERFACE
                | Block::ENHANCED_PACKET
                | Block::SIMPLE_PACKET
                | Block::OBSOLETE_PACKET => {
                    self.block(kind, length as usize, &mut interfaces)?;
                }
                _ => self.skip_block(u64::from(length))?,
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        kind: u32,
        length: usize,
        interfaces: &mut Vec<InterfaceBlock>,
    ) -> Result<()> {
        if length > MAX_BLOCK {
            return Err(self.invalid(
                format!("a block is {length} bytes long; the maximum is {MAX_BLOCK}"),
                DAMAGED,
            ));
        }
        self.require(length)?;
        if self.u32(length - 4) as usize != length {
            return Err(self.invalid("the two lengths of a block differ", DAMAGED));
        }
        let least = match kind {
            Block::SECTION => 28,
            Block::INTERFACE => 20,
            Block::SIMPLE_PACKET => 16,
            _ => 32,
        };
        if length < least {
            return Err(self.inconsistent(kind));
        }
        match kind {
            Block::SECTION => {
                let (major, minor) = (self.u16(12), self.u16(14));
                if major != 1 {
                    return Err(self.unsupported(
                        format!("its format has version {major}.{minor}, not 1.0"),
                        "convert it with editcap -F pcapng",
                    ));
                }
            }
            Block::INTERFACE => {
                let block = self.interface(length)?;
                if interfaces.try_reserve(1).is_err() {
                    return Err(self.no_memory());
                }
                interfaces.push(block);
            }
            Block::SIMPLE_PACKET => self.simple(length, interfaces)?,
            Block::OBSOLETE_PACKET => {
                let interface = self.u16(8).into();
                self.packet(kind, length, interface, interfaces)?;
            }
            _ => {
                let interface = self.u32(8);
                self.packet(kind, length, interface, interfaces)?;
            }
        }
        Ok(())
    }

    fn interface(&mut self, length: usize) -> Result<InterfaceBlock> {
        let mut name = None;
        let mut units = Some(1_000_000);
        let mut offset = 0;
        for (code, value) in self.options(16, length) {
            match (code, value) {
                (OptionCode::INTERFACE_NAME, _) if name.is_none() => {
                    name = Some(text_lossy(value));
                }
                (OptionCode::TIME_RESOLUTION, &[resolution]) => units = units_of(resolution),
                (OptionCode::TIME_OFFSET, _) => {
                    if let Ok(value) = value.try_into() {
                        offset = self.order.u64(value).cast_signed();
                    }
                }
                _ => {}
            }
        }
        let block = InterfaceBlock {
            index: self.capture.interfaces.len(),
            link: self.u16(8).into(),
            snap_len: self.u32(12),
            units,
            offset,
        };
        let name = name.transpose();
        let has_room = self.capture.interfaces.try_reserve(1);
        let (Ok(name), Ok(())) = (name, has_room) else {
            return Err(self.no_memory());
        };
        self.capture.interfaces.push(CapturedInterface { name });
        Ok(block)
    }

    /// An enhanced packet block, or the obsolete packet block, which differs in its interface number only.
    fn packet(
        &mut self,
        kind: u32,
        length: usize,
        interface: u32,
        interfaces: &[InterfaceBlock],
    ) -> Result<()> {
        let Some(block) = interfaces.get(interface as usize) else {
            return Err(self.invalid(
                format!("a packet has interface {interface}, which the file does not describe"),
                DAMAGED,
            ));
        };
        let captured = self.u32(20) as usize;
        if captured > length - 32 {
            return Err(self.inconsistent(kind));
        }
        self.check_length(captured)?;
        if self.skip_other_link(block.link) {
            return Ok(());
        }
        let bytes = self.copy_of(28..28 + captured)?;
        let flags = self
            .options(28 + captured.next_multiple_of(4), length)
            .find_map(|(code, value)| {
                let flags = value.try_into().ok();
                flags.filter(|_| code == OptionCode::PACKET_FLAGS)
            })
            .map_or(0, |flags| self.order.u32(flags) & 3);
        let direction = match flags {
            1 => Some(Direction::In),
            2 => Some(Direction::Out),
            _ => None,
        };
        let ticks = u64::from(self.u32(12)) << 32 | u64::from(self.u32(16));
        let original_len = self.u32(24);
        self.push(CapturedPacket {
            time: block.time(ticks),
            bytes,
            original_len,
            interface: block.index,
            direction,
        })
    }

    fn simple(&mut self, length: usize, interfaces: &[InterfaceBlock]) -> Result<()> {
        let Some(block) = interfaces.first() else {
            return Err(self.invalid(
                "a packet precedes the description of its interface",
                DAMAGED,
            ));
        };
        let original_len = self.u32(8);
        let captured = match block.snap_len {
            0 => original_len,
            snap_len => original_len.min(snap_len),
        };
        if captured as usize > length - 16 {
            return Err(self.invalid("a packet is longer than its block", DAMAGED));
        }
        self.check_length(captured as usize)?;
        if self.skip_other_link(block.link) {
            return Ok(());
        }
        let bytes = self.copy_of(12..12 + captured as usize)?;
        self.push_untimed(CapturedPacket {
            time: Duration::ZERO,
            bytes,
            original_len,
            interface: block.index,
            direction: None,
        })
    }

    /// The options of the current block, from `at` on, each without its padding.
    fn options(&self, at: usize, length: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.item.get(at..length - 4).unwrap_or_default();
        std::iter::from_fn(move || {
            let (&[a, b, c, d], tail) = rest.split_first_chunk()?;
            let (code, length) = (self.order.u16([a, b]), self.order.u16([c, d]));
            let value = tail.get(..length.into())?;
            rest = tail
                .get(usize::from(length).next_multiple_of(4)..)
                .unwrap_or_default();
            (code != OptionCode::END).then_some((code, value))
        })
    }

    fn inconsistent(&self, kind: u32) -> FluxError {
        self.invalid(
            format!("the lengths in a block of type {kind} contradict each other"),
            DAMAGED,
        )
    }
}

impl InterfaceBlock {
    /// Converts a time. A time before 1970 becomes 1970.
    fn time(&self, ticks: u64) -> Duration {
        let ticks = u128::from(ticks);
        // With more units than fit, every time is less than a nanosecond.
        let (seconds, nanos) = self.units.map_or((0, 0), |units| {
            (ticks / units, ticks % units * 1_000_000_000 / units)
        });
        let seconds = i128::try_from(seconds).unwrap_or(i128::MAX);
        let seconds = seconds.saturating_add(self.offset.into());
        match (u64::try_from(seconds), u32::try_from(nanos)) {
            (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
            _ if seconds < 0 => Duration::ZERO,
            _ => Duration::MAX,
        }
    }
}

/// The units of time per second for an `if_tsresol`.
fn units_of(resolution: u8) -> Option<u128> {
    match resolution {
        0..128 => 10u128.checked_pow(resolution.into()),
        128.. => 1u128.checked_shl(u32::from(resolution) - 128),
    }
}
