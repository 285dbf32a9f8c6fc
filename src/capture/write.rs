//! From packets to a capture file: little-endian, times in nanoseconds.
//!
//! Each record or block is built in memory and written at once, so that a refused one leaves nothing in the file.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::{
    BYTE_ORDER, Block, CaptureFormat, CapturedPacket, Direction, LINK_ETHERNET, MAX_PACKET,
    OptionCode, system_error,
};
use crate::error::{FluxError, Result};

/// The magic number of a pcap file with times in nanoseconds.
const PCAP_MAGIC: u32 = 0xa1b2_3c4d;

/// The maximum size of a record or block without the packet or name in it.
const MAX_OVERHEAD: usize = 64;

/// Writes packets into a capture file, for tcpdump and Wireshark.
///
/// Call [`finish`](Self::finish) at the end: dropping the writer writes what it holds, but ignores errors.
///
/// ```
/// use std::time::Duration;
/// use fluxcap::capture::{Capture, CaptureFormat, CaptureWriter, Direction};
///
/// // Writes to memory; `CaptureWriter::create("network.pcapng")` creates a file.
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
    /// The current record or block.
    item: Vec<u8>,
    /// The first error; the file is incomplete from then on.
    failure: Option<FluxError>,
}

impl CaptureWriter<File> {
    /// Creates a file or overwrites it: pcap if the name ends in `.pcap`, pcapng otherwise.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound): there is no such directory.
    /// - [`Permission`](crate::ErrorKind::Permission): the program may not write there.
    /// - [`System`](crate::ErrorKind::System): any other error of the operating system.
    ///
    /// ```no_run
    /// use fluxcap::capture::CaptureWriter;
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
            system_error(
                &format!("creating {name}"),
                &error,
                "check the path and the permissions of its directory",
            )
        })?;
        Self::begin(file, format, name)
    }
}

impl<W: Write> CaptureWriter<W> {
    /// Writes to any writer.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) if the writer fails.
    ///
    /// ```
    /// use fluxcap::capture::{CaptureFormat, CaptureWriter};
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
                this.u32(PCAP_MAGIC);
                this.u16(2); // version 2.4
                this.u16(4);
                this.u32(0); // times are UTC
                this.u32(0);
                this.u32(MAX_PACKET as u32);
                this.u32(LINK_ETHERNET);
                this.write_item()?;
            }
            CaptureFormat::PcapNg => {
                this.begin_block(Block::SECTION);
                this.u32(BYTE_ORDER);
                this.u16(1); // version 1.0
                this.u16(0);
                this.bytes(&u64::MAX.to_le_bytes()); // a section of unknown length
                this.option(OptionCode::APPLICATION, b"fluxcap");
                this.end_block()?;
            }
        }
        Ok(this)
    }

    /// Describes an interface in the file, even if no packet follows. Does nothing for a known interface, and in a pcap file.
    ///
    /// [`write`](Self::write) does this as needed.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::ErrorKind::Invalid): the name has more than 65,535 bytes.
    /// - [`Memory`](crate::ErrorKind::Memory): there is not enough memory.
    /// - Those of [`flush`](Self::flush).
    ///
    /// ```
    /// use fluxcap::capture::{Capture, CaptureFormat, CaptureWriter};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?;
    /// writer.interface("eth0")?;
    /// writer.interface("eth1")?;
    /// let capture = Capture::from_reader(&writer.finish()?[..])?;
    /// assert_eq!(capture.interfaces.len(), 2);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn interface(&mut self, name: &str) -> Result<()> {
        self.interface_number(name).map(drop)
    }

    /// Writes a packet of the interface `interface`, captured at `time` since the Unix epoch or any other start.
    ///
    /// A pcap file has neither interface nor direction.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::ErrorKind::Invalid): the packet is longer than 256 KiB, or the time exceeds the range of the format, 136 years for
    ///   pcap and 584 years for pcapng. Nothing is written; the file stays valid.
    /// - [`Memory`](crate::ErrorKind::Memory): there is not enough memory for a copy of the packet. Nothing is written; the file stays valid.
    /// - Those of [`flush`](Self::flush).
    ///
    /// ```
    /// use std::time::Duration;
    /// use fluxcap::capture::{CaptureFormat, CaptureWriter, Direction};
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

    /// Writes a packet of a [`Capture`](super::Capture), as a packet of the interface `interface`. A cut packet keeps its original length.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); also [`Invalid`](crate::ErrorKind::Invalid) if the packet has more bytes than its original length.
    ///
    /// ```no_run
    /// use fluxcap::capture::{Capture, CaptureWriter};
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
            return Err(self.invalid(
                format!(
                    "a packet of {} bytes has the original length {length}",
                    bytes.len()
                ),
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
            return Err(self.invalid(
                format!(
                    "a packet of {} bytes; the maximum is {MAX_PACKET}",
                    bytes.len()
                ),
                "write only its first bytes",
            ));
        }
        let too_late = |this: &Self| {
            this.invalid(
                format!("the time {time:?} exceeds the range of the format"),
                "count from the Unix epoch or any later time",
            )
        };
        match self.format {
            CaptureFormat::Pcap => {
                let seconds = u32::try_from(time.as_secs()).map_err(|_| too_late(self))?;
                self.reserve(bytes.len())?;
                self.u32(seconds);
                self.u32(time.subsec_nanos());
                self.u32(bytes.len() as u32);
                self.u32(original_len as u32);
                self.bytes(bytes);
                self.write_item()
            }
            CaptureFormat::PcapNg => {
                let nanos = u64::try_from(time.as_nanos()).map_err(|_| too_late(self))?;
                let number = self.interface_number(interface)?;
                self.reserve(bytes.len())?;
                self.begin_block(Block::ENHANCED_PACKET);
                self.u32(number);
                self.u32((nanos >> 32) as u32);
                self.u32(nanos as u32);
                self.u32(bytes.len() as u32);
                self.u32(original_len as u32);
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

    /// Writes everything to the file, so that others can read it.
    ///
    /// # Errors
    ///
    /// An error of the operating system, such as [`System`](crate::ErrorKind::System) with `ENOSPC`. The file is incomplete after an error,
    /// and every further call returns the same error.
    ///
    /// ```
    /// use fluxcap::capture::{CaptureFormat, CaptureWriter};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::Pcap)?;
    /// writer.flush()?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn flush(&mut self) -> Result<()> {
        self.unless_failed(|out, _| out.flush())
    }

    /// Ends the file and returns the writer.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    ///
    /// ```
    /// use fluxcap::capture::{CaptureFormat, CaptureWriter};
    ///
    /// let file = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg)?.finish()?;
    /// assert!(file.starts_with(b"\n\r\r\n"));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        let attempt = self.attempt();
        self.out
            .into_inner()
            .map_err(|error| system_error(&attempt, error.error(), "write the file again"))
    }

    /// The number of an interface; writes its block if it has none.
    fn interface_number(&mut self, name: &str) -> Result<u32> {
        if let Some(number) = self.interfaces.get(name) {
            return Ok(*number);
        }
        if name.len() > usize::from(u16::MAX) {
            return Err(self.invalid(
                format!("an interface name of {} bytes", name.len()),
                "use at most 65535 bytes",
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
            self.u16(LINK_ETHERNET as u16);
            self.u16(0);
            self.u32(MAX_PACKET as u32);
            self.option(OptionCode::INTERFACE_NAME, name.as_bytes());
            self.option(OptionCode::TIME_RESOLUTION, &[9]); // nanoseconds
            self.end_block()?;
        }
        let number = self.interfaces.len() as u32;
        self.interfaces.insert(known, number);
        Ok(number)
    }

    // The current item.

    /// Reserves memory for an item with a packet or name of `bytes` bytes, so that it is written whole or not at all.
    fn reserve(&mut self, bytes: usize) -> Result<()> {
        let all = bytes + MAX_OVERHEAD;
        match self.item.try_reserve(all) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.no_memory()),
        }
    }

    #[cold]
    fn no_memory(&self) -> FluxError {
        FluxError::no_memory(
            self.attempt(),
            "free memory and write this packet again: nothing of it was written",
        )
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.item.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.item.resize(self.item.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.u16(code);
        self.u16(value.len() as u16);
        self.bytes(value);
        self.pad();
    }

    fn begin_block(&mut self, kind: u32) {
        self.u32(kind);
        self.u32(0); // its length, set by `end_block`
    }

    fn end_block(&mut self) -> Result<()> {
        self.u32(0); // the end of the options
        let length = self.item.len() as u32 + 4;
        self.u32(length);
        self.item[4..8].copy_from_slice(&length.to_le_bytes());
        self.write_item()
    }

    fn write_item(&mut self) -> Result<()> {
        let result = self.unless_failed(|out, item| out.write_all(item));
        self.item.clear();
        result
    }

    /// Writes, unless an earlier write failed; remembers the first error.
    fn unless_failed(
        &mut self,
        act: impl FnOnce(&mut BufWriter<W>, &[u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        act(&mut self.out, &self.item).map_err(|error| {
            let fix = "the file is incomplete; write it again where there is room";
            let failure = system_error(&self.attempt(), &error, fix);
            self.failure = Some(failure.clone());
            failure
        })
    }

    fn attempt(&self) -> String {
        format!("writing {}", self.name)
    }

    fn invalid(&self, happened: impl fmt::Display, fix: &str) -> FluxError {
        FluxError::invalid(self.attempt(), happened, fix)
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
