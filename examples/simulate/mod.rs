//! What `--sim`, `--pcap` and `--record` do in the example programs: a simulated link in place of an interface. Needs no root.

use std::path::PathBuf;

use fluxcap::proto::MacAddr;
use fluxcap::sim::{Network, Nic, NicConfig, Playback, Speed};
use fluxcap::{FluxError, Link};

use super::common::CommandLine;

/// Where the program receives and sends.
#[derive(Default)]
pub(crate) struct Place {
    /// The interface's name.
    pub(crate) interface: Option<String>,
    /// A simulated link instead.
    pub(crate) sim: bool,
    /// The capture file to replay into it.
    pub(crate) pcap: Option<PathBuf>,
    /// The capture file to write of what it carries.
    pub(crate) record: Option<PathBuf>,
    /// Its Ethernet address.
    pub(crate) mac: Option<MacAddr>,
}

impl Place {
    /// Takes an option of the command line. False when it is another one.
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

    /// Whether it is one place.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.interface, self.sim) {
            (None, false) => Err("an interface is needed: -i INTERFACE, or --sim".to_owned()),
            (Some(_), true) => Err("an interface, or a simulated link: not both".to_owned()),
            _ => Ok(()),
        }
    }

    /// What to bind to, and the simulated card behind it, if it is one. Without `keep` the packets that it sends are only counted.
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

/// Replays the capture file, without a loss.
pub(crate) fn replay(nic: &Nic, file: &PathBuf, queue: u32, times: u64) -> Result<(), FluxError> {
    let playback = Playback::read(file)?;
    let count = playback.packet_count();
    nic.play(playback.queue(queue).speed(Speed::Paced).times(times))?;
    println!("replaying {}: {count} packets", file.display());
    Ok(())
}
