//! The firewall: applies the rules to each packet, and counts.

use std::fmt;

use fluxcap::proto::checksum::{Completion, complete};
use fluxcap::proto::{EtherType, Ethernet, FlowKey};

use super::rules::{Action, Decision, Rules};

/// Entries of the cache of decisions: a power of two.
const REMEMBERED: usize = 4096;
/// With fewer rules than this, trying all is faster than the cache.
const FEW: usize = 16;

/// Packets of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) passed_bytes: u64,
    pub(crate) denied: u64,
    /// Of the denied ones, malformed IP packets.
    pub(crate) malformed: u64,
    /// Of the passed ones, those whose checksum was unfinished.
    pub(crate) completed: u64,
}

/// Packets and bytes that matched a rule.
#[derive(Debug, Clone, Copy, Default)]
struct Hits {
    packets: u64,
    bytes: u64,
}

/// The rules with their counters.
pub(crate) struct Firewall {
    rules: Rules,
    /// One for each rule, and one for the default.
    hits: Vec<Hits>,
    /// Decisions about recent flows, by the hash of the flow. A decision depends on the key of the flow alone.
    remembered: Vec<Option<(FlowKey, Decision)>>,
    completes: bool,
    totals: [Totals; 2],
}

impl Firewall {
    /// With `completes` it finishes the checksums of packets that pass.
    pub(crate) fn new(rules: Rules, completes: bool) -> Self {
        let mut firewall = Self {
            hits: Vec::new(),
            remembered: Vec::new(),
            rules,
            completes,
            totals: [Totals::default(); 2],
        };
        firewall.begin();
        firewall
    }

    /// Takes new rules. Their counters start at 0; the totals go on.
    pub(crate) fn replace(&mut self, rules: Rules) {
        self.rules = rules;
        self.begin();
    }

    /// Allocates all memory, so that none is allocated for a packet.
    fn begin(&mut self) {
        self.hits = vec![Hits::default(); self.rules.count() + 1];
        let remembered = if self.rules.count() < FEW {
            0
        } else {
            REMEMBERED
        };
        self.remembered = vec![None; remembered];
    }

    /// Returns whether a packet from interface `side` may pass, and finishes its checksum then.
    #[inline]
    pub(crate) fn passes(&mut self, side: usize, frame: &mut [u8]) -> bool {
        let totals = &mut self.totals[side];
        let flow = FlowKey::parse(frame);
        let is_ip = matches!(flow.ether_type(), EtherType::IPV4 | EtherType::IPV6);
        if frame.len() < Ethernet::LEN || (is_ip && flow.addresses().is_none()) {
            totals.malformed += 1;
            totals.denied += 1;
            return false;
        }
        let decision = match &mut self.remembered[..] {
            [] => self.rules.decide(&flow),
            remembered => {
                let entry = &mut remembered[flow.hash() as usize % REMEMBERED];
                match entry {
                    Some((key, decision)) if *key == flow => *decision,
                    _ => entry.insert((flow, self.rules.decide(&flow))).1,
                }
            }
        };
        let hits = &mut self.hits[decision.rule as usize];
        hits.packets += 1;
        hits.bytes += frame.len() as u64;
        if decision.action == Action::Deny {
            totals.denied += 1;
            return false;
        }
        totals.passed += 1;
        totals.passed_bytes += frame.len() as u64;
        if self.completes && complete(frame) == Completion::Completed {
            totals.completed += 1;
        }
        true
    }

    /// By the interface that the packets came in through.
    pub(crate) fn totals(&self) -> [Totals; 2] {
        self.totals
    }
}

impl fmt::Display for Firewall {
    /// A line for each rule, with its counters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>14} {:>17}  rule", "packets", "bytes")?;
        for (rule, hits) in self.hits.iter().enumerate() {
            write!(f, "{:>14} {:>17}  ", hits.packets, hits.bytes)?;
            match (self.rules.line(rule), self.rules.default()) {
                (Some((number, line)), _) => writeln!(f, "line {number}: {line}")?,
                (None, Action::Allow) => writeln!(f, "default allow")?,
                (None, Action::Deny) => writeln!(f, "default deny")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "passed {} ({} bytes), denied {}",
            self.passed, self.passed_bytes, self.denied
        )?;
        if self.malformed > 0 {
            write!(f, " ({} malformed)", self.malformed)?;
        }
        write!(f, ", checksums completed {}", self.completed)
    }
}
