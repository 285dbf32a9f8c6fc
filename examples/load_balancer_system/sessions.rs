//! The session table: for each flow of a client, the port under which a backend knows it.

use std::net::SocketAddrV4;

use fluxcap::proto::{IpProtocol, MacAddr};

/// The first of the ports that stand for flows, one for each session.
pub(crate) const FIRST_PORT: u16 = 32_768;
/// The number of sessions, and of ports. All memory is allocated at the start.
pub(crate) const MOST: usize = SETS * WAYS;

/// The table is set-associative: a flow belongs to one set, which has room for `WAYS` flows.
const SETS: usize = 7168;
const WAYS: usize = 4;

/// A session without packets for so many milliseconds may be replaced.
const IDLE: u64 = 60_000;
/// The same after the last packet of a TCP connection.
const ENDED: u64 = 2000;

/// The key of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: SocketAddrV4,
    pub(crate) protocol: IpProtocol,
}

/// The state of a flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Where its answers go.
    pub(crate) mac: MacAddr,
    /// The index of its backend, if it has one.
    pub(crate) backend: Option<usize>,
    pub(crate) ends: bool,
    /// Time of its last packet, in milliseconds.
    pub(crate) seen: u64,
}

/// All sessions. The index of an entry gives the port.
pub(crate) struct Sessions {
    places: Vec<Option<Session>>,
}

impl Session {
    fn new(client: Client) -> Self {
        Self {
            client,
            mac: MacAddr::BROADCAST,
            backend: None,
            ends: false,
            seen: 0,
        }
    }

    /// Whether it may be replaced.
    fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.seen) >= if self.ends { ENDED } else { IDLE }
    }
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![None; MOST],
        }
    }

    /// Finds or makes the session of a flow; also returns its port. `None` if all entries of its set are in use.
    #[inline]
    pub(crate) fn of_client(
        &mut self,
        client: Client,
        hash: u32,
        now: u64,
    ) -> Option<(u16, &mut Session)> {
        let first = ((u64::from(hash) * SETS as u64) >> 32) as usize * WAYS;
        let set = &self.places[first..first + WAYS];
        let is_his =
            |place: &Option<Session>| place.is_some_and(|session| session.client == client);
        let way = set.iter().position(is_his).or_else(|| {
            let free = |place: &Option<Session>| place.is_none_or(|session| session.is_over(now));
            set.iter().position(free)
        })?;
        let place = first + way;
        if !is_his(&self.places[place]) {
            self.places[place] = None;
        }
        let session = self.places[place].get_or_insert_with(|| Session::new(client));
        session.seen = now;
        Some((FIRST_PORT + place as u16, session))
    }

    /// The session that has this port.
    #[inline]
    pub(crate) fn of_port(&mut self, port: u16) -> Option<&mut Session> {
        let place = port.checked_sub(FIRST_PORT)?;
        self.places.get_mut(usize::from(place))?.as_mut()
    }

    /// The number of sessions in use.
    pub(crate) fn count(&self, now: u64) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|session| !session.is_over(now)).count()
    }
}
