//! The end: lengths and checksums, from the innermost layer to the outermost.

#![forbid(unsafe_code)]

use std::mem;

use super::place::{Kind, Layer};
use super::{BuildError, BuildFault, Failed, FrameBuilder};
use crate::proto::checksum;
use crate::proto::{Ipv4, Ipv6};

/// The longest packet an Ethernet length field tells of; more is an ether type.
const MOST_IN_802_3: usize = 1500;

/// The most that a length field of two bytes holds.
const MOST: usize = u16::MAX as usize;

/// How an IPv4 header without options begins: with version and length.
const PLAIN_IPV4: u8 = 0x45;

impl<'a> FrameBuilder<'a> {
    /// Completes all layers and pads the frame, unless a step has failed.
    #[inline(never)]
    pub(super) fn complete(&mut self) -> Result<&'a mut [u8], BuildError> {
        let end = self.len;
        if end < self.least_len {
            self.step(Self::pad);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let frame = mem::take(&mut self.buffer).get_mut(..self.len);
        let layers = self.layers.get(..self.layer_count);
        let (Some(frame), Some(layers)) = (frame, layers) else {
            return Ok(&mut []); // there are as many
        };
        for layer in layers.iter().rev() {
            // No layer counts the padding.
            if let Some(content) = frame.get_mut(..end) {
                complete_layer(content, *layer)?;
            }
        }
        Ok(frame)
    }

    fn pad(&mut self) -> Result<(), Failed> {
        let missing = self.least_len.saturating_sub(self.len);
        self.claim("padding", missing)?.fill(0);
        Ok(())
    }
}

/// Fills in what the header of a layer says of what is in it; `frame` ends where it does.
#[inline(always)]
fn complete_layer(frame: &mut [u8], layer: Layer) -> Result<(), BuildError> {
    let start = usize::from(layer.start);
    let Some((before, message)) = frame.split_at_mut_checked(start) else {
        return Ok(()); // no layer starts behind the end
    };
    match layer.kind {
        Kind::Llc => {
            let length = length("Ethernet", message.len(), MOST_IN_802_3)?;
            put(before, start.wrapping_sub(2), length);
        }
        Kind::Ipv4 => {
            put(message, 2, length("IPv4", message.len(), MOST)?);
            put(message, 10, ipv4_checksum(message));
        }
        Kind::Ipv6 => {
            let payload = message.len().saturating_sub(Ipv6::LEN);
            put(message, 4, length("IPv6", payload, MOST)?);
        }
        Kind::Udp => {
            put(message, 4, length("UDP", message.len(), MOST)?);
            put(message, 6, checksum::nonzero(checksum::finish(message)));
        }
        Kind::UdpWithoutChecksum => put(message, 4, length("UDP", message.len(), MOST)?),
        Kind::Tcp => put(message, 16, checksum::finish(message)),
        Kind::Icmpv6 => put(message, 2, checksum::finish(message)),
        Kind::Icmp => put(message, 2, checksum::checksum(message)),
        Kind::Gre => put(message, 4, checksum::checksum(message)),
    }
    Ok(())
}

/// A length as its field has it, if that can hold it.
#[inline]
fn length(step: &'static str, length: usize, most: usize) -> Result<u16, BuildError> {
    match u16::try_from(length) {
        Ok(short) if length <= most => Ok(short),
        _ => Err(BuildError::new(step, BuildFault::TooLong { length, most })),
    }
}

/// Writes the two bytes at `at`.
#[inline(always)]
fn put(header: &mut [u8], at: usize, value: u16) {
    let field = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    if let Some(field) = field {
        *field = value.to_be_bytes();
    }
}

/// Checksum of the IPv4 header at the start of `packet`.
#[inline]
fn ipv4_checksum(packet: &[u8]) -> u16 {
    match packet.first_chunk::<{ Ipv4::LEN }>() {
        // Most have this length, for which the sum is short.
        Some(plain @ [PLAIN_IPV4, ..]) => checksum::checksum(plain),
        _ => ipv4_checksum_with_options(packet),
    }
}

#[inline(never)]
fn ipv4_checksum_with_options(packet: &[u8]) -> u16 {
    let words = packet.first().map_or(0, |first| first & 0xf);
    let header = packet.get(..usize::from(words) * 4);
    checksum::checksum(header.unwrap_or_default())
}
