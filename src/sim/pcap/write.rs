//! From packets to a capture file, little-endian and with times in nanoseconds.
//!
//! Each record or block is put together first and given away whole, so that nothing of it is there when it is refused.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::{
    BYTE_ORDER, Block, CaptureFormat, CapturedPacket, Direction, LINK_ETHERNET, MAX_PACKET,
    OptionCode, system,
};
use crate::error::{FluxError, Result};

/// What a pcap file with times in nanoseconds begins with.
const PCAP_MAGIC: u32 = 0xa1b2_3c4d;

/// The most bytes of a record or block beside those of the packet or name in it.
const MOST_BESIDE: usize = 64;

/// Writes packets into a capture file, for tcpdump and Wireshark.
///
/// [`finish`](Self::finish) it: a writer that is just dropped writes what it holds, but cannot tell when that fails.
///
/// ```
/// use std::time::Duration;
/// use fluxcap::sim::{Capture, CaptureFormat, CaptureWriter, Direction};
///
/// // Into memory here; `CaptureWriter::create("network.pcapng")` makes a file.
/// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?;
/// writer.write("eth0", Some(Direction::In), Duration::from_micros(7), &[0xff; 60])?;
/// let file = writer.finish()?;
///
/// let capture = Capture::from_reader(&file[..])?;
/// assert_eq!(capture.packets[0].direction, Some(Direction::In));
/// assert_eq!(capture.interfaces[0].name.as_deref(), Some("eth0"));
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
pub struct CaptureWriter<W: Write = File> {
    out: BufWriter<W>,
    format: CaptureFormat,
    name: String,
    /// The interfaces that have a block, and their numbers.
    interfaces: HashMap<String, u32>,
    /// The record or block at hand.
    item: Vec<u8>,
    /// Since when the file is of no use.
    failure: Option<FluxError>,
}

impl CaptureWriter<File> {
    /// Makes a file, or overwrites it: a pcap file if its name ends so, and otherwise a pcapng file.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such directory, [`Permission`](crate::ErrorKind::Permission) when it
    /// must not be written to, [`System`](crate::ErrorKind::System) for other errors of the operating system.
    ///
    /// ```no_run
    /// use fluxcap::sim::CaptureWriter;
    ///
    /// let writer = CaptureWriter::create("network.pcapng")?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("pcap") => CaptureFormat::Pcap,
            _ => CaptureFormat::PcapNg,
        };
        let name = format!("capture file {}", path.display());
        let file = File::create(path).map_err(|error| {
            system(
                &format!("making {name}"),
                &error,
                "check the path and the rights to its directory",
            )
        })?;
        Self::begin(file, format, name)
    }
}

impl<W: Write> CaptureWriter<W> {
    /// Writes to anything that takes bytes.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) when it does not take them.
    ///
    /// ```
    /// use fluxcap::sim::{CaptureFormat, CaptureWriter};
    ///
    /// let writer = CaptureWriter::new(Vec::new(), CaptureFormat::Pcap)?;
    /// assert_eq!(writer.finish()?.len(), 24); // the header of the file
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn new(writer: W, format: CaptureFormat) -> Result<Self> {
        Self::begin(writer, format, "the capture".into())
    }

    fn begin(writer: W, format: CaptureFormat, name: String) -> Result<Self> {
        let mut this = Self {
            out: BufWriter::new(writer),
            format,
            name,
            interfaces: HashMap::new(),
            item: Vec::new(),
            failure: None,
        };
        match format {
            CaptureFormat::Pcap => {
                this.word(PCAP_MAGIC);
                this.half(2); // version 2.4
                this.half(4);
                this.word(0); // times are UTC
                this.word(0);
                this.word(MAX_PACKET as u32);
                this.word(LINK_ETHERNET);
                this.give()?;
            }
            CaptureFormat::PcapNg => {
                this.begin_block(Block::SECTION);
                this.word(BYTE_ORDER);
                this.half(1); // version 1.0
                this.half(0);
                this.bytes(&u64::MAX.to_le_bytes()); // a section of unknown length
                this.option(OptionCode::APPLICATION, b"fluxcap");
                this.end_block()?;
            }
        }
        Ok(this)
    }

    /// Makes an interface known, so that the file tells of it also if no packet comes; a known one and pcap files are left alone.
    ///
    /// [`write`](Self::write) does it by itself.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the name has more than 65535 bytes, [`Memory`](crate::ErrorKind::Memory) when there is none
    /// for it, and those of [`flush`](Self::flush).
    ///
    /// ```
    /// use fluxcap::sim::{Capture, CaptureFormat, CaptureWriter};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?;
    /// writer.interface("eth0")?;
    /// writer.interface("eth1")?;
    /// let capture = Capture::from_reader(&writer.finish()?[..])?;
    /// assert_eq!(capture.interfaces.len(), 2);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn interface(&mut self, name: &str) -> Result<()> {
        self.number(name).map(drop)
    }

    /// Writes a packet of the interface called `interface`, captured at `time` since the Unix epoch or any other beginning.
    ///
    /// A pcap file takes neither the interface nor the direction.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the packet is longer than 256 KiB, or the time beyond what the format can tell: 136 years
    /// for pcap, 584 for pcapng; [`Memory`](crate::ErrorKind::Memory) when there is none for a copy of the packet. Nothing is written then, and the
    /// file stays good. And those of [`flush`](Self::flush).
    ///
    /// ```
    /// use std::time::Duration;
    /// use fluxcap::sim::{CaptureFormat, CaptureWriter, Direction};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?;
    /// writer.write("eth0", Some(Direction::In), Duration::from_nanos(10), &[0xff; 60])?;
    /// writer.write("eth0", Some(Direction::Out), Duration::from_nanos(25), &[0xfe; 60])?;
    /// writer.finish()?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn write(
        &mut self,
        interface: &str,
        direction: Option<Direction>,
        time: Duration,
        bytes: &[u8],
    ) -> Result<()> {
        self.record(interface, direction, time, bytes, bytes.len())
    }

    /// Writes a packet that was read, as a packet of the interface called `interface`. One that was cut stays marked as such.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`Invalid`](crate::ErrorKind::Invalid) also when the packet has more bytes than its original length.
    ///
    /// ```no_run
    /// use fluxcap::sim::{Capture, CaptureWriter};
    ///
    /// let capture = Capture::read("office.pcap")?;
    /// let mut writer = CaptureWriter::create("office.pcapng")?;
    /// for packet in &capture.packets {
    ///     writer.write_captured("eth0", packet)?;
    /// }
    /// writer.finish()?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn write_captured(&mut self, interface: &str, packet: &CapturedPacket) -> Result<()> {
        let CapturedPacket { time, bytes, .. } = packet;
        let length = packet.original_len as usize;
        if length < bytes.len() {
            return Err(self.refuse(
                format!("a packet of {} bytes was {length} bytes long", bytes.len()),
                "correct its original_len",
            ));
        }
        self.record(interface, packet.direction, *time, bytes, length)
    }

    fn record(
        &mut self,
        interface: &str,
        direction: Option<Direction>,
        time: Duration,
        bytes: &[u8],
        original_len: usize,
    ) -> Result<()> {
        if bytes.len() > MAX_PACKET {
            return Err(self.refuse(
                format!(
                    "a packet of {} bytes; the longest possible has {MAX_PACKET}",
                    bytes.len()
                ),
                "write its beginning only",
            ));
        }
        let too_late = |this: &Self| {
            this.refuse(
                format!("the time {time:?} is beyond what the format can tell"),
                "count from the Unix epoch or any later time",
            )
        };
        match self.format {
            CaptureFormat::Pcap => {
                let seconds = u32::try_from(time.as_secs()).map_err(|_| too_late(self))?;
                self.reserve(bytes.len())?;
                self.word(seconds);
                self.word(time.subsec_nanos());
                self.word(bytes.len() as u32);
                self.word(original_len as u32);
                self.bytes(bytes);
                self.give()
            }
            CaptureFormat::PcapNg => {
                let nanos = u64::try_from(time.as_nanos()).map_err(|_| too_late(self))?;
                let number = self.number(interface)?;
                self.reserve(bytes.len())?;
                self.begin_block(Block::ENHANCED_PACKET);
                self.word(number);
                self.word((nanos >> 32) as u32);
                self.word(nanos as u32);
                self.word(bytes.len() as u32);
                self.word(original_len as u32);
                self.bytes(bytes);
                self.pad();
                if let Some(direction) = direction {
                    let flags: u32 = match direction {
                        Direction::In => 1,
                        Direction::Out => 2,
                    };
                    self.option(OptionCode::PACKET_FLAGS, &flags.to_le_bytes());
                }
                self.end_block()
            }
        }
    }

    /// Hands everything over to the operating system, so that others see it.
    ///
    /// # Errors
    ///
    /// Those of the operating system, such as [`System`](crate::ErrorKind::System) with `ENOSPC`. After an error the file is incomplete;
    /// every further call returns the same error.
    ///
    /// ```
    /// use fluxcap::sim::{CaptureFormat, CaptureWriter};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::Pcap)?;
    /// writer.flush()?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn flush(&mut self) -> Result<()> {
        self.guarded(|out, _| out.flush())
    }

    /// Ends the file, and returns what it was written to.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    ///
    /// ```
    /// use fluxcap::sim::{CaptureFormat, CaptureWriter};
    ///
    /// let file = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?.finish()?;
    /// assert!(file.starts_with(b"\n\r\r\n"));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        let tried = self.tried();
        self.out
            .into_inner()
            .map_err(|error| system(&tried, error.error(), "make the file anew"))
    }

    /// The number of an interface, which gets its block now if it has none.
    fn number(&mut self, name: &str) -> Result<u32> {
        if let Some(number) = self.interfaces.get(name) {
            return Ok(*number);
        }
        if name.len() > usize::from(u16::MAX) {
            return Err(self.refuse(
                format!("an interface has a name of {} bytes", name.len()),
                "use one of at most 65535 bytes",
            ));
        }
        let mut known = String::new();
        if self.interfaces.try_reserve(1).is_err() || known.try_reserve_exact(name.len()).is_err() {
            return Err(self.no_memory());
        }
        known.push_str(name);
        if self.format == CaptureFormat::PcapNg {
            self.reserve(name.len())?;
            self.begin_block(Block::INTERFACE);
            self.half(LINK_ETHERNET as u16);
            self.half(0);
            self.word(MAX_PACKET as u32);
            self.option(OptionCode::INTERFACE_NAME, name.as_bytes());
            self.option(OptionCode::TIME_RESOLUTION, &[9]); // nanoseconds
            self.end_block()?;
        }
        let number = self.interfaces.len() as u32;
        self.interfaces.insert(known, number);
        Ok(number)
    }

    // The item at hand.

    /// Makes room for an item with so many bytes beside its numbers, so that none of it is written when there is no memory for all.
    fn reserve(&mut self, bytes: usize) -> Result<()> {
        let all = bytes + MOST_BESIDE;
        match self.item.try_reserve(all) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.no_memory()),
        }
    }

    #[cold]
    fn no_memory(&self) -> FluxError {
        FluxError::no_memory(
            self.tried(),
            "free some: nothing of this packet was written",
        )
    }

    fn half(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn word(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.item.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.item.resize(self.item.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.half(code);
        self.half(value.len() as u16);
        self.bytes(value);
        self.pad();
    }

    fn begin_block(&mut self, kind: u32) {
        self.word(kind);
        self.word(0); // its length, once that is known
    }

    fn end_block(&mut self) -> Result<()> {
        self.word(0); // the end of options, of which there may be none
        let length = self.item.len() as u32 + 4;
        self.word(length);
        self.item[4..8].copy_from_slice(&length.to_le_bytes());
        self.give()
    }

    fn give(&mut self) -> Result<()> {
        let result = self.guarded(|out, item| out.write_all(item));
        self.item.clear();
        result
    }

    /// Does it unless something failed before, and keeps in mind if it fails.
    fn guarded(
        &mut self,
        act: impl FnOnce(&mut BufWriter<W>, &[u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        act(&mut self.out, &self.item).map_err(|error| {
            let fix = "the file is incomplete; make it anew where there is room";
            let failure = system(&self.tried(), &error, fix);
            self.failure = Some(failure.clone());
            failure
        })
    }

    fn tried(&self) -> String {
        format!("writing {}", self.name)
    }

    fn refuse(&self, happened: impl fmt::Display, fix: &str) -> FluxError {
        FluxError::invalid(self.tried(), happened, fix)
    }
}

impl<W: Write> fmt::Debug for CaptureWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("interfaces", &self.interfaces.len())
            .finish_non_exhaustive()
    }
}
