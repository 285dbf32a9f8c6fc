//! Wishes and their answers: what was requested, what was achieved, and why they differ.

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
    /// In the network stack, after the kernel's own packet allocation. Works with every driver, slower.
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

/// One wish and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<R, A = R> {
    /// What was asked for.
    pub requested: R,
    /// What it is now.
    pub achieved: A,
    /// Why the two differ, if they do.
    pub reason: Option<String>,
}

impl<R, A> Answer<R, A> {
    /// The wish came true.
    pub fn granted(requested: R, achieved: A) -> Self {
        Self {
            requested,
            achieved,
            reason: None,
        }
    }

    /// The wish was answered with something else, because of `reason`.
    pub fn refused(requested: R, achieved: A, reason: impl Into<String>) -> Self {
        Self {
            requested,
            achieved,
            reason: Some(reason.into()),
        }
    }
}

impl<R: fmt::Debug, A: fmt::Debug> fmt::Display for Answer<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requested {:?}, achieved {:?}",
            self.requested, self.achieved
        )?;
        match &self.reason {
            Some(reason) => write!(f, ", because {reason}"),
            None => Ok(()),
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
        write!(f, "TX budget:   {}", self.tx_budget)
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
            "requested Auto, achieved Copy, because veth has no zero-copy"
        );
    }
}
