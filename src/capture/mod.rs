//! Capture files of Ethernet packets, pcap and pcapng: reads what tcpdump and Wireshark write, and writes what they read.
//!
//! A [simulated network](crate::sim) replays captures ([`Playback::read`](crate::sim::Playback::read)) and records them
//! ([`Nic::record`](crate::sim::Nic::record)).
//!
//! ```text
//! file ─▶ source ─▶ read ─▶ Capture { packets, interfaces, skipped, damage }
//!         bytes of one      CapturedPacket { time, bytes, … } ─▶ write (CaptureWriter) ─▶ file
//!         record or block
//! ```
//!
//! `mod` has the plain data and the numbers of the formats; `source` reads one record or block at a time; `read` interprets them, first
//! pcap, then pcapng; `write` makes a whole record or block, then writes it. Nothing here knows of sockets.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use crate::error::{ErrorKind, FluxError, Result, errno};

mod read;
mod source;
mod write;

#[cfg(test)]
mod tests;

pub use write::CaptureWriter;

/// The longest packet to read or write, in bytes; tcpdump has the same limit.
const MAX_PACKET: usize = 256 * 1024;

/// The link type of Ethernet.
const LINK_ETHERNET: u32 = 1;

/// The byte-order magic of a section of a pcapng file.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// The block types of pcapng.
struct Block;

impl Block {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const OBSOLETE_PACKET: u32 = 2;
    const SIMPLE_PACKET: u32 = 3;
    const ENHANCED_PACKET: u32 = 6;
}

/// The option codes of these blocks. Their meaning depends on the block.
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
/// use fluxcap::capture::Capture;
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
    /// The interfaces that the file describes, section by section, with or without packets. A pcap file has one, without a name.
    pub interfaces: Vec<CapturedInterface>,
    /// The number of packets skipped because their link type is not Ethernet.
    pub skipped: u64,
    /// Why reading stopped before the end of the file: it is cut off, for example by a full disk, or damaged. `packets` has those before.
    pub damage: Option<FluxError>,
}

/// An interface that packets of a [`Capture`] came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedInterface {
    /// Its name, if the file has it.
    pub name: Option<String>,
}

/// A packet of a [`Capture`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedPacket {
    /// The time of the capture since the Unix epoch, in nanosecond resolution. Subtract [`Capture::start`] for the time since the start.
    ///
    /// The simple packet blocks of pcapng have no time; they get the time of the packet before, or of the first packet that has one.
    /// A time before 1970 becomes 1970.
    pub time: Duration,
    /// The captured bytes, from the Ethernet header on, with the frame check sequence if it was captured.
    pub bytes: Vec<u8>,
    /// The length of the packet on the wire; larger than the number of `bytes` if the capture cut the packet, never smaller.
    pub original_len: u32,
    /// The index of its interface in [`Capture::interfaces`].
    pub interface: usize,
    /// Whether it was received or sent, if the file has it; a pcap file never has.
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
    /// The older one, which every tool reads: times and bytes.
    Pcap,
    /// The newer one: also interface names and directions.
    PcapNg,
}

impl Capture {
    /// The capture, if the whole file was read and nothing was skipped.
    ///
    /// # Errors
    ///
    /// The [`damage`](Self::damage), if any; [`Unsupported`](crate::ErrorKind::Unsupported) if packets were [skipped](Self::skipped).
    ///
    /// ```
    /// use fluxcap::{ErrorKind, capture::{Capture, CaptureFormat, CaptureWriter}};
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
                "reading a complete capture",
                format_args!("{} of its packets are not Ethernet packets", self.skipped),
                "skip them, or capture on Ethernet interfaces only",
            ));
        }
        Ok(self)
    }

    /// The earliest time of all packets; zero if there are none.
    ///
    /// This need not be the time of the first packet: captures of several interfaces may be slightly out of order.
    #[must_use]
    pub fn start(&self) -> Duration {
        self.packets
            .iter()
            .map(|packet| packet.time)
            .min()
            .unwrap_or_default()
    }
}

/// An error of the operating system, with Linux's errno on every system.
fn system_error(tried: &str, error: &io::Error, fix: &str) -> FluxError {
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
