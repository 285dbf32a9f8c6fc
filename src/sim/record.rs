//! Capture files on a NIC: played into it, or written of what it carries.

use std::path::Path;
use std::time::Duration;

use super::nic::Nic;
use super::play::Playback;
use crate::capture::{Capture, CaptureWriter, Direction};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// Writes the packets of one NIC.
#[derive(Debug)]
pub(super) struct Recorder {
    name: String,
    writer: CaptureWriter,
    /// The first thing that went wrong.
    failure: Option<FluxError>,
}

impl Recorder {
    pub(super) fn arrived(&mut self, time: Duration, bytes: &[u8]) {
        self.write(Direction::In, time, bytes);
    }

    pub(super) fn left(&mut self, time: Duration, bytes: &[u8]) {
        self.write(Direction::Out, time, bytes);
    }

    fn write(&mut self, direction: Direction, time: Duration, bytes: &[u8]) {
        let written = self.writer.write(&self.name, Some(direction), time, bytes);
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }
}

impl From<Capture> for Playback {
    /// The packets of a capture, in the order of the file, at their times from its start.
    fn from(capture: Capture) -> Self {
        let start = capture.start();
        let packets = capture.packets.into_iter();
        Self::at(packets.map(|packet| (packet.time - start, packet.bytes)))
    }
}

impl Playback {
    /// The packets of a capture file, pcap or pcapng, in the order of the file, at their times from its start.
    ///
    /// A packet that was cut at the capture is played as it is in the file. Packets that are not of Ethernet are left out. To play the
    /// packets of a file that is cut off, or to learn how many were left out, read a [`Capture`] and make a playback of it.
    ///
    /// ```no_run
    /// use fluxcap::sim::{Network, Playback, Speed};
    ///
    /// let network = Network::new();
    /// let nic = network.nic("sim0")?;
    /// nic.play(Playback::read("office.pcapng")?.speed(Speed::Paced))?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Capture::read`], and its [`damage`](Capture::damage).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let mut capture = Capture::read(path)?;
        match capture.damage.take() {
            Some(damage) => Err(damage),
            None => Ok(capture.into()),
        }
    }
}

impl Nic {
    /// Writes what arrives and what leaves from now on into a capture file, until [`end_recording`](Self::end_recording): a pcap file
    /// if its name ends so, and otherwise a pcapng file. Times count from when the network was made.
    ///
    /// Packets that faults took are not in it; packets that a socket or the host had no room for are.
    ///
    /// ```no_run
    /// use fluxcap::sim::Network;
    ///
    /// let network = Network::new();
    /// let nic = network.nic("sim0")?;
    /// nic.record("sim0.pcapng")?;
    /// nic.inject(0, &[7; 60])?;
    /// network.settle();
    /// nic.end_recording()?;
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) when it is recorded already; [`NotFound`](ErrorKind::NotFound) when the NIC was removed; and those of
    /// [`CaptureWriter::create`].
    pub fn record(&self, path: impl AsRef<Path>) -> Result<()> {
        self.with(|world, index| {
            let port = &mut world.ports[index];
            if port.recorder.is_some() {
                return Err(FluxError::new(
                    ErrorKind::Busy,
                    errno::EBUSY,
                    format_args!("recording {}", port.config.name),
                    "it is recorded already",
                    "end that recording first",
                ));
            }
            let name = port.config.name.clone();
            let mut writer = CaptureWriter::create(path)?;
            writer.interface(&name)?;
            port.recorder = Some(Recorder {
                name,
                writer,
                failure: None,
            });
            Ok(())
        })
    }

    /// Ends the recording, and the file is complete. Without one it does nothing.
    ///
    /// # Errors
    ///
    /// What went wrong since it began, as [`CaptureWriter::flush`] tells it: the file is incomplete then.
    pub fn end_recording(&self) -> Result<()> {
        let mut world = self.shared.lock("ending a recording")?;
        let recorder = world.ports[self.index].recorder.take();
        drop(world);
        match recorder {
            Some(recorder) => {
                let finished = recorder.writer.finish();
                recorder.failure.map_or(finished.map(drop), Err)
            }
            None => Ok(()),
        }
    }
}
