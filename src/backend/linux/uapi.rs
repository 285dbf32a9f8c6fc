//! The kernel's AF_XDP interface: numbers and structures.
//!
//! Source: `include/uapi/linux/if_xdp.h` and `include/uapi/asm-generic/socket.h` of Linux 6.18. Written down here, because
//! installed headers are often older than the running kernel.

pub(super) const AF_XDP: i32 = 44;
pub(super) const SOL_XDP: i32 = 283;

// Options at level SOL_XDP.
pub(super) const XDP_MMAP_OFFSETS: i32 = 1;
pub(super) const XDP_RX_RING: i32 = 2;
pub(super) const XDP_TX_RING: i32 = 3;
pub(super) const XDP_UMEM_REG: i32 = 4;
pub(super) const XDP_UMEM_FILL_RING: i32 = 5;
pub(super) const XDP_UMEM_COMPLETION_RING: i32 = 6;
pub(super) const XDP_STATISTICS: i32 = 7;
/// Since Linux 5.3.
pub(super) const XDP_OPTIONS: i32 = 8;
/// Since Linux 6.17.
pub(super) const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

// Flags of bind.
pub(super) const XDP_SHARED_UMEM: u16 = 1 << 0;
pub(super) const XDP_COPY: u16 = 1 << 1;
pub(super) const XDP_ZEROCOPY: u16 = 1 << 2;
/// Since Linux 5.4, as is the flags word of a ring.
pub(super) const XDP_USE_NEED_WAKEUP: u16 = 1 << 3;

// Flags of `Options`.
pub(super) const XDP_OPTIONS_ZEROCOPY: u32 = 1 << 0;

// Offsets for mmap.
pub(super) const XDP_PGOFF_RX_RING: u64 = 0;
pub(super) const XDP_PGOFF_TX_RING: u64 = 0x8000_0000;
pub(super) const XDP_UMEM_PGOFF_FILL_RING: u64 = 0x1_0000_0000;
pub(super) const XDP_UMEM_PGOFF_COMPLETION_RING: u64 = 0x1_8000_0000;

// Options at level SOL_SOCKET; the last two since Linux 5.11.
pub(super) const SO_BUSY_POLL: i32 = 46;
pub(super) const SO_PREFER_BUSY_POLL: i32 = 69;
pub(super) const SO_BUSY_POLL_BUDGET: i32 = 70;
/// Since Linux 5.14.
pub(super) const SO_NETNS_COOKIE: i32 = 71;
/// `SO_MEMINFO` (Linux 4.12), and what it tells.
pub(super) const SO_MEMINFO: i32 = 55;
pub(super) const SK_MEMINFO_VARS: usize = 9;
pub(super) const SK_MEMINFO_WMEM_ALLOC: usize = 2;

/// Since Linux 5.14.
/// An ioctl: the network namespace of a socket, as a descriptor. Since Linux 4.10.
pub(super) const SIOCGSKNS: u32 = 0x894c;

/// What a call sends in copy mode unless told otherwise (`TX_BATCH_SIZE` in `net/xdp/xsk.c`).
pub(super) const DEFAULT_TX_BUDGET: u32 = 32;

/// `struct sockaddr_xdp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct SockAddr {
    pub(super) family: u16,
    pub(super) flags: u16,
    pub(super) ifindex: u32,
    pub(super) queue_id: u32,
    pub(super) shared_umem_fd: u32,
}

/// `struct xdp_umem_reg`. Older kernels know only its beginning and ignore the rest.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UmemReg {
    pub(super) addr: u64,
    pub(super) len: u64,
    pub(super) chunk_size: u32,
    pub(super) headroom: u32,
    /// Since Linux 5.4.
    pub(super) flags: u32,
    /// Since Linux 6.8.
    pub(super) tx_metadata_len: u32,
}

/// `struct xdp_ring_offset`: where the parts of a ring lie in its mapping.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RingOffset {
    pub(super) producer: u64,
    pub(super) consumer: u64,
    pub(super) desc: u64,
    pub(super) flags: u64,
}

/// `struct xdp_mmap_offsets`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MmapOffsets {
    pub(super) rx: RingOffset,
    pub(super) tx: RingOffset,
    pub(super) fill: RingOffset,
    pub(super) completion: RingOffset,
}

/// The words of [`MmapOffsets`], and of the same before Linux 5.4, which had no flags.
pub(super) const OFFSET_WORDS: usize = 16;
pub(super) const OFFSET_WORDS_V1: usize = 12;

impl MmapOffsets {
    /// Reads what the kernel wrote, and tells whether its rings have flags. `None` for an unknown number of words.
    pub(super) fn from_words(words: &[u64]) -> Option<(Self, bool)> {
        let per_ring = match words.len() {
            OFFSET_WORDS => 4,
            OFFSET_WORDS_V1 => 3,
            _ => return None,
        };
        let ring = |index: usize| {
            let words = &words[index * per_ring..];
            RingOffset {
                producer: words[0],
                consumer: words[1],
                desc: words[2],
                flags: if per_ring == 4 { words[3] } else { 0 },
            }
        };
        let offsets = Self {
            rx: ring(0),
            tx: ring(1),
            fill: ring(2),
            completion: ring(3),
        };
        Some((offsets, per_ring == 4))
    }
}

/// `struct xdp_statistics`; the last three since Linux 5.9.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    pub(super) rx_dropped: u64,
    pub(super) rx_invalid_descs: u64,
    pub(super) tx_invalid_descs: u64,
    pub(super) rx_ring_full: u64,
    pub(super) rx_fill_ring_empty_descs: u64,
    pub(super) tx_ring_empty_descs: u64,
}

/// `struct xdp_options`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) flags: u32,
}

/// `struct ethtool_channels` of `include/uapi/linux/ethtool.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EthtoolChannels {
    pub(super) cmd: u32,
    pub(super) max_rx: u32,
    pub(super) max_tx: u32,
    pub(super) max_other: u32,
    pub(super) max_combined: u32,
    pub(super) rx_count: u32,
    pub(super) tx_count: u32,
    pub(super) other_count: u32,
    pub(super) combined_count: u32,
}

pub(super) const ETHTOOL_GCHANNELS: u32 = 0x3c;
pub(super) const ETHTOOL_GDRVINFO: u32 = 0x03;
pub(super) const ETHTOOL_GFLAGS: u32 = 0x25;
pub(super) const ETHTOOL_GGRO: u32 = 0x2b;
pub(super) const ETH_FLAG_RXVLAN: u32 = 1 << 8;
pub(super) const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_value` of `include/uapi/linux/ethtool.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct EthtoolValue {
    pub(super) cmd: u32,
    pub(super) data: u32,
}

/// `struct ethtool_drvinfo` of `include/uapi/linux/ethtool.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct EthtoolDriver {
    pub(super) cmd: u32,
    pub(super) driver: [u8; 32],
    pub(super) rest: [u8; 160],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_kernel_header() {
        assert_eq!(size_of::<SockAddr>(), 16);
        assert_eq!(size_of::<UmemReg>(), 32);
        assert_eq!(size_of::<RingOffset>(), 32);
        assert_eq!(size_of::<MmapOffsets>(), OFFSET_WORDS * 8);
        assert_eq!(size_of::<Statistics>(), 48);
        assert_eq!(size_of::<Options>(), 4);
        assert_eq!(size_of::<EthtoolChannels>(), 36);
        assert_eq!(size_of::<EthtoolDriver>(), 196);
    }

    #[test]
    fn ring_offsets_are_read_in_the_new_and_in_the_old_layout() {
        let words: Vec<u64> = (0..16).collect();
        let (new, flags) = MmapOffsets::from_words(&words).unwrap();
        assert!(flags);
        assert_eq!((new.rx.desc, new.rx.flags), (2, 3));
        assert_eq!((new.completion.producer, new.completion.flags), (12, 15));

        let (old, flags) = MmapOffsets::from_words(&words[..12]).unwrap();
        assert!(!flags);
        assert_eq!((old.tx.producer, old.tx.flags), (3, 0));
        assert_eq!(old.completion.desc, 11);

        assert!(MmapOffsets::from_words(&words[..13]).is_none());
    }
}
