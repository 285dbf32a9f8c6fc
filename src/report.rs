//! Reports: what was requested, what was achieved, and why they differ.

#![forbid(unsafe_code)]

use std::fmt;

/// How packets travel between driver and UMEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BindMode {
    /// Zero-copy where the driver can and an XDP program is attached in native mode, copy otherwise. The [`Report`] says which, and why.
    ///
    /// Most drivers take a zero-copy socket without a native program, but neither send nor receive for it then. A socket that only sends
    /// gets zero-copy with the bundled program attached ([`load_xdp`](crate::FluxBuilder::load_xdp), which passes on all packets of queues
    /// without a socket), or with any other on the interface.
    #[default]
    Auto,
    /// The kernel copies each packet once. Works with every driver.
    Copy,
    /// The driver reads and writes the UMEM itself. An error where it cannot.
    ///
    /// Where the driver takes the socket, but works only with a native XDP program and there is none, sending fails
    /// ([`Unsupported`](crate::ErrorKind::Unsupported)).
    ZeroCopy,
}

/// Where the XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum XdpMode {
    /// Native where the driver can, generic otherwise. The [`Report`] says which, and why.
    #[default]
    Auto,
    /// In the driver, before the kernel has allocated anything for the packet.
    Native,
    /// In the network stack, after the kernel's own packet allocation. Works with every driver, slower. Segments that GRO has merged come in
    /// one piece, and are dropped when no frame has room: switch it off (`ethtool -K DEVICE gro off lro off`).
    Generic,
}

/// How much the UMEM should be backed by hugepages, which save TLB misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hugepages {
    /// Ordinary pages.
    #[default]
    Never,
    /// Hugepages of this size if the machine has enough free, ordinary pages otherwise.
    Prefer(HugepageSize),
    /// Hugepages of this size, or an error.
    Require(HugepageSize),
}

/// A size of hugepage that x86-64 and arm64 Linux know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HugepageSize {
    /// 2 MiB.
    #[default]
    Size2M,
    /// 1 GiB.
    Size1G,
}

impl HugepageSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Size2M => 2 << 20,
            Self::Size1G => 1 << 30,
        }
    }
}

/// Preferred busy polling: the program's own system calls run the driver, interrupts stay off (Linux 5.11).
///
/// It takes effect together with the interface's `napi_defer_hard_irqs` and `gro_flush_timeout`;
/// see the kernel's `Documentation/networking/napi.rst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BusyPoll {
    /// How long one system call may poll the driver, in microseconds (`SO_BUSY_POLL`).
    pub microseconds: u32,
    /// How many packets one poll may handle (`SO_BUSY_POLL_BUDGET`); the kernel's own is 8, at most 65,535.
    pub budget: u32,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self {
            microseconds: 20,
            budget: 64,
        }
    }
}

/// A request and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<R, A = R> {
    /// What was requested.
    pub requested: R,
    /// What was achieved.
    pub achieved: A,
    /// Why the two differ, if they do.
    pub reason: Option<String>,
}

impl<R, A> Answer<R, A> {
    /// The request was met.
    pub fn granted(requested: R, achieved: A) -> Self {
        Self {
            requested,
            achieved,
            reason: None,
        }
    }

    /// Something else was achieved, because of `reason`.
    pub fn refused(requested: R, achieved: A, reason: impl Into<String>) -> Self {
        Self {
            requested,
            achieved,
            reason: Some(reason.into()),
        }
    }
}

/// How a requested or achieved value is written in a report.
trait Words {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! answers {
    ($($requested:ty => $achieved:ty,)*) => {$(
        impl fmt::Display for Answer<$requested, $achieved> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("requested ")?;
                self.requested.words(f)?;
                f.write_str(", achieved ")?;
                self.achieved.words(f)?;
                match &self.reason {
                    Some(reason) => write!(f, ", because {reason}"),
                    None => Ok(()),
                }
            }
        }
    )*};
}

answers! {
    BindMode => BindMode,
    XdpMode => XdpMode,
    Hugepages => usize,
    bool => bool,
    u32 => u32,
    Option<u32> => Option<u32>,
    Option<BusyPoll> => Option<BusyPoll>,
}

impl Words for BindMode {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Copy => "copy",
            Self::ZeroCopy => "zero-copy",
        })
    }
}

impl Words for XdpMode {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

impl Words for Hugepages {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, how) = match self {
            Self::Never => return f.write_str("ordinary pages"),
            Self::Prefer(size) => (size, "if there are enough"),
            Self::Require(size) => (size, "or none"),
        };
        write!(f, "hugepages of {} MiB {how}", size.bytes() >> 20)
    }
}

impl Words for bool {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self { "yes" } else { "no" })
    }
}

impl Words for u32 {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Words for usize {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} bytes")
    }
}

/// A NUMA node.
impl Words for Option<u32> {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(number) => fmt::Display::fmt(number, f),
            None => f.write_str("any"),
        }
    }
}

impl Words for Option<BusyPoll> {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(BusyPoll {
                microseconds,
                budget,
            }) => write!(f, "{microseconds} microseconds, {budget} packets"),
            None => f.write_str("off"),
        }
    }
}

/// The answers to everything that was asked of memory, socket and XDP program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Copy or zero-copy.
    pub bind_mode: Answer<BindMode>,
    /// Native or generic; `None` when no program of this library was attached.
    pub xdp_mode: Option<Answer<XdpMode>>,
    /// The page size of the UMEM, in bytes.
    pub page_size: Answer<Hugepages, usize>,
    /// The NUMA node that the UMEM is bound to; `None` is wherever the kernel puts it.
    pub numa_node: Answer<Option<u32>>,
    /// Whether the rings carry need-wakeup flags (Linux 5.4).
    pub need_wakeup: Answer<bool>,
    /// Preferred busy polling; `None` is off.
    pub busy_poll: Answer<Option<BusyPoll>>,
    /// Packets that one transmit call may send in copy mode (`XDP_MAX_TX_SKB_BUDGET`, Linux 6.17; 32 before).
    pub tx_budget: Answer<u32>,
    /// Packets that do not reach the socket, or not as they were sent, with the command that changes it: one sentence each. Offloads that
    /// take VLAN tags away or merge segments, queues without a socket, devices without an Ethernet header. Empty for a socket that only sends.
    pub notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bind mode:   {}", self.bind_mode)?;
        match &self.xdp_mode {
            Some(answer) => writeln!(f, "XDP mode:    {answer}")?,
            None => writeln!(f, "XDP mode:    no program of this library")?,
        }
        writeln!(f, "page size:   {}", self.page_size)?;
        writeln!(f, "NUMA node:   {}", self.numa_node)?;
        writeln!(f, "need wakeup: {}", self.need_wakeup)?;
        writeln!(f, "busy poll:   {}", self.busy_poll)?;
        write!(f, "TX budget:   {}", self.tx_budget)?;
        for note in &self.notes {
            write!(f, "\nnote:        {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_differs_says_why() {
        let answer = Answer::refused(BindMode::Auto, BindMode::Copy, "veth has no zero-copy");
        assert_eq!(
            answer.to_string(),
            "requested auto, achieved copy, because veth has no zero-copy"
        );
    }

    #[test]
    fn a_report_is_plain_words_and_numbers() {
        let busy_poll = Some(BusyPoll::default());
        let size = HugepageSize::Size2M;
        let mut report = Report {
            bind_mode: Answer::granted(BindMode::ZeroCopy, BindMode::ZeroCopy),
            xdp_mode: Some(Answer::granted(XdpMode::Auto, XdpMode::Native)),
            page_size: Answer::refused(Hugepages::Prefer(size), 4096, "there are none"),
            numa_node: Answer::granted(Some(1), Some(1)),
            need_wakeup: Answer::granted(true, true),
            busy_poll: Answer::refused(busy_poll, None, "it is Linux 5.10"),
            tx_budget: Answer::granted(2048, 32),
            notes: Vec::new(),
        };
        assert_eq!(
            report.to_string(),
            "bind mode:   requested zero-copy, achieved zero-copy\n\
             XDP mode:    requested auto, achieved native\n\
             page size:   requested hugepages of 2 MiB if there are enough, achieved 4096 bytes, because there are none\n\
             NUMA node:   requested 1, achieved 1\n\
             need wakeup: requested yes, achieved yes\n\
             busy poll:   requested 20 microseconds, 64 packets, achieved off, because it is Linux 5.10\n\
             TX budget:   requested 2048, achieved 32"
        );
        report.numa_node = Answer::granted(None, None);
        report.busy_poll = Answer::granted(None, None);
        for word in ["Some", "None", "true", "false", "{"] {
            assert!(!report.to_string().contains(word), "{report}");
        }
    }
}
