//! Capture files: what tcpdump and Wireshark write can be played into a simulated network, and what happened there can be
//! looked at in Wireshark.
//!
//! Both formats, pcap and pcapng, and of Ethernet packets only.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use pcap_parser::OptionCode;

use crate::error::{ErrorKind, FluxError, Result, errno};

mod blocks;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use write::CaptureWriter;

/// The longest packet that is read or written, in bytes; tcpdump has the same limit.
const MAX_PACKET: usize = 256 * 1024;

/// `epb_flags`, an option of the enhanced packet blocks of pcapng.
const PACKET_FLAGS: OptionCode = OptionCode(2);

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
    /// The simple packet blocks of pcapng have no time; they get that of the packet before.
    pub time: Duration,
    /// The bytes of the file, from the Ethernet header on; a frame check sequence stays, if one was captured.
    pub bytes: Vec<u8>,
    /// The length of the packet on the wire; more than there are `bytes` when it was cut at the capture.
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
    /// The packets take about as much memory as the file; at worst, when it consists of empty packets, ten times as much.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound) when there is no such file, [`Permission`](crate::ErrorKind::Permission) when it may
    ///   not be read, [`System`](crate::ErrorKind::System) for other errors of the operating system.
    /// - [`Invalid`](crate::ErrorKind::Invalid) when it is no capture file, a damaged one, or has a packet of more than 256 KiB.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) when its packets are not of Ethernet, or in a way of writing that nobody uses
    ///   any more.
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
