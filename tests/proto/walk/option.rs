//! Options of IPv4.

use std::net::Ipv4Addr;

use fluxcap::proto::{Ipv4, Ipv4Option, Ipv4Route};

use super::{Parsed, Walk};
use crate::tshark_quirks::Quirk;

/// Options without a type of ours of which tshark shows type and length, how many bytes they need for
/// what it reads of them, and how many they must have, if so.
const KNOWN: [(u8, usize, usize); 9] = [
    (11, 4, 4),
    (12, 4, 4),
    (25, 3, 8),
    (82, 12, 12),
    (130, 3, 0),
    (133, 3, 0),
    (134, 6, 0),
    (136, 4, 4),
    (149, 2, 0),
];

impl Walk {
    /// Finds the last station of a source route that is not done.
    pub(super) fn ipv4_options(&mut self, ip: &Ipv4, last: &mut Ipv4Addr) -> Parsed {
        for option in ip.options() {
            let option = option?;
            let known = KNOWN.iter().find(|(kind, ..)| *kind == option.kind());
            // tshark shows no field of other options than these.
            if matches!(option, Ipv4Option::Other { .. }) && known.is_none() {
                continue;
            }
            if option.kind() == 25 && option.wire_len() == 2 && self.goes_as_tshark {
                self.end(Quirk::Ipv4OptionTooShort)?;
            }
            self.number("ip.opt.type", option.kind());
            if !matches!(option, Ipv4Option::EndOfList | Ipv4Option::NoOperation) {
                self.number("ip.opt.len", option.wire_len() as u64);
            }
            match option {
                Ipv4Option::RouterAlert(value) => self.number("ip.opt.ra", value),
                Ipv4Option::RecordRoute(route) => self.route(route, "ip.empty_rt"),
                Ipv4Option::LooseSourceRoute(route) | Ipv4Option::StrictSourceRoute(route) => {
                    *last = self.source_route(ip, route).unwrap_or(*last);
                }
                Ipv4Option::Timestamps(stamps) => {
                    self.number("ip.opt.ptr", stamps.pointer);
                    self.number("ip.opt.overflow", stamps.overflow);
                    self.number("ip.opt.flag", stamps.flag);
                    for (address, stamp) in stamps.slots() {
                        if let Some(address) = address {
                            self.ip("ip.opt.time_stamp_addr", address);
                        }
                        self.number("ip.opt.time_stamp", stamp);
                    }
                }
                Ipv4Option::Other { .. } => {
                    let len = option.wire_len();
                    match known {
                        Some((_, needed, _)) if len < *needed => {
                            self.end(Quirk::Ipv4OptionTooShort)?;
                        }
                        Some((_, _, exact)) if *exact != 0 && len != *exact => {
                            self.complain(Quirk::Ipv4OptionLength);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn route(&mut self, route: Ipv4Route<'_>, to_come: &'static str) {
        self.number("ip.opt.ptr", route.pointer);
        if is_off(route) && self.is_tshark(Quirk::Ipv4Pointer) {
            return;
        }
        for (at, address) in route.addresses().enumerate() {
            let is_done = at < route.done();
            self.ip(if is_done { "ip.rec_rt" } else { to_come }, address);
        }
    }

    /// tshark has the stations in the order in which the packet passes them: that in the header is next, and of those in the option
    /// the last is the destination.
    fn source_route(&mut self, ip: &Ipv4, route: Ipv4Route<'_>) -> Option<Ipv4Addr> {
        let last = route.addresses().last();
        if is_off(route)
            || route.done() == route.slots.len()
            || !self.is_tshark(Quirk::Ipv4SourceRoute)
        {
            self.route(route, "ip.src_rt");
            return None;
        }
        self.number("ip.opt.ptr", route.pointer);
        for (at, address) in route.addresses().enumerate() {
            if at == route.done() {
                self.ip("ip.cur_rt", ip.destination());
            }
            if at < route.done() {
                self.ip("ip.rec_rt", address);
            } else if Some(at + 1) < Some(route.slots.len()) {
                self.ip("ip.src_rt", address);
            }
        }
        last
    }
}

/// Whether the pointer is not that of an address.
fn is_off(route: Ipv4Route<'_>) -> bool {
    route.pointer < 4 || !route.pointer.is_multiple_of(4)
}
