//! Network namespaces, which belong to threads: when the thread ends, in whatever way, they are gone with all in them.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Runs `body` in a network namespace of its own that holds the veth pair `near`–`far`, both up and without addresses.
///
/// Where that cannot be, it prints why and returns.
pub(crate) fn in_namespace(body: impl FnOnce() + Send + 'static) {
    let done = in_empty_namespace(|| {
        add_pair("near", "far", "");
        body();
    });
    if let Err(reason) = done {
        println!("skipped: {reason}");
    }
}

/// Runs `body` in a network namespace of its own. Where that cannot be, it says why.
pub(crate) fn in_empty_namespace<R: Send + 'static>(
    body: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    let thread = thread::spawn(move || enter_namespace().map(|()| body()));
    match thread.join() {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

/// Takes this thread to a new namespace, in which AF_XDP works.
fn enter_namespace() -> Result<(), String> {
    // SAFETY: a plain system call without arguments.
    if unsafe { libc::geteuid() } != 0 {
        return Err("needs root".to_owned());
    }
    // SAFETY: concerns only this thread, which makes no use of the network it leaves.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!(
            "no network namespace: {}",
            io::Error::last_os_error()
        ));
    }
    socket(libc::AF_XDP, libc::SOCK_RAW, 0).map_err(|error| format!("no AF_XDP: {error}"))?;
    // No packets but ours. The file is that of this thread's namespace, and missing without IPv6.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    Ok(())
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether this kernel's AF_XDP knows packets of several buffers (Linux 6.6): it looks at the flags before it looks for the interface.
pub(crate) fn knows_multi_buffer() -> bool {
    const XDP_USE_SG: u16 = 1 << 4;
    let socket = socket(libc::AF_XDP, libc::SOCK_RAW, 0).expect("AF_XDP");
    // SAFETY: numbers, for which zero is valid.
    let mut address: libc::sockaddr_xdp = unsafe { std::mem::zeroed() };
    address.sxdp_family = libc::AF_XDP as u16;
    address.sxdp_flags = XDP_USE_SG;
    address.sxdp_ifindex = i32::MAX as u32;
    // SAFETY: an address with its own size.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as u32,
        )
    };
    let error = io::Error::last_os_error().raw_os_error();
    assert!(
        bound < 0 && matches!(error, Some(libc::ENODEV | libc::EINVAL)),
        "{error:?}"
    );
    error == Some(libc::ENODEV)
}

/// Makes a veth pair and sets both ends up; `options` are words for both, such as `numrxqueues 2`.
pub(crate) fn add_pair(one: &str, other: &str, options: &str) {
    ip(&format!(
        "link add {one} {options} type veth peer name {other} {options}"
    ));
    ip(&format!("link set {one} up"));
    ip(&format!("link set {other} up"));
    show_queues(one);
}

/// Makes the number of queues known where veth does not answer `ethtool -l` (before Linux 5.13): sysfs has it, but shows the network
/// namespace that it was mounted in. So this thread gets its own.
fn show_queues(veth: &str) {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let answers = ANSWERS.get_or_init(|| {
        let output = Command::new("ethtool").args(["-l", veth]).output();
        // Without ethtool nothing tells, and tests of queues skip.
        output.map_or(true, |output| output.status.success())
    });
    if *answers || fs::exists(format!("/sys/class/net/{veth}")).unwrap_or(true) {
        return;
    }
    let mount = |kind: &CStr, target: &CStr, flags| {
        // SAFETY: strings that end with NUL, and no data.
        let result = unsafe {
            libc::mount(
                kind.as_ptr(),
                target.as_ptr(),
                kind.as_ptr(),
                flags,
                std::ptr::null(),
            )
        };
        assert_eq!(result, 0, "{target:?}: {}", io::Error::last_os_error());
    };
    // SAFETY: concerns only this thread, and those that it makes.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE);
    mount(c"sysfs", c"/sys", 0);
}

/// Runs `ip` with these words and returns what it prints.
pub(crate) fn ip(words: &str) -> String {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip of iproute2 must be installed");
    assert!(
        output.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether an XDP program is on an interface, as `ip` tells people.
pub(crate) fn has_program(interface: &str) -> bool {
    ip(&format!("link show dev {interface}")).contains("xdp")
}

pub(crate) fn index(interface: &str) -> u32 {
    let name = CString::new(interface).unwrap();
    // SAFETY: a string that ends with NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "no interface {interface}");
    index
}

/// Waits up to ten seconds for something to become true.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

type Task = Box<dyn FnOnce() + Send>;

/// Another network namespace, in which work can be done.
pub(crate) struct Elsewhere {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    /// Moves an interface of this namespace there, where it is set up with `address`.
    pub(crate) fn with(interface: &'static str, address: &'static str) -> Self {
        let (tasks, work) = channel::<Task>();
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            enter_namespace().expect("the first namespace could be made, too");
            // SAFETY: takes nothing, returns a number.
            tell.send(unsafe { libc::gettid() }).unwrap();
            for task in work {
                task();
            }
        });
        let id = told.recv().expect("the thread has a namespace");
        let elsewhere = Self {
            tasks: Some(tasks),
            thread: Some(thread),
        };
        ip(&format!("link set {interface} netns {id}"));
        elsewhere.run(move || {
            ip(&format!("address add {address} dev {interface}"));
            ip(&format!("link set {interface} up"));
        });
        elsewhere
    }

    /// Runs something there and waits for it.
    pub(crate) fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, told) = channel();
        let task = move || {
            let _ = tell.send(catch_unwind(AssertUnwindSafe(work)));
        };
        let tasks = self.tasks.as_ref().expect("taken in drop alone");
        tasks.send(Box::new(task)).expect("the thread works");
        match told.recv().expect("the work ended") {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The kernel's network stack on an interface: what it would receive, and a way to send.
pub(crate) struct Stack {
    socket: OwnedFd,
    address: libc::sockaddr_ll,
}

impl Stack {
    /// From now on, for frames of [`EXPERIMENTAL`](super::traffic::EXPERIMENTAL).
    pub(crate) fn of(interface: &str) -> Self {
        let protocol = super::traffic::EXPERIMENTAL.0.to_be();
        let socket = socket(libc::AF_PACKET, libc::SOCK_RAW, protocol.into()).expect("AF_PACKET");
        // SAFETY: numbers, for which zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index(interface) as i32;
        // SAFETY: an address with its own size.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        Self { socket, address }
    }

    /// The next frame, `None` when there is none within `timeout`.
    pub(crate) fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
        let mut entry = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the kernel reads and writes one entry.
        if unsafe { libc::poll(&mut entry, 1, timeout.as_millis() as i32) } != 1 {
            return None;
        }
        let mut frame = vec![0; 65_536];
        // SAFETY: a buffer with its own size.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                frame.as_mut_ptr().cast(),
                frame.len(),
                0,
            )
        };
        frame.truncate(usize::try_from(length).expect("recv"));
        Some(frame)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: buffer and address with their own sizes.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const self.address).cast(),
                size_of_val(&self.address) as u32,
            )
        };
        assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
    }
}
