//! The blocks of pcapng (draft-ietf-opsawg-pcapng).

use std::collections::TryReserveError;
use std::io::Read;
use std::time::Duration;

use super::read::{DAMAGED, Order, Source};
use super::{
    BYTE_ORDER, Block, CapturedInterface, CapturedPacket, Direction, LINK_ETHERNET, MAX_PACKET,
    OptionCode,
};
use crate::error::Result;

/// The longest block that is looked into: a packet with options. Blocks of no interest are skipped, however long.
const MAX_BLOCK: usize = 2 * MAX_PACKET;

/// What the packets of an interface need to be understood.
struct Clock {
    /// The place in [`Capture::interfaces`](super::Capture::interfaces).
    interface: usize,
    link: u32,
    /// The length that packets were cut to, zero for none.
    snap_len: u32,
    /// Units of time in a second; `None` if they are too many to count.
    units: Option<u128>,
    /// Seconds to add.
    offset: i64,
}

impl<R: Read> Source<'_, R> {
    pub(super) fn pcapng(&mut self) -> Result<()> {
        let mut clocks = Vec::new();
        // The magic number of the first block is there already.
        while self.next(12)? {
            if self.item[..4] == Block::SECTION.to_le_bytes() {
                self.order = Order::Little;
                if self.word(8) != BYTE_ORDER {
                    self.order = Order::Big;
                }
                if self.word(8) != BYTE_ORDER {
                    return Err(self.refuse("a section has no byte order", DAMAGED));
                }
                clocks.clear();
            }
            let kind = self.word(0);
            let length = self.word(4);
            if length < 12 || !length.is_multiple_of(4) {
                return Err(self.refuse(format!("a block is {length} bytes long"), DAMAGED));
            }
            match kind {
                Block::SECTION
                | Block::INTERFACE
                | Block::ENHANCED_PACKET
                | Block::SIMPLE_PACKET
                | Block::OBSOLETE_PACKET => {
                    self.block(kind, length as usize, &mut clocks)?;
                }
                _ => self.skip(u64::from(length))?,
            }
        }
        Ok(())
    }

    fn block(&mut self, kind: u32, length: usize, clocks: &mut Vec<Clock>) -> Result<()> {
        if length > MAX_BLOCK {
            return Err(self.refuse(
                format!("a block is {length} bytes long, of which at most {MAX_BLOCK} are read"),
                DAMAGED,
            ));
        }
        self.require(length)?;
        if self.word(length - 4) as usize != length {
            return Err(self.refuse("a block has another length at its end", DAMAGED));
        }
        let least = match kind {
            Block::SECTION => 28,
            Block::INTERFACE => 20,
            Block::SIMPLE_PACKET => 16,
            _ => 32,
        };
        if length < least {
            return Err(self.contradicts_itself(kind));
        }
        match kind {
            Block::SECTION => {
                let (major, minor) = (self.half(12), self.half(14));
                if major != 1 {
                    return Err(self.unsupported(
                        format!("its format has version {major}.{minor}, not 1.0"),
                        "convert it with editcap -F pcapng",
                    ));
                }
            }
            Block::INTERFACE => {
                let clock = self.interface(length)?;
                if clocks.try_reserve(1).is_err() {
                    return Err(self.no_memory());
                }
                clocks.push(clock);
            }
            Block::SIMPLE_PACKET => self.simple(length, clocks)?,
            Block::OBSOLETE_PACKET => {
                let interface = self.half(8).into();
                self.packet(kind, length, interface, clocks)?;
            }
            _ => {
                let interface = self.word(8);
                self.packet(kind, length, interface, clocks)?;
            }
        }
        Ok(())
    }

    fn interface(&mut self, length: usize) -> Result<Clock> {
        let mut name = None;
        let mut units = Some(1_000_000);
        let mut offset = 0;
        for (code, value) in self.options(16, length) {
            match (code, value) {
                (OptionCode::INTERFACE_NAME, _) if name.is_none() => {
                    name = Some(text(value));
                }
                (OptionCode::TIME_RESOLUTION, &[resolution]) => units = units_of(resolution),
                (OptionCode::TIME_OFFSET, _) => {
                    if let Ok(value) = value.try_into() {
                        offset = self.order.long(value).cast_signed();
                    }
                }
                _ => {}
            }
        }
        let clock = Clock {
            interface: self.capture.interfaces.len(),
            link: self.half(8).into(),
            snap_len: self.word(12),
            units,
            offset,
        };
        let name = name.transpose();
        let has_room = self.capture.interfaces.try_reserve(1);
        let (Ok(name), Ok(())) = (name, has_room) else {
            return Err(self.no_memory());
        };
        self.capture.interfaces.push(CapturedInterface { name });
        Ok(clock)
    }

    /// An enhanced packet block, or the packet block of before 2009, which differs in the number of the interface alone.
    fn packet(&mut self, kind: u32, length: usize, interface: u32, clocks: &[Clock]) -> Result<()> {
        let Some(clock) = clocks.get(interface as usize) else {
            return Err(self.refuse(
                format!("a packet is of interface {interface}, which is not described"),
                DAMAGED,
            ));
        };
        let captured = self.word(20) as usize;
        if captured > length - 32 {
            return Err(self.contradicts_itself(kind));
        }
        self.check_length(captured)?;
        if self.is_skipped(clock) {
            return Ok(());
        }
        let bytes = self.copied(28..28 + captured)?;
        let flags = self
            .options(28 + captured.next_multiple_of(4), length)
            .find_map(|(code, value)| {
                let flags = value.try_into().ok();
                flags.filter(|_| code == OptionCode::PACKET_FLAGS)
            })
            .map_or(0, |flags| self.order.word(flags) & 3);
        let direction = match flags {
            1 => Some(Direction::In),
            2 => Some(Direction::Out),
            _ => None,
        };
        let ticks = u64::from(self.word(12)) << 32 | u64::from(self.word(16));
        let original_len = self.word(24);
        self.push(CapturedPacket {
            time: clock.time(ticks),
            bytes,
            original_len,
            interface: clock.interface,
            direction,
        })
    }

    fn simple(&mut self, length: usize, clocks: &[Clock]) -> Result<()> {
        let Some(clock) = clocks.first() else {
            return Err(self.refuse("a packet is there before an interface", DAMAGED));
        };
        let original_len = self.word(8);
        let captured = match clock.snap_len {
            0 => original_len,
            snap_len => original_len.min(snap_len),
        };
        if captured as usize > length - 16 {
            return Err(self.refuse("a packet is longer than its block", DAMAGED));
        }
        self.check_length(captured as usize)?;
        if self.is_skipped(clock) {
            return Ok(());
        }
        let bytes = self.copied(12..12 + captured as usize)?;
        self.push_untimed(CapturedPacket {
            time: Duration::ZERO,
            bytes,
            original_len,
            interface: clock.interface,
            direction: None,
        })
    }

    /// Counts a packet that is not of Ethernet.
    fn is_skipped(&mut self, clock: &Clock) -> bool {
        if clock.link == LINK_ETHERNET {
            return false;
        }
        self.capture.skipped += 1;
        self.skipped_link.get_or_insert(clock.link);
        true
    }

    /// The options of the block at hand, from `at` up to their end, each without its padding.
    fn options(&self, at: usize, length: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.item.get(at..length - 4).unwrap_or_default();
        std::iter::from_fn(move || {
            let (&[a, b, c, d], behind) = rest.split_first_chunk()?;
            let (code, length) = (self.order.half([a, b]), self.order.half([c, d]));
            let value = behind.get(..length.into())?;
            rest = behind
                .get(usize::from(length).next_multiple_of(4)..)
                .unwrap_or_default();
            (code != OptionCode::END).then_some((code, value))
        })
    }

    fn contradicts_itself(&self, kind: u32) -> crate::error::FluxError {
        self.refuse(
            format!("a block of type {kind} contradicts itself"),
            DAMAGED,
        )
    }
}

impl Clock {
    /// The time of that many units. One before 1970 is 1970.
    fn time(&self, ticks: u64) -> Duration {
        let ticks = u128::from(ticks);
        // Of more units than that, all that can be counted are less than a nanosecond.
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

/// As `String::from_utf8_lossy`, if there is memory for it.
fn text(bytes: &[u8]) -> Result<String, TryReserveError> {
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

/// The units of time in a second that an `if_tsresol` tells.
fn units_of(resolution: u8) -> Option<u128> {
    match resolution {
        0..128 => 10u128.checked_pow(resolution.into()),
        128.. => 1u128.checked_shl(u32::from(resolution) - 128),
    }
}
