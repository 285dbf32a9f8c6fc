//! Where links are: a simulated network, or a network namespace with veth pairs.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "what only veth pairs need")
)]

use std::thread;
use std::time::{Duration, Instant};

use fluxcap::Link;
use fluxcap::sim::{Network, Nic, NicConfig, Running};

use super::world::Pair;

/// How often both ends are closed and opened.
pub(crate) const CYCLES: usize = 1000;

/// `FLUXCAP_CYCLES=1000` asks for as many over veth, which take minutes.
#[cfg(target_os = "linux")]
pub(crate) fn cycles_over_veth(few: usize) -> usize {
    let wish = std::env::var("FLUXCAP_CYCLES").ok();
    wish.and_then(|text| text.parse().ok()).unwrap_or(few)
}
/// Over veth a cycle takes some 90 ms, nearly all of it waiting for the kernel (grace periods, as programs and sockets go): fewer.
pub(crate) const CYCLES_OVER_VETH: usize = 50;

/// Where links are. The methods are those of [`World`](super::world::World).
pub(crate) trait Place {
    fn cycles(&self) -> usize;
    fn add_pair(&mut self, one: &str, other: &str, pair: Pair);
    fn link(&self, name: &str) -> Link;
    fn listen(&mut self, link: &str);
    fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>>;
    fn host_send(&mut self, link: &str, frame: &[u8]);
    fn set_up(&mut self, link: &str, up: bool);
    fn set_mtu(&mut self, link: &str, mtu: u32);
    fn pass(&mut self);
}

/// A simulated network: its thread runs, or it is stepped when somebody waits.
pub(crate) struct SimPlace {
    network: Network,
    running: Option<Running>,
}

impl SimPlace {
    pub(crate) fn running() -> Self {
        let network = Network::new();
        let running = Some(network.run().unwrap());
        Self { network, running }
    }

    pub(crate) fn stepped() -> Self {
        Self {
            network: Network::new(),
            running: None,
        }
    }

    fn nic(&self, name: &str) -> Nic {
        self.network.find(name).unwrap()
    }
}

impl Place for SimPlace {
    fn cycles(&self) -> usize {
        CYCLES
    }

    fn add_pair(&mut self, one: &str, other: &str, pair: Pair) {
        let [one, other] = [one, other].map(|name| {
            let config = NicConfig {
                queues: pair.queues,
                mtu: pair.mtu,
                ..NicConfig::new(name)
            };
            self.network.add(config).unwrap()
        });
        self.network.join(&one, &other).unwrap();
    }

    fn link(&self, name: &str) -> Link {
        Link::from(&self.nic(name))
    }

    fn listen(&mut self, link: &str) {
        let nic = self.nic(link);
        while nic.take_passed().is_some() {}
    }

    fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>> {
        let nic = self.nic(link);
        let deadline = Instant::now() + Duration::from_millis(ms.into());
        loop {
            if let Some(frame) = nic.take_passed() {
                return Some(frame);
            }
            // Stepped, nothing comes any more once all has happened.
            if Instant::now() >= deadline || self.running.is_none() && self.network.settle() == 0 {
                return nic.take_passed();
            }
            self.pass();
        }
    }

    fn host_send(&mut self, link: &str, frame: &[u8]) {
        self.nic(link).host_send(0, frame).unwrap();
    }

    fn set_up(&mut self, link: &str, up: bool) {
        self.nic(link).set_up(up).unwrap();
    }

    fn set_mtu(&mut self, link: &str, mtu: u32) {
        self.nic(link).set_mtu(mtu).unwrap();
    }

    fn pass(&mut self) {
        match self.running {
            Some(_) => thread::sleep(Duration::from_micros(200)),
            None => {
                self.network.settle();
            }
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) use veth::VethPlace;

#[cfg(target_os = "linux")]
mod veth {
    use std::collections::BTreeMap;

    use super::{Duration, Link, Pair, Place, thread};
    use crate::net::{Stack, add_pair, ip};

    /// The network namespace of this thread, with which its links go.
    #[derive(Default)]
    pub(crate) struct VethPlace {
        stacks: BTreeMap<String, Stack>,
        pairs: Vec<String>,
    }

    impl VethPlace {
        /// Makes room for another scenario in the same namespace.
        #[cfg(feature = "capi")]
        pub(crate) fn clear(&mut self) {
            for link in self.pairs.drain(..) {
                ip(&format!("link del {link}"));
            }
            self.stacks.clear();
        }
    }

    impl Place for VethPlace {
        fn cycles(&self) -> usize {
            super::cycles_over_veth(super::CYCLES_OVER_VETH)
        }

        fn add_pair(&mut self, one: &str, other: &str, pair: Pair) {
            let queues = pair.queues;
            self.pairs.push(one.to_owned());
            add_pair(
                one,
                other,
                &format!("numrxqueues {queues} numtxqueues {queues}"),
            );
            for link in [one, other] {
                if pair.mtu != 1500 {
                    self.set_mtu(link, pair.mtu);
                }
            }
        }

        fn link(&self, name: &str) -> Link {
            Link::interface(name)
        }

        fn listen(&mut self, link: &str) {
            self.stacks.insert(link.to_owned(), Stack::of(link));
        }

        fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>> {
            self.stacks[link].receive(Duration::from_millis(ms.into()))
        }

        fn host_send(&mut self, link: &str, frame: &[u8]) {
            let stack = self
                .stacks
                .entry(link.to_owned())
                .or_insert_with(|| Stack::of(link));
            stack.send(frame);
        }

        fn set_up(&mut self, link: &str, up: bool) {
            ip(&format!(
                "link set {link} {}",
                if up { "up" } else { "down" }
            ));
        }

        fn set_mtu(&mut self, link: &str, mtu: u32) {
            ip(&format!("link set {link} mtu {mtu}"));
        }

        fn pass(&mut self) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
