//! Frames of every kind for tests, made and checked byte by byte, without the code under test.

#![forbid(unsafe_code)]

/// Numbers that look random and are the same on every run (xorshift64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from zero up to but not including `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }

    /// Bytes in which 0 and 0xff are frequent.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| match self.next().to_be_bytes() {
            [0..64, ..] => 0x00,
            [64..128, ..] => 0xff,
            [.., byte] => byte,
        })
        .take(len)
        .collect()
    }
}

/// One's complement sum of the words of all pieces, each of even length but the last.
fn sum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0;
    for word in pieces.concat().chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    u16::try_from(sum).unwrap()
}

/// What a test frame is like; [`Sample::frame`] makes it.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) tags: usize,
    /// Addresses of 4 or 16 bytes.
    pub(super) source: Vec<u8>,
    pub(super) destination: Vec<u8>,
    /// IPv4 options, or IPv6 destination options headers, in bytes.
    pub(super) options: usize,
    pub(super) protocol: u8,
    /// The message with its header, and zeros for the checksum.
    pub(super) message: Vec<u8>,
    pub(super) padding: usize,
}

/// What is in the checksum field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Full,
    Partial,
    /// This number.
    Value(u16),
}

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const DCCP: u8 = 33;
pub(super) const ICMPV6: u8 = 58;
pub(super) const UDP_LITE: u8 = 136;

impl Sample {
    /// Any frame with this protocol.
    pub(super) fn random(random: &mut Random, is_ipv6: bool, protocol: u8) -> Self {
        let address = if is_ipv6 { 16 } else { 4 };
        let payload = match random.below(4) {
            0 => 0,
            1 => random.below(8),
            _ => random.below(1460),
        };
        let message = match protocol {
            TCP => {
                let options = 4 * random.below(11);
                let mut message = random.bytes(20 + options + payload);
                message[12] = u8::try_from((20 + options) / 4).unwrap() << 4;
                message
            }
            _ => random.bytes(12 + payload),
        };
        let mut sample = Self {
            tags: random.below(3),
            source: random.bytes(address),
            destination: random.bytes(address),
            options: [0, 0, 8, 16, 40][random.below(5)],
            protocol,
            message,
            padding: random.below(3) * 7,
        };
        sample.cut(usize::MAX);
        sample
    }

    /// Makes the message `len` bytes long, if it was longer.
    pub(super) fn cut(&mut self, len: usize) {
        self.message.truncate(len);
        if self.protocol == UDP {
            let len = u16::try_from(self.message.len()).unwrap();
            self.message[4..6].copy_from_slice(&len.to_be_bytes());
        }
    }

    pub(super) fn is_ipv6(&self) -> bool {
        self.source.len() == 16
    }

    /// Where the IP header starts.
    pub(super) fn ip_at(&self) -> usize {
        14 + 4 * self.tags
    }

    /// Where the message starts.
    pub(super) fn message_at(&self) -> usize {
        self.ip_at() + self.options + if self.is_ipv6() { 40 } else { 20 }
    }

    /// Where the checksum is in the message.
    pub(super) fn checksum_at(&self) -> usize {
        match self.protocol {
            TCP => 16,
            ICMPV6 => 2,
            _ => 6,
        }
    }

    /// The sum of the pseudo header.
    pub(super) fn partial(&self) -> u16 {
        let length = u32::try_from(self.message.len()).unwrap().to_be_bytes();
        sum(&[
            &self.source,
            &self.destination,
            &length,
            &[0, self.protocol],
        ])
    }

    /// The right checksum.
    pub(super) fn full(&self) -> u16 {
        let at = self.checksum_at();
        let partial = self.partial().to_be_bytes();
        let checksum = !sum(&[&partial, &self.message[..at], &self.message[at + 2..]]);
        match (self.protocol, checksum) {
            (UDP, 0) => 0xffff,
            _ => checksum,
        }
    }

    /// Chooses the source port with which the full checksum is the same as the partial one.
    pub(super) fn coincide(&mut self) {
        self.message[..2].fill(0);
        let port = sum(&[&(!self.partial()).to_be_bytes(), &self.full().to_be_bytes()]);
        self.message[..2].copy_from_slice(&port.to_be_bytes());
        assert_eq!(self.full(), self.partial());
    }

    pub(super) fn frame(&self, fill: Fill) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
        for tag in 0..self.tags {
            let announced = if tag == 0 && self.tags > 1 {
                [0x88, 0xa8]
            } else {
                [0x81, 0x00]
            };
            frame.extend(announced);
            frame.extend([0xa0, 0x07]);
        }
        let ip_payload = self.options + self.message.len();
        if self.is_ipv6() {
            let len = u16::try_from(ip_payload).unwrap().to_be_bytes();
            let extensions = self.options / 8;
            let next = if extensions > 0 { 60 } else { self.protocol };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], next, 64]);
            frame.extend(&self.source);
            frame.extend(&self.destination);
            for left in (0..extensions).rev() {
                let next = if left > 0 { 60 } else { self.protocol };
                frame.extend([next, 0, 1, 4, 0, 0, 0, 0]);
            }
        } else {
            let len = u16::try_from(20 + ip_payload).unwrap().to_be_bytes();
            let first = 0x40 | u8::try_from((20 + self.options) / 4).unwrap();
            let start = [
                first,
                0,
                len[0],
                len[1],
                0x12,
                0x34,
                0x40,
                0,
                64,
                self.protocol,
            ];
            let options = vec![1; self.options];
            let checksum = !sum(&[&start, &self.source, &self.destination, &options]);
            frame.extend([0x08, 0x00]);
            frame.extend(start);
            frame.extend(checksum.to_be_bytes());
            frame.extend(&self.source);
            frame.extend(&self.destination);
            frame.extend(options);
        }
        let mut message = self.message.clone();
        let checksum = match fill {
            Fill::Full => self.full(),
            Fill::Partial => self.partial(),
            Fill::Value(value) => value,
        };
        let at = self.checksum_at();
        message[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        frame.extend(message);
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }
}
