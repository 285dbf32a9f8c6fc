//! The balancer: what it does with each packet, and the state of the backends.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use fluxcap::proto::checksum::complete;
use fluxcap::proto::nat::Rewrite;
use fluxcap::proto::{
    Arp, ArpOperation, EtherType, Ethernet, FlowKey, IpProtocol, Ipv4, MacAddr, Tcp, TcpFlags,
};

use super::sessions::{Client, FIRST_PORT, MOST, Sessions};
use super::table::Table;

/// Milliseconds between two ARP requests to a backend.
const PROBE_INTERVAL: u64 = 1000;

/// A backend and its state.
pub(crate) struct Backend {
    address: SocketAddrV4,
    /// Learned by ARP.
    mac: Option<MacAddr>,
    is_up: bool,
    /// Time of the last packet from it, in milliseconds.
    seen: Option<u64>,
    flows: u64,
    to: u64,
    from: u64,
}

/// Dropped packets, by reason.
#[derive(Default)]
struct Losses {
    no_backend: u64,
    no_room: u64,
    no_session: u64,
    ignored: u64,
}

pub(crate) struct Balancer {
    /// Where the clients find the service.
    service: SocketAddrV4,
    mac: MacAddr,
    backends: Vec<Backend>,
    table: Table,
    sessions: Sessions,
    /// Milliseconds of silence after which a backend is down.
    down_after: u64,
    probed: Option<u64>,
    /// Flows that moved to another backend because theirs was down.
    moved: u64,
    arp_answered: u64,
    losses: Losses,
}

impl Balancer {
    pub(crate) fn new(
        service: SocketAddrV4,
        mac: MacAddr,
        backends: &[SocketAddrV4],
        down_after: u64,
    ) -> Self {
        let backend = |&address| Backend {
            address,
            mac: None,
            is_up: false,
            seen: None,
            flows: 0,
            to: 0,
            from: 0,
        };
        Self {
            service,
            mac,
            backends: backends.iter().map(backend).collect(),
            table: Table::new(backends.iter().copied()),
            sessions: Sessions::new(),
            down_after,
            probed: None,
            moved: 0,
            arp_answered: 0,
            losses: Losses::default(),
        }
    }

    /// Turns a packet into the one to send in its place. Returns false if there is none.
    #[inline]
    pub(crate) fn handle(&mut self, frame: &mut [u8], now: u64) -> bool {
        let ether_type = Ethernet::parse(frame).map(|(ethernet, _)| ethernet.ether_type());
        let answered = match ether_type {
            Ok(EtherType::ARP) => self.take_arp(frame, now),
            Ok(EtherType::IPV4) => self.take_ipv4(frame, now),
            _ => None,
        };
        answered.unwrap_or_else(|| {
            self.losses.ignored += 1;
            false
        })
    }

    /// Answers ARP requests for the service, and learns the addresses of backends. `None`: it is about another address.
    fn take_arp(&mut self, frame: &mut [u8], now: u64) -> Option<bool> {
        let (ethernet, payload) = Ethernet::parse_mut(frame).ok()?;
        let (arp, _) = Arp::parse_mut(payload).ok()?;
        if arp.target_ip() != *self.service.ip() {
            return None;
        }
        let (mac, ip) = (arp.sender_mac(), arp.sender_ip());
        for backend in &mut self.backends {
            if *backend.address.ip() == ip {
                backend.mac = Some(mac);
                backend.seen = Some(now);
            }
        }
        if arp.operation() != ArpOperation::REQUEST {
            return Some(false);
        }
        arp.into_reply(self.mac);
        ethernet.swap_addresses();
        ethernet.set_source(self.mac);
        self.arp_answered += 1;
        Some(true)
    }

    fn take_ipv4(&mut self, frame: &mut [u8], now: u64) -> Option<bool> {
        let (ethernet, _) = Ethernet::parse(frame).ok()?;
        let (to, from) = (ethernet.destination(), ethernet.source());
        let flow = FlowKey::parse(frame);
        let (Some((IpAddr::V4(source), IpAddr::V4(destination))), Some(protocol), Some(ports)) =
            (flow.addresses(), flow.protocol(), flow.ports())
        else {
            return None;
        };
        let is_known = matches!(protocol, IpProtocol::TCP | IpProtocol::UDP);
        let is_ours = ports.1 == self.service.port() || ports.1 >= FIRST_PORT;
        if to != self.mac || !is_ours || destination != *self.service.ip() || !is_known {
            return None;
        }
        let client = Client {
            address: SocketAddrV4::new(source, ports.0),
            protocol,
        };
        // Before the rewrite: afterwards an unfinished checksum looks like a finished one.
        complete(frame);
        if ports.1 == self.service.port() {
            return Some(self.pass_to_backend(frame, client, from, flow.hash(), now));
        }
        self.pass_to_client(frame, client, ports.1, now)
    }

    /// Turns a packet of a client into one for its backend.
    fn pass_to_backend(
        &mut self,
        frame: &mut [u8],
        client: Client,
        mac: MacAddr,
        hash: u32,
        now: u64,
    ) -> bool {
        let flags = tcp_flags(frame);
        let Some((port, session)) = self.sessions.of_client(client, hash, now) else {
            self.losses.no_room += 1;
            return false;
        };
        session.mac = mac;
        let begins = flags.contains(TcpFlags::SYN);
        session.ends = (session.ends && !begins) || ends(flags);
        let usable = session
            .backend
            .filter(|&backend| self.backends[backend].is_up);
        let number = match usable {
            Some(backend) if !begins => backend,
            _ => {
                let Some(backend) = self.table.pick(hash) else {
                    self.losses.no_backend += 1;
                    return false;
                };
                if session.backend.is_some() && !begins {
                    self.moved += 1;
                }
                if session.backend != Some(backend) {
                    self.backends[backend].flows += 1;
                }
                session.backend = Some(backend);
                backend
            }
        };
        let backend = &mut self.backends[number];
        let rewrite = Rewrite::new()
            .source_mac(self.mac)
            .destination_mac(backend.mac.unwrap_or(MacAddr::BROADCAST))
            .source(SocketAddrV4::new(*self.service.ip(), port).into())
            .destination(backend.address.into());
        if rewrite.apply(frame).is_err() {
            self.losses.ignored += 1;
            return false;
        }
        backend.to += 1;
        true
    }

    /// Turns a packet of a backend, to one of our ports, into one for the client. `None` if the flow belongs to another backend.
    fn pass_to_client(
        &mut self,
        frame: &mut [u8],
        from: Client,
        port: u16,
        now: u64,
    ) -> Option<bool> {
        let Some(session) = self.sessions.of_port(port) else {
            self.losses.no_session += 1;
            return Some(false);
        };
        let backend = &mut self.backends[session.backend?];
        if backend.address != from.address || session.client.protocol != from.protocol {
            return None;
        }
        let rewrite = Rewrite::new()
            .source_mac(self.mac)
            .destination_mac(session.mac)
            .source(self.service.into())
            .destination(session.client.address.into());
        let flags = tcp_flags(frame);
        rewrite.apply(frame).ok()?;
        session.seen = now;
        session.ends |= ends(flags);
        backend.seen = Some(now);
        backend.from += 1;
        Some(true)
    }

    /// Updates the state of the backends. Returns which went up or down, and whether it is time for new [`probes`](Self::probes).
    pub(crate) fn update_backends(&mut self, now: u64) -> (Vec<String>, bool) {
        let mut news = Vec::new();
        for backend in &mut self.backends {
            let silence = backend.seen.map(|seen| now.saturating_sub(seen));
            let is_up = backend.mac.is_some() && silence.is_some_and(|ms| ms < self.down_after);
            if is_up != backend.is_up {
                backend.is_up = is_up;
                news.push(format!("{} is {}", backend.address, state(is_up)));
            }
        }
        if !news.is_empty() {
            let backends = &self.backends;
            self.table.deal(|number| backends[number].is_up);
        }
        let due = self
            .probed
            .is_none_or(|last| now.saturating_sub(last) >= PROBE_INTERVAL);
        if due {
            self.probed = Some(now);
        }
        (news, due)
    }

    /// An ARP request for each backend.
    pub(crate) fn probes(&self) -> impl Iterator<Item = [u8; 60]> {
        self.backends
            .iter()
            .map(|backend| self.probe(*backend.address.ip()))
    }

    fn probe(&self, target: Ipv4Addr) -> [u8; 60] {
        let mut frame = [0; 60];
        let (ethernet, payload) = Ethernet::parse_mut(&mut frame).expect("long enough");
        ethernet.set_destination(MacAddr::BROADCAST);
        ethernet.set_source(self.mac);
        ethernet.set_ether_type(EtherType::ARP);
        // Ethernet and IPv4 addresses, and their lengths.
        payload[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        let (arp, _) = Arp::parse_mut(payload).expect("long enough");
        arp.set_operation(ArpOperation::REQUEST);
        arp.set_sender_mac(self.mac);
        arp.set_sender_ip(*self.service.ip());
        arp.set_target_ip(target);
        frame
    }

    /// The state of the backends as text, at a time in milliseconds.
    pub(crate) fn report(&self, now: u64) -> impl fmt::Display + '_ {
        Report {
            balancer: self,
            now,
        }
    }
}

/// The flags of a TCP segment; none for anything else.
fn tcp_flags(frame: &[u8]) -> TcpFlags {
    let flags = || {
        let (_, packet) = Ethernet::parse(frame).ok()?;
        let (ip, segment) = Ipv4::parse(packet).ok()?;
        let (tcp, _) = Tcp::parse(segment).ok()?;
        (ip.protocol() == IpProtocol::TCP).then(|| tcp.flags())
    };
    flags().unwrap_or(TcpFlags(0))
}

fn ends(flags: TcpFlags) -> bool {
    flags.contains(TcpFlags::FIN) || flags.contains(TcpFlags::RST)
}

fn state(is_up: bool) -> &'static str {
    if is_up { "up" } else { "down" }
}

struct Report<'a> {
    balancer: &'a Balancer,
    now: u64,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { balancer, now } = *self;
        writeln!(
            f,
            "{:<22} {:<5} {:>8} {:>12} {:>12}  last seen",
            "backend", "state", "flows", "packets to", "from"
        )?;
        for backend in &balancer.backends {
            write!(
                f,
                "{:<22} {:<5} {:>8} {:>12} {:>12}  ",
                backend.address.to_string(),
                state(backend.is_up),
                backend.flows,
                backend.to,
                backend.from
            )?;
            match backend.seen {
                Some(seen) => writeln!(f, "{:.1} s ago", (now - seen) as f64 / 1000.0)?,
                None => writeln!(f, "never")?,
            }
        }
        let Losses {
            no_backend,
            no_room,
            no_session,
            ignored,
        } = balancer.losses;
        write!(
            f,
            "sessions {} of {}, flows moved {}, ARP answered {}\ndropped: no backend {no_backend}, no room for a session \
             {no_room}, session over {no_session}, ignored {ignored}",
            balancer.sessions.count(now),
            MOST,
            balancer.moved,
            balancer.arp_answered
        )
    }
}
