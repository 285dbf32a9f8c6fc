//! Binding to a queue: the attempts, the patience, and what a refusal means.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::Bound;
use crate::backend::bpf::{self, AttachedMode, attached_mode};
use crate::backend::linux::af_xdp;
use crate::backend::linux::errors::{Deadline, check, error_text, retry, unexpected};
use crate::backend::linux::interface::{no_such_interface, virtio_has_iommu};
use crate::backend::linux::socket::XdpSocket;
use crate::backend::linux::uapi::{self, SockAddr};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, BindMode};

pub(super) fn bind(socket: &XdpSocket) -> Result<Bound> {
    let request = &socket.request;
    let fd = socket.fd.as_fd();
    // The kernel counts queues in 16 bits and would take the remainder.
    if request.queue > u32::from(u16::MAX) {
        return Err(refusal(socket, BindMode::Copy, errno::EINVAL));
    }
    let busy_poll = af_xdp::busy_poll(fd, request.busy_poll);
    let busy_polls = busy_poll.achieved.is_some();
    socket.busy_polls.store(busy_polls, Ordering::Relaxed);
    let tx_budget = af_xdp::tx_budget(fd, request.tx_budget, request.sizes.tx);
    let need_wakeup = need_wakeup(request.need_wakeup, socket.ring_flags);
    let wakeup = if need_wakeup.achieved {
        uapi::XDP_USE_NEED_WAKEUP
    } else {
        0
    };
    let deadline = Deadline::after(request.bind_patience);
    let attempt = |mode: BindMode| {
        let flag = match mode {
            BindMode::Copy => uapi::XDP_COPY,
            _ => uapi::XDP_ZEROCOPY,
        };
        retry(
            deadline,
            |error| error == errno::EBUSY,
            || call(socket, wakeup | flag),
        )
    };
    let mut bind_mode = match socket.first {
        // The first socket of the queue has decided on mode and wake-ups.
        Some(_) => match call(socket, uapi::XDP_SHARED_UMEM) {
            Ok(()) => Answer::granted(
                request.bind_mode,
                match (request.bind_mode, af_xdp::is_zero_copy(fd)) {
                    (BindMode::Auto, Some(true)) => BindMode::ZeroCopy,
                    (BindMode::Auto, _) => BindMode::Copy,
                    (mode, _) => mode,
                },
            ),
            Err(error) => return Err(refusal(socket, BindMode::Copy, error)),
        },
        None => attempts(socket, attempt)?,
    };
    // Every attempt demanded its mode, so that this only guards against a driver that does something else.
    if let Some(zero_copy) = af_xdp::is_zero_copy(fd) {
        let told = if zero_copy {
            BindMode::ZeroCopy
        } else {
            BindMode::Copy
        };
        if told != bind_mode.achieved {
            bind_mode = Answer::refused(
                bind_mode.requested,
                told,
                "the kernel says so after the bind",
            );
        }
    }
    Ok(Bound {
        release: socket.bound_release(),
        tx_budget: af_xdp::tx_budget_in(bind_mode.achieved, tx_budget),
        bind_mode,
        need_wakeup,
        busy_poll,
    })
}

fn need_wakeup(requested: bool, ring_flags: bool) -> Answer<bool> {
    if requested && !ring_flags {
        return Answer::refused(requested, false, "rings have flags since Linux 5.4");
    }
    Answer::granted(requested, requested)
}

/// Tries zero-copy and copy mode as requested. A socket that was refused can be bound again.
fn attempts(
    socket: &XdpSocket,
    attempt: impl Fn(BindMode) -> Result<(), i32>,
) -> Result<Answer<BindMode>> {
    let requested = socket.request.bind_mode;
    if requested != BindMode::Auto {
        return match attempt(requested) {
            Ok(()) => Ok(Answer::granted(requested, requested)),
            Err(error) => Err(refusal(socket, requested, error)),
        };
    }
    if let Some(reason) = lacks_native_program(socket) {
        return match attempt(BindMode::Copy) {
            Ok(()) => Ok(Answer::refused(requested, BindMode::Copy, reason)),
            Err(error) => Err(refusal(socket, BindMode::Copy, error)),
        };
    }
    let error = match attempt(BindMode::ZeroCopy) {
        Ok(()) => return Ok(Answer::granted(requested, BindMode::ZeroCopy)),
        Err(error) => error,
    };
    // A driver that says so does zero-copy as soon as the interface is up; copy mode would last.
    if error == errno::ENETDOWN {
        return Err(refusal(socket, BindMode::ZeroCopy, error));
    }
    match attempt(BindMode::Copy) {
        Ok(()) => {
            let reason = no_zero_copy(socket, error);
            Ok(Answer::refused(requested, BindMode::Copy, reason))
        }
        Err(error) => Err(refusal(socket, BindMode::Copy, error)),
    }
}

/// Why zero-copy is not worth an attempt, unless a native program is on the interface or that cannot be told.
///
/// Most drivers bind in zero-copy without such a program, but neither send nor receive then; and once bound, a socket stays in its mode.
fn lacks_native_program(socket: &XdpSocket) -> Option<String> {
    let name = socket.interface_name();
    let there = match attached_mode(socket.ifindex)? {
        AttachedMode::Native => return None,
        // What a driver without zero-copy would have said.
        _ if bpf::claims_zero_copy(socket.ifindex) == Some(false) => {
            return Some(no_zero_copy(socket, errno::EOPNOTSUPP));
        }
        AttachedMode::Generic => format!("that of {name} runs in generic mode"),
        AttachedMode::None => format!("{name} has none"),
    };
    Some(format!(
        "zero-copy takes an XDP program in native mode, and {there}"
    ))
}

/// What a driver means that binds in zero-copy and then refuses to be woken.
pub(super) fn zero_copy_wake_error(
    socket: &XdpSocket,
    tried: &str,
    error: i32,
) -> Option<FluxError> {
    if af_xdp::is_zero_copy(socket.fd.as_fd()) != Some(true) {
        return None;
    }
    let there = match attached_mode(socket.ifindex)? {
        AttachedMode::Native => return None,
        AttachedMode::Generic => "that program runs in generic mode",
        AttachedMode::None => "there is none",
    };
    let name = socket.interface_name();
    let driver = socket.ioctl.driver(&name);
    let driver = driver.as_deref().unwrap_or("unknown");
    Some(FluxError::new(
        ErrorKind::Unsupported,
        error,
        tried,
        format_args!(
            "the driver of {name} ({driver}) runs a zero-copy socket only while an XDP program is attached in native mode, and {there}"
        ),
        "attach one (the bundled program in native mode does), or use copy mode",
    ))
}

fn call(socket: &XdpSocket, flags: u16) -> Result<(), i32> {
    let first = socket.first.as_ref().and_then(|first| first.fd());
    let address = SockAddr {
        family: uapi::AF_XDP as u16,
        flags,
        ifindex: socket.ifindex,
        queue_id: socket.request.queue,
        shared_umem_fd: first.map_or(0, |first| first.as_raw_fd()) as u32,
    };
    // SAFETY: the kernel reads an address of the stated size.
    let result = unsafe {
        libc::bind(
            socket.fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<SockAddr>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// One clause that says why zero-copy was refused.
fn no_zero_copy(socket: &XdpSocket, error: i32) -> String {
    let name = socket.interface_name();
    let driver = socket.ioctl.driver(&name);
    let is_virtio = driver.as_deref() == Some("virtio_net");
    let driver = match driver {
        Some(driver) => format!("the driver of {name} ({driver})"),
        None => format!("the driver of {name}"),
    };
    let said = error_text(error);
    let mtu = socket.ioctl.mtu(&name).unwrap_or(0);
    let longest = socket.geometry.zero_copy_mtu();
    match error {
        errno::EOPNOTSUPP => format!("{driver} has no zero-copy for AF_XDP ({said})"),
        errno::EINVAL if mtu > longest => format!(
            "the MTU of {name} is {mtu}, and zero-copy with chunks of {} bytes and headroom {} takes at most {longest} ({said})",
            socket.geometry.chunk_size(),
            socket.geometry.headroom()
        ),
        errno::EINVAL if is_virtio => {
            let has_iommu = virtio_has_iommu(&name, socket.ifindex);
            virtio_refusal(&driver, &name, has_iommu, &said)
        }
        errno::EINVAL => format!(
            "{driver} does not do zero-copy with this queue, chunk size, ring size or number of channels ({said})"
        ),
        errno::EBUSY => format!(
            "queue {} of {name} is used by something else ({said})",
            socket.request.queue
        ),
        errno::ENOMEM => {
            format!("{driver} found no memory to map the packet memory for the device ({said})")
        }
        _ => format!("{driver} refused zero-copy ({said})"),
    }
}

/// What the virtual machine must set for a virtio interface, or the driver cannot map memory for it.
const IOMMU: &str =
    "iommu_platform=on (QEMU; VIRTIO_F_ACCESS_PLATFORM), which zero-copy of virtio_net takes";

/// Why virtio_net refuses zero-copy, as far as it is known whether its device was made with [`IOMMU`].
fn virtio_refusal(driver: &str, name: &str, has_iommu: Option<bool>, said: &str) -> String {
    match has_iommu {
        Some(false) => format!("{name} was made without {IOMMU} ({said})"),
        Some(true) => format!(
            "{driver} does not do zero-copy with this chunk size, headroom or ring size ({said})"
        ),
        None => format!(
            "{driver} does not do zero-copy when {name} was made without {IOMMU}, or with this chunk size, headroom or ring size ({said})"
        ),
    }
}

/// The error for a refused bind.
fn refusal(socket: &XdpSocket, mode: BindMode, error: i32) -> FluxError {
    let name = socket.interface_name();
    let queue = socket.request.queue;
    let mode_name = match mode {
        BindMode::ZeroCopy => "zero-copy",
        _ => "copy",
    };
    let tried = format!("binding to queue {queue} of {name} in {mode_name} mode");
    if error == errno::EBUSY {
        return taken(tried, &name, queue, socket.request.bind_patience);
    }
    if error == errno::ENODEV || socket.ioctl.name(socket.ifindex).is_none() {
        return no_such_interface(tried);
    }
    if matches!(error, errno::ENETDOWN | errno::ENXIO) {
        return FluxError::new(
            ErrorKind::Down,
            error,
            tried,
            format_args!("{name} is down"),
            format_args!("`ip link set {name} up`"),
        );
    }
    if error == errno::EINVAL {
        let queues = socket.ioctl.queues(&name, socket.ifindex);
        // The kernel takes a queue that exists for either direction.
        let count = queues.map(|queues| queues.rx.max(queues.tx));
        if count.is_some_and(|count| queue >= count) || queue > u32::from(u16::MAX) {
            return no_queue(tried, &name, count);
        }
    }
    match (mode, error) {
        (_, errno::ENOMEM) => FluxError::new(
            ErrorKind::Memory,
            error,
            tried,
            "the kernel has not enough memory",
            "ask for fewer frames or smaller rings",
        ),
        (BindMode::ZeroCopy, _) => FluxError::new(
            ErrorKind::Unsupported,
            error,
            tried,
            no_zero_copy(socket, error),
            "use copy mode, or let the library choose",
        ),
        _ => unexpected(tried, error),
    }
}

fn taken(tried: String, name: &str, queue: u32, patience: Duration) -> FluxError {
    let patience = match patience {
        Duration::ZERO => String::new(),
        patience => format!(", and was for all of {patience:?}"),
    };
    FluxError::new(
        ErrorKind::Busy,
        errno::EBUSY,
        tried,
        format_args!("queue {queue} of {name} is taken by another socket{patience}"),
        "close the program that uses it (`ss --xdp -p` shows it; where that is empty, the kernel has no CONFIG_XDP_SOCKETS_DIAG, and \
         `grep -l socket: /proc/[0-9]*/maps` finds the programs with such sockets), or take another queue",
    )
}

fn no_queue(tried: String, name: &str, count: Option<u32>) -> FluxError {
    let happened = match count {
        None => format!("{name} has no such queue"),
        Some(1) => format!("{name} has 1 queue (0)"),
        Some(count) => format!(
            "{name} has {count} queues (0 to {})",
            count.saturating_sub(1)
        ),
    };
    FluxError::new(
        ErrorKind::Invalid,
        errno::EINVAL,
        tried,
        happened,
        format_args!("use one of these, or raise their number (`ethtool -L {name}`)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_queue_is_found_also_where_the_kernel_cannot_list_sockets() {
        let patience = Duration::from_secs(2);
        let error = taken("binding".to_owned(), "eth0", 3, patience);
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Busy, errno::EBUSY)
        );
        let text = error.to_string();
        let parts = [
            "queue 3 of eth0 is taken by another socket, and was for all of 2s",
            "`ss --xdp -p` shows it; where that is empty, the kernel has no CONFIG_XDP_SOCKETS_DIAG",
            "`grep -l socket: /proc/[0-9]*/maps` finds",
            "or take another queue",
        ];
        for part in parts {
            assert!(text.contains(part), "{part} in: {text}");
        }
    }

    #[test]
    fn virtio_without_the_setting_that_zero_copy_takes_names_it() {
        let why = |has_iommu| virtio_refusal("virtio_net", "eth0", has_iommu, "EINVAL");
        let setting = "eth0 was made without iommu_platform=on (QEMU; VIRTIO_F_ACCESS_PLATFORM)";
        let sizes = "with this chunk size, headroom or ring size";
        // What is known not to be the reason is not named.
        for (has_iommu, named) in [
            (Some(false), [true, false]),
            (Some(true), [false, true]),
            (None, [true, true]),
        ] {
            let text = why(has_iommu);
            assert_eq!(
                [setting, sizes].map(|part| text.contains(part)),
                named,
                "{text}"
            );
            assert!(text.ends_with("(EINVAL)"), "{text}");
        }
    }
}
