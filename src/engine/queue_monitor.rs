//! An eye on the number of queues.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::{Arc, Weak};

use crate::backend::Socket;
use crate::engine::FluxEngine;
use crate::link::Link;
use crate::socket::FluxRaw;

/// The number of an interface's receive queues changed while sockets were bound to some. Printable: it says what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueChange {
    /// The interface's name.
    pub interface: String,
    /// Its receive queues when the sockets were bound, or at the change before.
    pub before: u32,
    /// Its receive queues now.
    pub now: u32,
    /// What to type to set the number back.
    advice: String,
}

impl fmt::Display for QueueChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            before,
            now,
            advice,
        } = self;
        write!(
            f,
            "{interface} has {now} receive queues now, {before} before: "
        )?;
        let (first, end) = (*before.min(now), *before.max(now));
        let queues = match end.saturating_sub(first) {
            1 => format!("queue {first}"),
            _ => format!("queues {first} to {}", end.saturating_sub(1)),
        };
        if now > before {
            write!(
                f,
                "packets of {queues} go to the kernel's network stack; open all queues again"
            )?;
        } else {
            write!(
                f,
                "nothing arrives at {queues} any more; open those that are left"
            )?;
        }
        write!(f, ", or set the number back: {advice}")
    }
}

/// Knows how many queues each interface had when it was looked at last.
#[derive(Debug)]
pub(super) struct Watch(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    interface: String,
    known: Option<u32>,
    /// It closes with its engine.
    socket: Weak<dyn Socket>,
    link: Link,
}

impl Watch {
    /// Over the interfaces of these engines.
    pub(super) fn over(engines: &[FluxEngine]) -> Self {
        let ports = engines.iter().flat_map(|engine| &engine.ports);
        Self(ports.map(|port| Watched::new(&port.raw)).collect())
    }

    /// The changes since the look before, each told once however many sockets its interface has.
    pub(super) fn look(&mut self) -> Vec<QueueChange> {
        let mut changes = Vec::new();
        if self.0.iter().all(|watched| watched.change().is_none()) {
            return changes;
        }
        // Once more: some were asked before the change, and would tell of it another time.
        for watched in &mut self.0 {
            let Some(change) = watched.change() else {
                continue;
            };
            watched.known = Some(change.now);
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        changes
    }
}

impl Watched {
    fn new(raw: &FluxRaw) -> Self {
        Self {
            interface: raw.interface.name.clone(),
            known: raw.interface.rx_queues,
            socket: Arc::downgrade(raw.socket.shared()),
            link: raw.link.clone(),
        }
    }

    /// An interface that is gone has no number; its engine tells of that.
    fn change(&self) -> Option<QueueChange> {
        let before = self.known?;
        let now = self.socket.upgrade()?.rx_queues()?;
        (now != before).then(|| QueueChange {
            interface: self.interface.clone(),
            before,
            now,
            advice: self
                .link
                .backend()
                .queues_advice(&self.interface, &before.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::FluxBuilder;
    use crate::sim::{Network, NicConfig};

    #[test]
    fn a_watch_tells_of_changes_and_keeps_no_socket_open() {
        let nic = NicConfig {
            queues: 2,
            ..NicConfig::new("eth0")
        };
        let nic = Network::new().add(nic).unwrap();
        let open = || FluxBuilder::new(&nic).frames(64).build();
        let engines = [FluxEngine::new(open().unwrap())];
        let mut watch = Watch::over(&engines);
        assert!(watch.look().is_empty());
        nic.set_queues(4).unwrap();
        let [change] = &watch.look()[..] else {
            panic!("one change");
        };
        assert_eq!((change.before, change.now), (2, 4));
        drop(engines);
        nic.set_queues(2).unwrap();
        assert!(
            watch.look().is_empty(),
            "whose socket is closed, it knows nothing"
        );
        drop(open().unwrap());
    }

    fn change(before: u32, now: u32) -> String {
        let interface = "eth0".to_owned();
        QueueChange {
            interface,
            before,
            now,
            advice: format!("ethtool -L eth0 combined {before}"),
        }
        .to_string()
    }

    #[test]
    fn a_change_says_what_it_means_and_what_to_do() {
        assert_eq!(
            change(4, 8),
            "eth0 has 8 receive queues now, 4 before: packets of queues 4 to 7 go to the kernel's network stack; \
             open all queues again, or set the number back: ethtool -L eth0 combined 4"
        );
        assert_eq!(
            change(4, 3),
            "eth0 has 3 receive queues now, 4 before: nothing arrives at queue 3 any more; open those that are left, \
             or set the number back: ethtool -L eth0 combined 4"
        );
    }
}
