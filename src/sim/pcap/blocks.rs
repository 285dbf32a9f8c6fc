//! The blocks of pcapng.

use std::io::Read;
use std::time::Duration;

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, OptionCode,
    PcapNGOption, SHB_MAGIC, SPB_MAGIC, SimplePacketBlock, parse_block_be, parse_block_le,
};

use super::read::{DAMAGED, Source, copied};
use super::{CapturedInterface, CapturedPacket, Direction, MAX_PACKET, PACKET_FLAGS};
use crate::error::Result;

/// The packet block of old, which `pcap_parser` does not know.
const OBSOLETE_PACKET: u32 = 2;

/// The longest block that is looked into: a packet with options. Blocks of no interest are skipped, however long.
const MAX_BLOCK: usize = 2 * MAX_PACKET;

/// What the packets of an interface need to be understood.
struct Clock {
    /// The place in [`Capture::interfaces`].
    interface: usize,
    /// The length that packets were cut to, zero for none.
    snap_len: u32,
    /// Units of time in a second.
    units: u64,
    /// Seconds to add.
    offset: i64,
}

impl<R: Read> Source<'_, R> {
    pub(super) fn pcapng(&mut self) -> Result<()> {
        let mut big_endian = false;
        let mut clocks = Vec::new();
        // The magic number of the first block is there already.
        while self.next(12)? {
            if self.item[..4] == SHB_MAGIC.to_le_bytes() {
                big_endian = match self.item[8..12] {
                    [0x4d, 0x3c, 0x2b, 0x1a] => false,
                    [0x1a, 0x2b, 0x3c, 0x4d] => true,
                    _ => return Err(self.refuse("a section has no byte order", DAMAGED)),
                };
                clocks.clear();
            }
            let kind = self.word(0, big_endian);
            let length = self.word(4, big_endian);
            if length < 12 || !length.is_multiple_of(4) {
                return Err(self.refuse(format!("a block is {length} bytes long"), DAMAGED));
            }
            match kind {
                SHB_MAGIC | IDB_MAGIC | EPB_MAGIC | SPB_MAGIC => {
                    self.block(kind, length as usize, big_endian, &mut clocks)?;
                }
                OBSOLETE_PACKET => {
                    return Err(self.unsupported(
                        "it has packet blocks, which are obsolete since 2009",
                        "convert it with editcap -F pcapng",
                    ));
                }
                _ => self.skip(u64::from(length))?,
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        kind: u32,
        length: usize,
        big_endian: bool,
        clocks: &mut Vec<Clock>,
    ) -> Result<()> {
        if length > MAX_BLOCK {
            return Err(self.refuse(
                format!("a block is {length} bytes long, of which at most {MAX_BLOCK} are read"),
                DAMAGED,
            ));
        }
        self.require(length)?;
        if self.word(length - 4, big_endian) as usize != length {
            return Err(self.refuse("a block has another length at its end", DAMAGED));
        }
        // Parsed outside self, which is written to while the block is looked at.
        let item = std::mem::take(&mut self.item);
        let parse = match big_endian {
            true => parse_block_be,
            false => parse_block_le,
        };
        match parse(&item) {
            Ok((_, Block::SectionHeader(section))) => {
                if section.major_version != 1 {
                    let (major, minor) = (section.major_version, section.minor_version);
                    return Err(self.unsupported(
                        format!("its format has version {major}.{minor}, not 1.0"),
                        "convert it with editcap -F pcapng",
                    ));
                }
            }
            Ok((_, Block::InterfaceDescription(block))) => {
                let clock = self.interface(&block, big_endian)?;
                clocks.push(clock);
            }
            Ok((_, Block::EnhancedPacket(block))) => self.enhanced(&block, big_endian, clocks)?,
            Ok((_, Block::SimplePacket(block))) => self.simple(&block, clocks)?,
            // Incomplete, although the block is whole: the lengths in it go beyond it.
            _ => {
                return Err(self.refuse(
                    format!("a block of type {kind} contradicts itself"),
                    DAMAGED,
                ));
            }
        }
        self.item = item;
        Ok(())
    }

    fn interface(&mut self, block: &InterfaceDescriptionBlock, big_endian: bool) -> Result<Clock> {
        self.check_link(block.linktype)?;
        let mut name = None;
        let mut units = Some(1_000_000);
        let mut offset = 0;
        for (code, value) in options(&block.options) {
            match (code, value) {
                (OptionCode::IfName, _) if name.is_none() => {
                    name = Some(String::from_utf8_lossy(value).into_owned());
                }
                (OptionCode::IfTsresol, &[resolution]) => units = units_of(resolution),
                (OptionCode::IfTsoffset, _) => {
                    let Ok(value) = value.try_into() else {
                        return Err(
                            self.refuse("an offset of time is not eight bytes long", DAMAGED)
                        );
                    };
                    offset = match big_endian {
                        true => i64::from_be_bytes(value),
                        false => i64::from_le_bytes(value),
                    };
                }
                (OptionCode::IfTsresol, _) => units = None,
                _ => {}
            }
        }
        let Some(units) = units else {
            return Err(self.refuse("an interface's resolution of time is absurd", DAMAGED));
        };
        self.capture.interfaces.push(CapturedInterface { name });
        Ok(Clock {
            interface: self.capture.interfaces.len() - 1,
            snap_len: block.snaplen,
            units,
            offset,
        })
    }

    fn enhanced(
        &mut self,
        block: &EnhancedPacketBlock,
        big_endian: bool,
        clocks: &[Clock],
    ) -> Result<()> {
        let Some(clock) = clocks.get(block.if_id as usize) else {
            return Err(self.refuse(
                format!(
                    "a packet is of interface {}, which is not described",
                    block.if_id
                ),
                DAMAGED,
            ));
        };
        let Some(time) = clock.time(block.ts_high, block.ts_low) else {
            return Err(self.refuse(
                "a packet's time is before 1970, or beyond all ages",
                DAMAGED,
            ));
        };
        self.check_length(block.packet_data().len())?;
        let flags = options(&block.options)
            .find(|(code, value)| *code == PACKET_FLAGS && value.len() == 4)
            // The two lowest bits, of either byte order.
            .map_or(0, |(_, flags)| flags[if big_endian { 3 } else { 0 }] & 3);
        let direction = match flags {
            1 => Some(Direction::In),
            2 => Some(Direction::Out),
            _ => None,
        };
        let bytes = copied(block.packet_data(), &mut self.capture)?;
        self.push(CapturedPacket {
            time,
            bytes,
            original_len: block.origlen,
            interface: clock.interface,
            direction,
        })
    }

    fn simple(&mut self, block: &SimplePacketBlock, clocks: &[Clock]) -> Result<()> {
        let Some(clock) = clocks.first() else {
            return Err(self.refuse("a packet is there before an interface", DAMAGED));
        };
        let length = match clock.snap_len {
            0 => block.origlen,
            snap_len => block.origlen.min(snap_len),
        };
        let Some(bytes) = block.data.get(..length as usize) else {
            return Err(self.refuse("a packet is longer than its block", DAMAGED));
        };
        self.check_length(bytes.len())?;
        let time = self.capture.packets.last().map(|packet| packet.time);
        let bytes = copied(bytes, &mut self.capture)?;
        self.push(CapturedPacket {
            time: time.unwrap_or_default(),
            bytes,
            original_len: block.origlen,
            interface: clock.interface,
            direction: None,
        })
    }

    /// A number of the block at hand.
    fn word(&self, at: usize, big_endian: bool) -> u32 {
        let bytes = [0, 1, 2, 3].map(|i| self.item[at + i]);
        match big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        }
    }
}

impl Clock {
    fn time(&self, high: u32, low: u32) -> Option<Duration> {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let seconds = (ticks / self.units).checked_add_signed(self.offset)?;
        let nanos = u128::from(ticks % self.units) * 1_000_000_000 / u128::from(self.units);
        Some(Duration::new(seconds, u32::try_from(nanos).ok()?))
    }
}

/// The units of time in a second that an `if_tsresol` tells, where it is one that makes sense.
fn units_of(resolution: u8) -> Option<u64> {
    match resolution {
        0..128 => 10u64.checked_pow(resolution.into()),
        128.. => 1u64.checked_shl(u32::from(resolution) - 128),
    }
}

/// The options of a block up to their end, each without its padding.
fn options<'a>(options: &'a [PcapNGOption]) -> impl Iterator<Item = (OptionCode, &'a [u8])> {
    options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
        .filter_map(|option| Some((option.code, option.as_bytes().ok()?)))
}
