//! The options `--sim`, `--pcap` and `--record` of the example programs: a simulated link in place of an interface. Needs no root.

use std::path::PathBuf;

use fluxcap::proto::MacAddr;
use fluxcap::sim::{Network, Nic, NicConfig, Playback, Speed};
use fluxcap::{FluxError, Link};

use super::common::CommandLine;

/// The interface, or the simulated link in its place.
#[derive(Default)]
pub(crate) struct LinkOptions {
    /// The interface's name.
    pub(crate) interface: Option<String>,
    /// Use a simulated link.
    pub(crate) sim: bool,
    /// The capture file to replay into the simulated link.
    pub(crate) pcap: Option<PathBuf>,
    /// The capture file to write, with all that the simulated link carries.
    pub(crate) record: Option<PathBuf>,
    /// The MAC address of the simulated link.
    pub(crate) mac: Option<MacAddr>,
}

impl LinkOptions {
    /// Reads the value of `word` if it is one of these options, and otherwise returns false.
    pub(crate) fn option(&mut self, word: &str, line: &mut CommandLine) -> Result<bool, String> {
        match word {
            "-i" | "--interface" => {
                self.interface = Some(line.text()?);
                return Ok(true);
            }
            "--sim" => {}
            "--pcap" => self.pcap = Some(line.value()?.into()),
            "--record" => self.record = Some(line.value()?.into()),
            "--mac" => self.mac = Some(line.parsed("MAC address")?),
            _ => return Ok(false),
        }
        self.sim = true;
        Ok(true)
    }

    /// Checks that it is either an interface or a simulated link.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.interface, self.sim) {
            (None, false) => Err("an interface is needed: -i INTERFACE, or --sim".to_owned()),
            (Some(_), true) => Err("an interface, or a simulated link: not both".to_owned()),
            _ => Ok(()),
        }
    }

    /// What to bind to, and the card of a simulated link. Without `keep`, packets that are sent are only counted.
    pub(crate) fn open(&self, queue: u32, keep: bool) -> Result<(Link, Option<Nic>), FluxError> {
        if let Some(interface) = &self.interface {
            return Ok((Link::from(interface), None));
        }
        let usual = NicConfig::new("sim0");
        let nic = Network::new().add(NicConfig {
            queues: queue.saturating_add(1),
            mac: self.mac,
            zero_copy: true,
            keep: if keep { usual.keep } else { 0 },
            ..usual
        })?;
        if let Some(file) = &self.record {
            nic.record(file)?;
        }
        Ok((Link::from(&nic), Some(nic)))
    }
}

/// Replays the capture file without loss.
pub(crate) fn replay(nic: &Nic, file: &PathBuf, queue: u32, times: u64) -> Result<(), FluxError> {
    let playback = Playback::read(file)?;
    let count = playback.packet_count();
    nic.play(playback.queue(queue).speed(Speed::Paced).times(times))?;
    println!("replaying {}: {count} packets", file.display());
    Ok(())
}
