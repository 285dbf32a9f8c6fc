//! Sockets and processes for the tests, all gone when the test ends.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::backend::bpf::query::owned;
pub(super) use crate::backend::linux::tests::net::{in_namespace, ip};

pub(super) fn index(interface: &str) -> u32 {
    let name = CString::new(interface).unwrap();
    // SAFETY: a string that ends with NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "no interface {interface}");
    index
}

/// Sends packets out of an interface: of an ethertype that the network stack ignores.
pub(super) fn send(interface: &str, packets: usize) {
    // SAFETY: plain numbers; the result is checked.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0, "AF_PACKET");
    // SAFETY: a new descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeros are a valid address.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_ifindex = index(interface) as i32;
    let mut packet = [0_u8; 64];
    packet[..6].fill(0xff);
    packet[12..14].copy_from_slice(&[0x88, 0xb5]);
    for _ in 0..packets {
        // SAFETY: buffer and address with their own sizes.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                size_of_val(&to) as u32,
            )
        };
        assert_eq!(sent, packet.len() as isize);
    }
}

/// An AF_XDP socket that is bound to queue 0 of an interface, and whose fill ring stays empty.
///
/// A socket without RX ring does not do: Linux 5.10 crashes when it hands it a packet, and 7.3 does not take it into a map.
pub(super) fn bound_socket(interface: &str) -> OwnedFd {
    const UMEM: usize = 4 * 4096;
    // SAFETY: plain numbers; the result is checked.
    let socket =
        owned(unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) });
    let socket = socket.expect("CONFIG_XDP_SOCKETS");
    // SAFETY: new memory; it stays mapped until the test process ends.
    let umem = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            UMEM,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(umem, libc::MAP_FAILED);
    let region = libc::xdp_umem_reg {
        addr: umem as u64,
        len: UMEM as u64,
        chunk_size: 4096,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set_option(&socket, libc::XDP_UMEM_REG, &region);
    set_option(&socket, libc::XDP_UMEM_FILL_RING, &4_u32);
    set_option(&socket, libc::XDP_UMEM_COMPLETION_RING, &4_u32);
    set_option(&socket, libc::XDP_RX_RING, &4_u32);
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: index(interface),
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    // The kernel gives a queue free some time after its last socket was closed.
    for _ in 0..100 {
        // SAFETY: an address with its own size.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        if bound == 0 {
            return socket;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("bind: {}", io::Error::last_os_error());
}

fn set_option<T>(socket: &OwnedFd, option: i32, value: &T) {
    // SAFETY: a value with its own size, of the type that the option takes.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    assert_eq!(result, 0, "option {option}: {}", io::Error::last_os_error());
}

/// A process that is killed when the test is done with it.
pub(super) struct Child(std::process::Child);

impl Child {
    /// Starts a process that does nothing but hold a copy of `fd`.
    pub(super) fn holding(fd: BorrowedFd<'_>) -> Self {
        let fd = fd.as_raw_fd();
        let mut command = Command::new("sleep");
        command.arg("60");
        // SAFETY: the closure makes one system call, about an open descriptor, and allocates nothing.
        unsafe {
            command.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            })
        };
        Self(command.spawn().expect("sleep of coreutils"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
