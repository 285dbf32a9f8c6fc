//! What can go wrong on a link, and how likely.

use std::time::Duration;

use crate::error::{FluxError, Result};

/// What goes wrong on the way into a NIC and in its sockets. Nothing, unless set.
///
/// Chances are in parts per million of packets (or of calls), 0 to 1,000,000. Which packets are hit follows from the
/// [network's seed](super::Network::with_seed) alone.
///
/// ```
/// use fluxcap::sim::{Faults, Network};
///
/// let network = Network::with_seed(42);
/// let nic = network.nic("sim0")?;
/// nic.set_faults(Faults { loss: 10_000, ..Faults::default() })?; // one packet in a hundred
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Packets that never arrive.
    pub loss: u32,
    /// Packets that arrive twice.
    pub duplication: u32,
    /// Packets that overtake up to eight others.
    pub reordering: u32,
    /// Packets of which one bit is flipped.
    pub corruption: u32,
    /// Packets that are cut short, to no less than an Ethernet header.
    pub truncation: u32,
    /// Packets that are late, by up to [`max_delay`](Self::max_delay), and all behind them.
    pub delay: u32,
    /// How late, at most. Not more than a minute.
    pub max_delay: Duration,
    /// Packets that start a pause of [`max_delay`](Self::max_delay), after which all that waited arrive in one burst.
    pub burst: u32,
    /// Packets for which the fill ring seems to be empty; counted as the kernel counts it.
    pub starvation: u32,
    /// Sent packets whose frames come back late, by up to [`max_delay`](Self::max_delay).
    pub stalled_completion: u32,
    /// Waits that end early, with nothing there.
    pub spurious_wakeup: u32,
    /// Wake-ups of the kernel that have no effect: kicks, and those that are part of a wait.
    pub lost_wakeup: u32,
}

impl Faults {
    /// All of them, each with a chance of `per_million`, and delays of up to a millisecond.
    #[must_use]
    pub const fn all(per_million: u32) -> Self {
        Self {
            loss: per_million,
            duplication: per_million,
            reordering: per_million,
            corruption: per_million,
            truncation: per_million,
            delay: per_million,
            max_delay: Duration::from_millis(1),
            burst: per_million,
            starvation: per_million,
            stalled_completion: per_million,
            spurious_wakeup: per_million,
            lost_wakeup: per_million,
        }
    }

    /// Checks the ranges.
    ///
    /// A kick or a wait must work in the end: so a lost wake-up has a chance of at most one half.
    pub(super) fn check(&self) -> Result<()> {
        const MILLION: u32 = 1_000_000;
        let chances = [
            ("loss", self.loss, MILLION),
            ("duplication", self.duplication, MILLION),
            ("reordering", self.reordering, MILLION),
            ("corruption", self.corruption, MILLION),
            ("truncation", self.truncation, MILLION),
            ("delay", self.delay, MILLION),
            ("burst", self.burst, MILLION),
            ("starvation", self.starvation, MILLION),
            ("stalled_completion", self.stalled_completion, MILLION),
            ("spurious_wakeup", self.spurious_wakeup, MILLION / 2),
            ("lost_wakeup", self.lost_wakeup, MILLION / 2),
        ];
        for (name, chance, most) in chances {
            if chance > most {
                return Err(FluxError::invalid(
                    format_args!("fault {name} with a chance of {chance} in a million"),
                    format_args!("it lies between 0 and {most}"),
                    "use a smaller number",
                ));
            }
        }
        if self.max_delay > Duration::from_secs(60) {
            return Err(FluxError::invalid(
                format_args!("faults with a delay of {:?}", self.max_delay),
                "no delay is longer than a minute",
                "use less",
            ));
        }
        Ok(())
    }

    /// Whether packets on the way are left alone.
    pub(super) fn spare_packets(&self) -> bool {
        let Self {
            loss,
            duplication,
            reordering,
            corruption,
            truncation,
            delay,
            burst,
            ..
        } = *self;
        loss | duplication | reordering | corruption | truncation | delay | burst == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chance_has_its_range() {
        assert!(Faults::default().check().is_ok());
        assert!(Faults::all(500_000).check().is_ok());
        let error = Faults::all(500_001).check().unwrap_err().to_string();
        assert!(error.contains("spurious_wakeup"), "{error}");
        let late = Faults {
            max_delay: Duration::from_secs(61),
            ..Faults::default()
        };
        assert!(late.check().is_err());
    }
}
