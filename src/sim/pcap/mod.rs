//! Capture files: what tcpdump and Wireshark write can be played into a simulated network, and what happened there can be
//! looked at in Wireshark.
//!
//! Both formats, pcap and pcapng, and of Ethernet packets only.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use crate::error::{ErrorKind, FluxError, Result, errno};

mod blocks;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use write::CaptureWriter;

/// The longest packet that is read or written, in bytes; tcpdump has the same limit.
const MAX_PACKET: usize = 256 * 1024;

/// The link type of Ethernet.
const LINK_ETHERNET: u32 = 1;

/// What a section of a pcapng file begins with, behind type and length, in its own byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// The types of blocks of pcapng.
struct Block;

impl Block {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const OBSOLETE_PACKET: u32 = 2;
    const SIMPLE_PACKET: u32 = 3;
    const ENHANCED_PACKET: u32 = 6;
}

/// The options of these blocks. What a number means depends on the block.
struct OptionCode;

impl OptionCode {
    const END: u16 = 0;
    /// `shb_userappl`
    const APPLICATION: u16 = 4;
    /// `if_name`
    const INTERFACE_NAME: u16 = 2;
    /// `if_tsresol`
    const TIME_RESOLUTION: u16 = 9;
    /// `if_tsoffset`
    const TIME_OFFSET: u16 = 14;
    /// `epb_flags`
    const PACKET_FLAGS: u16 = 2;
}

/// The packets of a capture file, in the order of the file.
///
/// ```no_run
/// use fluxcap::sim::Capture;
///
/// let capture = Capture::read("office.pcapng")?;
/// for packet in &capture.packets {
///     println!("{:?} {} bytes", packet.time - capture.start(), packet.bytes.len());
/// }
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The packets.
    pub packets: Vec<CapturedPacket>,
    /// Where they were captured: an entry for each interface that the file describes, also for those without packets. The
    /// interfaces of a further section of the file come after those of the sections before. A pcap file has one, without a name.
    pub interfaces: Vec<CapturedInterface>,
    /// How many packets were skipped, being of interfaces with another link type than Ethernet.
    pub skipped: u64,
    /// Why reading ended before the file did: it is cut off, as by a full disk, or damaged. The packets are those before.
    pub damage: Option<FluxError>,
}

/// An interface that packets of a [`Capture`] came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedInterface {
    /// Its name, if the file tells it.
    pub name: Option<String>,
}

/// A packet of a [`Capture`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedPacket {
    /// When it was captured, since the Unix epoch, to the nanosecond. [`Capture::start`] is what to subtract for a time since the start.
    ///
    /// The simple packet blocks of pcapng have no time; they get that of the packet before, or else of the first packet that has one.
    /// A time before 1970 is 1970.
    pub time: Duration,
    /// The bytes of the file, from the Ethernet header on; a frame check sequence stays, if one was captured.
    pub bytes: Vec<u8>,
    /// The length of the packet on the wire; more than there are `bytes` when it was cut at the capture, and never less.
    pub original_len: u32,
    /// The place of its interface in [`Capture::interfaces`].
    pub interface: usize,
    /// Whether it came in or went out, if the file tells it (a pcap file never does).
    pub direction: Option<Direction>,
}

/// The direction of a packet, as the interface sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received by the interface.
    In,
    /// Sent by the interface.
    Out,
}

/// The two formats of capture files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptureFormat {
    /// The old one, which any tool reads: times and bytes.
    Pcap,
    /// The new one, which has names of interfaces and directions too.
    PcapNg,
}

impl Capture {
    /// Reads a capture file whole; it may be pcap or pcapng, whatever its name.
    ///
    /// Files are read as other tools read them. Packets that are not of Ethernet are skipped and counted; a file that is cut off or damaged
    /// behind its first packet gives the packets before, and [`damage`](Self::damage) says what is wrong. [`complete`](Self::complete)
    /// refuses both.
    ///
    /// The packets take about as much memory as the file; at worst, when it consists of empty packets, ten times as much.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound) when there is no such file, [`Permission`](crate::ErrorKind::Permission) when it may
    ///   not be read, [`System`](crate::ErrorKind::System) for other errors of the operating system.
    /// - [`Invalid`](crate::ErrorKind::Invalid) when it is no capture file, or cut off or damaged in front of its first whole packet, or that
    ///   has more than 256 KiB.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) when it has packets and none of them is of Ethernet, or a version that is not known.
    /// - [`Memory`](crate::ErrorKind::Memory) when there is not enough for its packets.
    ///
    /// ```
    /// use fluxcap::{ErrorKind, sim::Capture};
    ///
    /// let error = Capture::read("no-such-file.pcap").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = format!("capture file {}", path.display());
        let file = File::open(path)
            .map_err(|error| system(&format!("opening {name}"), &error, "check the path"))?;
        read::read(io::BufReader::new(file), &name)
    }

    /// Reads a capture file from anything that has bytes, to its end.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// ```
    /// use fluxcap::{ErrorKind, sim::Capture};
    ///
    /// let error = Capture::from_reader(&b"GET / HTTP/1.1"[..]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Invalid);
    /// ```
    pub fn from_reader(reader: impl Read) -> Result<Self> {
        read::read(io::BufReader::new(reader), "the capture")
    }

    /// The capture, if all of its file was read.
    ///
    /// # Errors
    ///
    /// The [`damage`](Self::damage), if there is some; [`Unsupported`](crate::ErrorKind::Unsupported) when packets were
    /// [skipped](Self::skipped).
    ///
    /// ```
    /// use fluxcap::{ErrorKind, sim::{Capture, CaptureFormat, CaptureWriter}};
    ///
    /// let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::Pcap)?;
    /// for _ in 0..2 {
    ///     writer.write("eth0", None, std::time::Duration::ZERO, &[0xff; 60])?;
    /// }
    /// let file = writer.finish()?;
    ///
    /// let cut = Capture::from_reader(&file[..file.len() - 1])?;
    /// assert_eq!(cut.packets.len(), 1);
    /// assert_eq!(cut.complete().unwrap_err().kind(), ErrorKind::Invalid);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn complete(self) -> Result<Self> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        if self.skipped > 0 {
            return Err(FluxError::new(
                ErrorKind::Unsupported,
                errno::EOPNOTSUPP,
                "reading a whole capture",
                format_args!("{} of its packets are not of Ethernet", self.skipped),
                "leave them out, or capture on Ethernet interfaces only",
            ));
        }
        Ok(self)
    }

    /// The earliest time of all packets, zero when there are none.
    ///
    /// It need not be that of the first packet: captures of several interfaces may be a little out of order.
    #[must_use]
    pub fn start(&self) -> Duration {
        self.packets
            .iter()
            .map(|packet| packet.time)
            .min()
            .unwrap_or_default()
    }
}

/// An error of the operating system, with the number that Linux has for it, on every system.
fn system(tried: &str, error: &io::Error, fix: &str) -> FluxError {
    let (kind, number) = match error.kind() {
        io::ErrorKind::OutOfMemory => (ErrorKind::Memory, errno::ENOMEM),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, errno::ENOENT),
        io::ErrorKind::PermissionDenied => (ErrorKind::Permission, errno::EACCES),
        io::ErrorKind::AlreadyExists => (ErrorKind::System, errno::EEXIST),
        io::ErrorKind::NotADirectory => (ErrorKind::System, errno::ENOTDIR),
        io::ErrorKind::IsADirectory => (ErrorKind::System, errno::EISDIR),
        io::ErrorKind::InvalidFilename => (ErrorKind::System, errno::ENAMETOOLONG),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::System, errno::EROFS),
        io::ErrorKind::FileTooLarge => (ErrorKind::System, errno::EFBIG),
        io::ErrorKind::StorageFull => (ErrorKind::System, errno::ENOSPC),
        io::ErrorKind::QuotaExceeded => (ErrorKind::System, errno::EDQUOT),
        _ => (ErrorKind::System, errno::EIO),
    };
    FluxError::new(kind, number, tried, error, fix)
}
