//! Packets of every kind that a parser of flows meets: tagged, fragmented, with options, cut short, senseless.

/// Numbers that look random, the same in every run (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// The next packet: 14 to some 300 bytes.
pub(crate) fn packet(random: &mut Random) -> Vec<u8> {
    let mut packet = random.bytes::<12>().to_vec();
    packet[0] &= !1;
    for _ in 0..random.of(&[0, 0, 0, 1, 1, 2, 2, 3]) {
        packet.extend(random.of(&[[0x81, 0x00], [0x88, 0xa8]]));
        let tag = random.bytes::<2>();
        packet.extend(if random.one_in(4) {
            [tag[0] & 0xf0, 0]
        } else {
            tag
        });
    }
    match random.below(8) {
        0 => {
            packet.extend(random.bytes::<2>());
            packet.extend(random.bytes::<48>());
        }
        1..=3 => ipv4(random, &mut packet),
        _ => ipv6(random, &mut packet),
    }
    packet.extend(random.bytes::<24>());
    if random.one_in(3) {
        let len = 14 + random.below(packet.len() - 13);
        packet.truncate(len);
    }
    packet
}

fn ipv4(random: &mut Random, packet: &mut Vec<u8>) {
    packet.extend([0x08, 0x00]);
    let words = random.of(&[5, 5, 5, 6, 8, 15]);
    let mut header = random.bytes::<60>();
    header[0] = 0x40 | words;
    if random.one_in(16) {
        header[0] = random.next() as u8;
    }
    if !random.one_in(4) {
        let flags = random.of(&[[0, 0], [0x40, 0], [0x80, 0]]);
        header[6..8].copy_from_slice(&flags);
    }
    header[9] = random.of(&[6, 17, 132, 1, 47]);
    packet.extend(&header[..usize::from(words) * 4]);
}

fn ipv6(random: &mut Random, packet: &mut Vec<u8>) {
    packet.extend([0x86, 0xdd]);
    let mut header = random.bytes::<40>();
    header[0] = 0x60 | (header[0] & 0xf);
    if random.one_in(16) {
        header[0] = random.next() as u8;
    }
    let start = packet.len();
    packet.extend(header);
    let mut next = start + 6;
    for _ in 0..random.of(&[0, 0, 1, 2, 3, 5, 6]) {
        let kind = random.of(&[0, 43, 44, 60]);
        packet[next] = kind;
        next = packet.len();
        let mut extension = random.bytes::<24>();
        extension[1] = random.of(&[0, 0, 1, 2]);
        let len = match kind {
            44 => {
                if !random.one_in(4) {
                    let whole = random.of(&[[0, 0], [0, 6]]);
                    extension[2..4].copy_from_slice(&whole);
                }
                8
            }
            _ => (usize::from(extension[1]) + 1) * 8,
        };
        packet.extend(&extension[..len]);
    }
    packet[next] = random.of(&[6, 17, 132, 58, 50]);
}
