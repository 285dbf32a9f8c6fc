//! What was achieved of a config, what was counted, and where the frames are.
//!
//! Nothing is silent: the report has an answer to each setting, the statistics have a cause for
//! each packet that the kernel dropped, and the rings have the owner of each frame. These functions
//! work on the struct fluxcap_raw of mode C, and on the ports of engines; the halves of mode B have
//! their own.
//!
//! ```c
//! static void explain(const struct fluxcap_raw *raw)
//! {
//!     struct fluxcap_statistics statistics = {0};
//!     char text[4096];
//!
//!     if (fluxcap_raw_format_report(raw, text, sizeof(text)) >= 0)
//!         fputs(text, stdout);
//!     statistics.struct_size = sizeof(statistics);
//!     if (fluxcap_raw_get_statistics(raw, &statistics) == 0)
//!         printf("no room in the RX ring: %llu packets\n",
//!                (unsigned long long)statistics.rx_ring_full);
//! }
//! ```

use std::ffi::{c_char, c_int};

use super::array::print;
use super::config::{
    FLUXCAP_BIND_COPY, FLUXCAP_BIND_ZERO_COPY, FLUXCAP_XDP_AUTO, FLUXCAP_XDP_GENERIC,
    FLUXCAP_XDP_NATIVE,
};
use super::error::guard;
use super::raw::{fluxcap_raw, look};
use super::sized::{self, Sized32};
use super::umem::{accounting, fluxcap_accounting};
use crate::backend::Interface;
use crate::error::Result;
use crate::proto::MacAddr;
use crate::report::{BindMode, Report, XdpMode};
use crate::socket::RingState;
use crate::stats::{ProgramCounters, SocketStatistics};
use crate::umem::UmemRegion;

/// What a socket is: what became of the wishes in its config. fluxcap_raw_format_report() says why.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_info {
    /// sizeof(struct fluxcap_info), set by you.
    pub struct_size: u32,
    /// FLUXCAP_BIND_COPY or FLUXCAP_BIND_ZERO_COPY.
    pub bind_mode: u32,
    /// FLUXCAP_XDP_NATIVE or FLUXCAP_XDP_GENERIC; FLUXCAP_XDP_AUTO (0) when no bundled program is
    /// attached.
    pub xdp_mode: u32,
    /// Frames in the UMEM.
    pub frames: u32,
    /// Bytes a frame.
    pub chunk_size: u32,
    /// Bytes kept free in front of each packet, besides the kernel's own 256.
    pub headroom: u32,
    /// The longest packet that a frame holds behind both headrooms, in bytes.
    pub packet_capacity: u32,
    /// Packets that one transmit call may send in copy mode.
    pub tx_budget: u32,
    /// 1 when the kernel asks for wake-ups, 0 when it is called each time.
    pub need_wakeup: u32,
    /// 1 when preferred busy polling is on.
    pub busy_poll: u32,
    /// The size of the pages behind the UMEM, in bytes.
    pub page_size: u64,
    /// The index of the interface.
    pub ifindex: u32,
    /// The MTU of the interface in bytes, without Ethernet header, when the socket was opened.
    pub mtu: u32,
    /// The Ethernet address of the interface; all 0 when it has none.
    pub mac: [u8; 6],
    /// 0.
    pub reserved: [u8; 2],
}

/// What the kernel counted for a socket since it was opened, and what passed through its rings.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_statistics {
    /// sizeof(struct fluxcap_statistics), set by you.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Packets taken from the RX ring.
    pub received: u64,
    /// Packets put into the TX ring.
    pub sent: u64,
    /// Packets the kernel dropped for reasons other than a full RX ring or an empty fill ring.
    pub rx_dropped: u64,
    /// Descriptors on the fill ring that the kernel refused.
    pub rx_invalid_descs: u64,
    /// Descriptors on the TX ring that the kernel refused; they are not sent, and may not be
    /// completed.
    pub tx_invalid_descs: u64,
    /// Packets dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times that the kernel found no frame in the fill ring.
    pub rx_fill_ring_empty_descs: u64,
    /// Times that the kernel looked for a descriptor in the TX ring and found none.
    pub tx_ring_empty_descs: u64,
}

/// What the bundled XDP program decided, for the whole interface. All 0 when the socket was opened
/// without it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_program_counters {
    /// sizeof(struct fluxcap_program_counters), set by you.
    pub struct_size: u32,
    /// 1 when the bundled program is on the interface now. 0 also when somebody took it off, or the
    /// interface was removed.
    pub attached: u32,
    /// Packets dropped by the program.
    pub drop: u64,
    /// Packets handed to a socket.
    pub redirect: u64,
    /// Packets passed on to the kernel's network stack.
    pub pass: u64,
}

/// One ring, as it stands.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_ring_state {
    /// Slots.
    pub size: u32,
    /// The producer's index, which runs freely and wraps at 2^32.
    pub producer: u32,
    /// The consumer's index, likewise.
    pub consumer: u32,
    /// Entries that the consumer has not taken yet.
    pub occupied: u32,
    /// 1 when the kernel asks for a wake-up; always 0 for RX and completion ring.
    pub needs_wakeup: u32,
    /// 0.
    pub reserved: u32,
    /// How often the kernel's index was out of range. Anything but 0 is a fault.
    pub violations: u64,
    /// Entries that named a frame which was not the kernel's to give. Anything but 0 is a fault.
    pub refused: u64,
}

/// The four rings and the frames of a socket, as they stand.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_rings {
    /// sizeof(struct fluxcap_rings), set by you.
    pub struct_size: u32,
    /// 1 when no frame is lost or owned twice: both accounts add up and agree.
    pub conserved: u32,
    /// The fill ring. With fluxcap_open_fan_out() it is the one that all sockets share.
    pub fill: fluxcap_ring_state,
    /// The RX ring.
    pub rx: fluxcap_ring_state,
    /// The TX ring.
    pub tx: fluxcap_ring_state,
    /// The completion ring. With fluxcap_open_fan_out() it is what this socket has got of the
    /// shared one and not taken yet.
    pub completion: fluxcap_ring_state,
    /// The frames, counted where they are; the same as `ledger` while several sockets use the UMEM.
    pub counted: fluxcap_accounting,
    /// The frames by the ledger, one by one.
    pub ledger: fluxcap_accounting,
}

macro_rules! sized {
    ($($name:ident)*) => {$(
        // SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
        unsafe impl Sized32 for $name {
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

sized!(fluxcap_info fluxcap_statistics fluxcap_program_counters fluxcap_rings);

/// What the socket is: its modes, its geometry, its interface as it was when it was bound.
///
/// Returns 0, and fills in `*info`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_get_info(
    raw: *const fluxcap_raw,
    info: *mut fluxcap_info,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { write_info(info, raw.report(), raw.umem(), raw.interface()) }
    })
}

/// # Safety
///
/// As [`sized::write`].
pub(super) unsafe fn write_info(
    info: *mut fluxcap_info,
    report: &Report,
    umem: &UmemRegion,
    interface: &Interface,
) -> Result<c_int> {
    let geometry = umem.geometry();
    let value = fluxcap_info {
        struct_size: 0,
        bind_mode: match report.bind_mode.achieved {
            BindMode::ZeroCopy => FLUXCAP_BIND_ZERO_COPY,
            BindMode::Copy | BindMode::Auto => FLUXCAP_BIND_COPY,
        },
        xdp_mode: match report.xdp_mode.as_ref().map(|answer| answer.achieved) {
            Some(XdpMode::Native) => FLUXCAP_XDP_NATIVE,
            Some(XdpMode::Generic) => FLUXCAP_XDP_GENERIC,
            Some(XdpMode::Auto) | None => FLUXCAP_XDP_AUTO,
        },
        frames: geometry.frames(),
        chunk_size: geometry.chunk_size(),
        headroom: geometry.headroom(),
        packet_capacity: geometry.packet_capacity(),
        tx_budget: report.tx_budget.achieved,
        need_wakeup: report.need_wakeup.achieved.into(),
        busy_poll: report.busy_poll.achieved.is_some().into(),
        page_size: umem.page_size() as u64,
        ifindex: interface.index,
        mtu: interface.mtu,
        mac: interface.mac.unwrap_or(MacAddr([0; 6])).octets(),
        reserved: [0; 2],
    };
    // SAFETY: as the caller promises.
    unsafe { sized::write("info", info, &value) }.map(|()| 0)
}

/// What the kernel counted for the socket, and the packets that it received and sent.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_get_statistics(
    raw: *const fluxcap_raw,
    statistics: *mut fluxcap_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { write_statistics(statistics, raw.statistics()?, raw.totals()) }
    })
}

/// What the kernel counted, and the packets received and sent.
///
/// # Safety
///
/// As [`sized::write`].
pub(super) unsafe fn write_statistics(
    statistics: *mut fluxcap_statistics,
    kernel: SocketStatistics,
    (received, sent): (u64, u64),
) -> Result<c_int> {
    let value = fluxcap_statistics {
        struct_size: 0,
        reserved: 0,
        received,
        sent,
        rx_dropped: kernel.rx_dropped,
        rx_invalid_descs: kernel.rx_invalid_descs,
        tx_invalid_descs: kernel.tx_invalid_descs,
        rx_ring_full: kernel.rx_ring_full,
        rx_fill_ring_empty_descs: kernel.rx_fill_ring_empty_descs,
        tx_ring_empty_descs: kernel.tx_ring_empty_descs,
    };
    // SAFETY: as the caller promises.
    unsafe { sized::write("statistics", statistics, &value) }.map(|()| 0)
}

/// What the XDP program counted for the whole interface.
///
/// All is 0 without a program of this library.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
/// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
///
/// Threads: several at once. System calls: bpf().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_get_program_counters(
    raw: *const fluxcap_raw,
    counters: *mut fluxcap_program_counters,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let program = unsafe { look(raw)? }.program_counters()?;
        // SAFETY: as the header asks.
        unsafe { write_counters(counters, program) }
    })
}

/// # Safety
///
/// As [`sized::write`].
pub(super) unsafe fn write_counters(
    counters: *mut fluxcap_program_counters,
    program: Option<ProgramCounters>,
) -> Result<c_int> {
    let counted = program.unwrap_or_default();
    let value = fluxcap_program_counters {
        struct_size: 0,
        attached: counted.attached.into(),
        drop: counted.drop,
        redirect: counted.redirect,
        pass: counted.pass,
    };
    // SAFETY: as the caller promises.
    unsafe { sized::write("counters", counters, &value) }.map(|()| 0)
}

/// The rings and the owner of every frame.
///
/// Time grows with the number of frames. All is 0 in a forked child.
///
/// Returns 0, and fills in `*rings`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_get_rings(
    raw: *const fluxcap_raw,
    rings: *mut fluxcap_rings,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        let state = raw.debug_rings();
        let value = fluxcap_rings {
            struct_size: 0,
            conserved: state.is_conserved().into(),
            fill: ring(state.fill),
            rx: ring(state.rx),
            tx: ring(state.tx),
            completion: ring(state.completion),
            counted: accounting(state.counted),
            ledger: accounting(state.ledger),
        };
        // SAFETY: as the header asks.
        unsafe { sized::write("rings", rings, &value) }.map(|()| 0)
    })
}

pub(super) fn ring(state: RingState) -> fluxcap_ring_state {
    fluxcap_ring_state {
        size: state.size,
        producer: state.producer,
        consumer: state.consumer,
        occupied: state.occupied,
        needs_wakeup: state.needs_wakeup.into(),
        reserved: 0,
        violations: state.violations,
        refused: state.refused,
    }
}

/// What became of each requested setting, as text, one a line: requested, achieved, and why.
///
/// Then a line `note: …` for each thing that keeps packets, or parts of them, from the socket:
/// queues without one, offloads that take VLAN tags away or merge segments, a device without
/// Ethernet header; with the ethtool words against it.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_format_report(
    raw: *const fluxcap_raw,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { print(raw.report(), text, size) }
    })
}

/// The rings and the owner of every frame, as text for a person.
///
/// Time grows with the number of frames.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_format_rings(
    raw: *const fluxcap_raw,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let raw = unsafe { look(raw)? };
        // SAFETY: as the header asks.
        unsafe { print(&raw.debug_rings(), text, size) }
    })
}
