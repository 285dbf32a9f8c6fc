//! Who talks through the balancer: for each flow of a client the port under which a backend knows it.

use std::net::SocketAddrV4;

use fluxcap::proto::{IpProtocol, MacAddr};

/// The first port that the balancer itself uses towards the backends. The last one follows from the number of sessions.
pub(crate) const FIRST_PORT: u16 = 32_768;
/// The number of sessions, and of ports: all memory is taken at the start.
pub(crate) const MOST: usize = SETS * WAYS;

/// A flow has one place among the sets, where it shares so many ports with others.
const SETS: usize = 7168;
const WAYS: usize = 4;

/// Milliseconds without a packet after which a session may make room for another one.
const IDLE: u64 = 60_000;
/// The same after the last packet of a TCP connection.
const ENDED: u64 = 2000;

/// A client, as a session knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: SocketAddrV4,
    pub(crate) protocol: IpProtocol,
}

/// What is known of a flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Where its answers go.
    pub(crate) mac: MacAddr,
    /// Its backend's number, if it has one.
    pub(crate) backend: Option<usize>,
    pub(crate) ends: bool,
    /// When its last packet came, in milliseconds.
    pub(crate) seen: u64,
}

/// A table of sets, as the caches of a processor are: a flow is looked for in four places, a port is a place.
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

    /// Whether it may make room for another one.
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

    /// The session of a client's flow, a new one if need be, and its port; `None` when all places where it could be are in use.
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

    /// How many are in use.
    pub(crate) fn count(&self, now: u64) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|session| !session.is_over(now)).count()
    }
}
