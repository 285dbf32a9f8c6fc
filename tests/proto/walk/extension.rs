//! Extension headers of IPv6 and the options in them.

use fluxcap::proto::{
    Authentication, IpProtocol, Ipv6Extension, Ipv6FragmentHeader, Ipv6Option, Ipv6OptionsHeader,
    Ipv6Routing, ParseError,
};

use super::{Parsed, Walk};
use crate::tshark_quirks::Quirk;

/// Options without a type of ours that tshark shows by fields of their own.
const KNOWN: [u8; 13] = [
    0x07, 0x08, 0x0f, 0x23, 0x26, 0x30, 0x31, 0x41, 0x63, 0x6d, 0x8b, 0x8c, 0xee,
];

impl Walk {
    /// What is in a header with `behind` behind it.
    pub(super) fn extension(&mut self, extension: Ipv6Extension<'_>, behind: &[u8]) -> Parsed {
        let next = extension.next_header().0;
        let len = extension.header_len() as u64;
        match extension {
            Ipv6Extension::HopByHop(header) => {
                self.number("ipv6.hopopts.nxt", next);
                self.number("ipv6.hopopts.len_oct", len);
                self.ipv6_options(header, behind)
            }
            Ipv6Extension::Destination(header) => {
                self.number("ipv6.dstopts.nxt", next);
                self.number("ipv6.dstopts.len_oct", len);
                self.ipv6_options(header, behind)
            }
            Ipv6Extension::Routing(header) => {
                self.number("ipv6.routing.nxt", next);
                self.number("ipv6.routing.len_oct", len);
                self.routing(header)
            }
            Ipv6Extension::Fragment(header) => {
                self.number("ipv6.fraghdr.nxt", next);
                self.number("ipv6.fraghdr.offset", header.fragment_offset() / 8);
                self.number("ipv6.fraghdr.more", header.more_fragments());
                self.number("ipv6.fraghdr.ident", header.identification());
                Ok(())
            }
            Ipv6Extension::Authentication(header) => {
                self.authentication(header);
                Ok(())
            }
            _ => unreachable!("there are five kinds"),
        }
    }

    pub(super) fn authentication(&mut self, header: &Authentication) {
        self.number("ah.next_header", header.next_header().0);
        self.number("ah.length", header.header_len() as u64 / 4 - 2);
        self.number("ah.spi", header.spi());
        self.number("ah.sequence", header.sequence_number());
        self.raw("ah.icv", header.check_value());
    }

    fn routing(&mut self, header: &Ipv6Routing) -> Parsed {
        self.number("ipv6.routing.type", header.routing_type());
        self.number("ipv6.routing.segleft", header.segments_left());
        let specific = header.specific();
        match header.routing_type() {
            Ipv6Routing::SOURCE_ROUTE => self.raw("ipv6.routing.src.reserved", &specific),
            Ipv6Routing::HOME_ADDRESS => self.raw("ipv6.routing.mipv6.reserved", &specific),
            Ipv6Routing::SEGMENT => {
                let [last, flags, tag @ ..] = specific;
                self.number("ipv6.routing.srh.last_entry", last);
                self.number("ipv6.routing.srh.flags", flags);
                self.raw("ipv6.routing.srh.tag", &tag);
            }
            Ipv6Routing::RPL => {
                let [compressed, padding, _, _] = specific;
                self.number("ipv6.routing.rpl.cmprI", compressed >> 4);
                self.number("ipv6.routing.rpl.cmprE", compressed & 15);
                self.number("ipv6.routing.rpl.pad", padding >> 4);
            }
            5 if self.goes_as_tshark => return self.end(Quirk::CompactRouting),
            _ => self.raw(
                "ipv6.routing.unknown_data",
                &[&specific, header.segments()].concat(),
            ),
        }
        for address in header.addresses() {
            self.ip("ipv6.routing.addr", address);
        }
        let (all, _) = header.segments().as_chunks::<16>();
        match header.routing_type() {
            Ipv6Routing::HOME_ADDRESS if all.is_empty() => self.end(Quirk::MobileRouting),
            Ipv6Routing::SEGMENT if all.len() <= usize::from(specific[0]) => {
                self.end(Quirk::SegmentRouting)
            }
            _ => Ok(()),
        }
    }

    fn ipv6_options(&mut self, header: &Ipv6OptionsHeader, behind: &[u8]) -> Parsed {
        let mut done = 0;
        for option in header.options() {
            let option = match option {
                Ok(option) => option,
                Err(error) => {
                    let (_, rest) = header.options_bytes().split_at(done);
                    return self.wrong_option(error, &[rest, behind].concat());
                }
            };
            done += option.wire_len();
            self.number("ipv6.opt.type", option.kind());
            if !matches!(option, Ipv6Option::Pad1) {
                self.number("ipv6.opt.length", option.wire_len() as u64 - 2);
            }
            match option {
                Ipv6Option::PadN(data) => self.raw("ipv6.opt.padn", data),
                Ipv6Option::TunnelEncapsulationLimit(limit) => self.number("ipv6.opt.tel", limit),
                Ipv6Option::RouterAlert(value) => self.number("ipv6.opt.router_alert", value),
                Ipv6Option::JumboPayload(length) => self.number("ipv6.opt.jumbo", length),
                Ipv6Option::HomeAddress(address) => {
                    self.ip("ipv6.opt.mipv6.home_address", address);
                }
                Ipv6Option::Other { kind, data } if kind & 0x1f == 0x1e => {
                    self.raw("ipv6.opt.experimental", data);
                }
                Ipv6Option::Other { kind, data } if !KNOWN.contains(&kind) => {
                    self.raw("ipv6.opt.unknown", data);
                }
                // Behind the domain, the length of its compartments in words.
                Ipv6Option::Other { kind: 7, data } => match *data {
                    [_, _, _, _, words, ..]
                        if 4 * usize::from(words) + 8
                            <= data.len() + header.options_bytes().len() - done => {}
                    _ => return self.end(Quirk::Calipso),
                },
                Ipv6Option::Other { kind, data } if is_wrong(kind, data.len()) => {
                    self.complain(Quirk::Ipv6OptionLength);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// tshark passes a header with a wrong option, unless that reaches out of the packet. `bytes` are all from the option on.
    fn wrong_option(&mut self, error: ParseError, bytes: &[u8]) -> Parsed {
        match *bytes {
            [kind, len, ref data @ ..] if usize::from(len) <= data.len() => {
                if is_wrong(kind, len.into()) {
                    self.ends_at(error);
                } else if self.is_tshark(Quirk::Ipv6OptionBehindHeader) {
                    self.error.get_or_insert(error);
                    self.ends.push(error);
                }
                Ok(())
            }
            _ => Err(error.into()),
        }
    }
}

/// Whether an option that tshark reads has another length than its kind.
fn is_wrong(kind: u8, len: usize) -> bool {
    let lengths = [
        (0x04, 1),
        (0x05, 2),
        (0x0f, 10),
        (0x26, 6),
        (0xc2, 4),
        (0xc9, 16),
        (0xee, 3),
    ];
    lengths
        .iter()
        .any(|&(known, right)| known == kind && right != len)
}

/// The extension header at the start of `bytes`, and all that follows it.
pub(super) fn parse(
    protocol: IpProtocol,
    bytes: &[u8],
) -> Result<(Ipv6Extension<'_>, &[u8]), ParseError> {
    let options = Ipv6OptionsHeader::parse;
    Ok(match protocol {
        IpProtocol::IPV6_HOP_BY_HOP => {
            let (header, rest) = options(bytes)?;
            (Ipv6Extension::HopByHop(header), rest)
        }
        IpProtocol::IPV6_ROUTING => {
            let (header, rest) = Ipv6Routing::parse(bytes)?;
            (Ipv6Extension::Routing(header), rest)
        }
        IpProtocol::IPV6_FRAGMENT => {
            let (header, rest) = Ipv6FragmentHeader::parse(bytes)?;
            (Ipv6Extension::Fragment(header), rest)
        }
        _ => {
            let (header, rest) = options(bytes)?;
            (Ipv6Extension::Destination(header), rest)
        }
    })
}
