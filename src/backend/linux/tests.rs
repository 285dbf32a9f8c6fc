//! Against the running kernel, each test in a network namespace of its own; and what these tests share.
//!
//! - `open`: opening and binding, the answers to what was requested, and the errors; `rights`: the same without some capability or limit;
//! - `wait`: waiting, and losing the interface meanwhile; `release`: when the kernel has let go of a queue.

mod open;
mod release;
mod rights;
mod wait;

use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::backend::linux::LinuxInterface;
use crate::backend::{Backend, MemoryRequest, Opened, RingSizes, SocketRequest};
use crate::report::{BindMode, HugepageSize, Hugepages};
use crate::umem::{UmemConfig, UmemRegion};

/// Runs `body` in a network namespace of its own that holds the veth pair `near`–`far`, both up.
///
/// The namespace belongs to the thread: when it ends, in whatever way, interfaces and programs are gone.
pub(crate) fn in_namespace(body: impl FnOnce() + Send + 'static) {
    // SAFETY: a plain system call without arguments.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: needs root");
        return;
    }
    let thread = thread::spawn(move || {
        // SAFETY: concerns only this thread, which makes no use of the network it leaves.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            let error = io::Error::last_os_error();
            println!("skipped: no network namespace: {error}");
            return;
        }
        // SAFETY: plain numbers; the descriptor is closed at once.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            println!("skipped: no AF_XDP: {error}");
            return;
        }
        // SAFETY: opened above, and known to nobody else.
        unsafe { libc::close(fd) };
        ip("link add near type veth peer name far");
        ip("link set near up");
        ip("link set far up");
        body();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip of iproute2 must be installed");
    assert!(
        output.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether a command succeeds.
fn succeeds(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command has a program");
    let output = Command::new(program).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

pub(in crate::backend) fn near() -> LinuxInterface {
    LinuxInterface::by_name("near")
}

/// A request for queue 0 of a small socket.
pub(in crate::backend) fn request() -> SocketRequest {
    SocketRequest {
        queue: 0,
        sizes: RingSizes {
            fill: 64,
            rx: 64,
            tx: 64,
            completion: 64,
        },
        bind_mode: BindMode::Auto,
        need_wakeup: true,
        busy_poll: None,
        tx_budget: None,
        bind_patience: Duration::from_secs(5),
    }
}

/// A UMEM of `frames` frames of 4096 bytes.
fn umem_of(frames: u32, hugepages: Hugepages) -> UmemRegion {
    let config = UmemConfig {
        frames,
        hugepages,
        ..UmemConfig::default()
    };
    let geometry = config.geometry().unwrap();
    let request = MemoryRequest {
        bytes: geometry.bytes() as usize,
        hugepages,
        numa_node: None,
    };
    let memory = near().allocate(&request).unwrap().memory;
    UmemRegion::new(memory, geometry).unwrap()
}

fn umem() -> UmemRegion {
    umem_of(64, Hugepages::Never)
}

/// Opens a socket on `near` that is not bound yet.
pub(in crate::backend) fn open(request: &SocketRequest) -> Opened {
    near().open(request, &umem()).unwrap()
}

/// Takes capabilities from this thread.
fn drop_capabilities(numbers: &[u32]) {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // Version 3; process 0 is this thread.
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: the kernel writes two `Data` for version 3.
    let got = unsafe { libc::syscall(libc::SYS_capget, &header, &mut data) };
    assert_eq!(got, 0);
    for number in numbers {
        let keep = !(1 << (number % 32));
        data[(number / 32) as usize].effective &= keep;
    }
    // SAFETY: the kernel reads two `Data` for version 3.
    let set = unsafe { libc::syscall(libc::SYS_capset, &header, &data) };
    assert_eq!(set, 0);
}

fn hugepage_file(size: HugepageSize, file: &str) -> String {
    format!(
        "/sys/kernel/mm/hugepages/hugepages-{}kB/{file}",
        size.bytes() / 1024
    )
}

fn read_number(path: &str) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

pub(super) fn free_hugepages(size: HugepageSize) -> usize {
    read_number(&hugepage_file(size, "free_hugepages"))
}

/// Hugepages that are given back to the machine when dropped.
struct Reserved {
    file: String,
    before: usize,
}

impl Reserved {
    /// Reserves `count` more; `None` when the machine does not give them.
    fn new(size: HugepageSize, count: usize) -> Option<Self> {
        let file = hugepage_file(size, "nr_hugepages");
        let before = read_number(&file);
        fs::write(&file, (before + count).to_string()).ok()?;
        let reserved = Self { file, before };
        (free_hugepages(size) >= count).then_some(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let _ = fs::write(&self.file, self.before.to_string());
    }
}

/// Takes this thread to a network namespace of its own, and returns its thread id for `ip link set … netns`.
pub(in crate::backend) fn leave_namespace() -> i32 {
    // SAFETY: concerns only this thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
    // SAFETY: takes nothing, returns a number.
    unsafe { libc::gettid() }
}

/// Hides a directory from this thread, and from the processes that it starts.
pub(crate) fn hide(directory: &std::ffi::CStr) {
    // SAFETY: concerns only this thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    let mount = |source: &std::ffi::CStr, target: &std::ffi::CStr, flags| {
        // SAFETY: strings that end with NUL, and no data. It changes the mounts of this thread alone.
        let result = unsafe {
            libc::mount(
                source.as_ptr(),
                target.as_ptr(),
                c"tmpfs".as_ptr(),
                flags,
                std::ptr::null(),
            )
        };
        assert_eq!(result, 0, "{target:?}: {}", io::Error::last_os_error());
    };
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE);
    mount(c"nothing", directory, 0);
}

/// Forbids a system call to this thread where an argument has a value, as the seccomp filter of a container does.
pub(in crate::backend) fn forbid(call: libc::c_long, argument: u32, value: u32) {
    let load = |offset| libc::sock_filter {
        code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: offset,
    };
    let unless = |k, skip| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let end = |k| libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    // `struct seccomp_data`: number, architecture, address, and six arguments of eight bytes, of which this reads the lower half.
    let low = if cfg!(target_endian = "little") { 0 } else { 4 };
    let mut filter = [
        load(0),
        unless(call as u32, 3),
        load(16 + 8 * argument + low),
        unless(value, 1),
        end(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        end(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the program and its filter, which concern this thread alone.
    let set = unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}
