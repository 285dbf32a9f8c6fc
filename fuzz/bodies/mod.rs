//! What is done with any bytes whatever: no panic, and what must hold afterwards, holds.
//!
//! `fuzz/targets` gives each function the bytes that libFuzzer thinks of, `tests/fuzz.rs` those in `fuzz/corpus` and the packets of
//! `tests/proto/corpus`.

mod builder;
mod edits;
mod frames;
mod messages;
mod mutators;
mod views;

pub(crate) use builder::builder;
pub(crate) use edits::{adjust, mss, tags, tunnels};
pub(crate) use frames::{flow, headers, text};
pub(crate) use messages::{icmp_error, icmpv6, ndp};
pub(crate) use mutators::{complete, hops, nat};
pub(crate) use views::{
    arp, ethernet, extension, gre, icmp, ipv4, ipv6, llc, mpls, tcp, udp, vlan, vxlan,
};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body {
    /// Its name, which is that of its file in `fuzz/targets`.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: fn(&[u8]),
    /// How many bytes it takes to choose with, before the packet.
    pub(crate) choices: usize,
    /// Where in a frame the header usually starts.
    pub(crate) starts: &'static [usize],
}

const fn body(
    name: &'static str,
    run: fn(&[u8]),
    choices: usize,
    starts: &'static [usize],
) -> Body {
    Body {
        name,
        run,
        choices,
        starts,
    }
}

/// Behind Ethernet, and behind a VLAN tag.
const NETWORK: &[usize] = &[14, 18];
/// Behind IPv4, IPv6, and IPv4 with options of four bytes.
const TRANSPORT: &[usize] = &[34, 54, 38];

/// All of them, by name.
pub(crate) const BODIES: &[Body] = &[
    body("adjust", adjust, 32, &[0]),
    body("arp", arp, VALUES, NETWORK),
    body("builder", builder, 0, &[0]),
    body("complete", complete, 0, &[0]),
    body("ethernet", ethernet, VALUES, &[0]),
    body("extension", extension, VALUES, TRANSPORT),
    body("flow", flow, 0, &[0]),
    body("gre", gre, VALUES, TRANSPORT),
    body("headers", headers, 0, &[0]),
    body("hops", hops, 0, NETWORK),
    body("icmp", icmp, VALUES, TRANSPORT),
    body("icmp_error", icmp_error, VALUES, TRANSPORT),
    body("icmpv6", icmpv6, VALUES, &[54]),
    body("ipv4", ipv4, VALUES, NETWORK),
    body("ipv6", ipv6, VALUES, NETWORK),
    body("llc", llc, VALUES, NETWORK),
    body("mpls", mpls, VALUES, NETWORK),
    body("mss", mss, 2, &[0]),
    body("nat", nat, 64, &[0]),
    body("ndp", ndp, VALUES, &[54]),
    body("tags", tags, 16, &[0]),
    body("tcp", tcp, VALUES, TRANSPORT),
    body("text", text, 0, &[0]),
    body("tunnels", tunnels, 64, &[0]),
    body("udp", udp, VALUES, TRANSPORT),
    body("vlan", vlan, VALUES, NETWORK),
    body("vxlan", vxlan, VALUES, &[42, 62]),
];

/// How many bytes a target of one protocol takes as values for setters.
const VALUES: usize = 40;

/// The first bytes as numbers to choose with; zeros when there are no more.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn bytes<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut taken = [0; LEN];
        let len = self.0.len().min(LEN);
        taken[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        taken
    }

    fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.bytes())
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes())
    }

    fn double_word(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }
}

/// The start of the bytes to choose with, and the rest as packet.
fn split(data: &[u8], choices: usize) -> (Choices<'_>, &[u8]) {
    let (choices, packet) = data.split_at(choices.min(data.len()));
    (Choices(choices), packet)
}
