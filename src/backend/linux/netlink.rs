//! Messages of rtnetlink(7): interfaces by alternative names, and the removal of an interface.

use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::backend::linux::errors::{check, last};
use crate::error::errno;

/// The longest name, without NUL (`ALTIFNAMSIZ` in `include/uapi/linux/if.h`).
pub(super) const LONGEST: usize = 127;

const IFLA_ALT_IFNAME: u16 = 53;
/// A request for one name: message header, interface, attribute header, name.
const REQUEST: usize = HEADER + INTERFACE + ATTRIBUTE + (LONGEST + 1);
const HEADER: usize = 16;
const INTERFACE: usize = 16;
const ATTRIBUTE: usize = 4;
/// More than an answer has before the parts that are asked for here.
const ANSWER: usize = HEADER + INTERFACE;

/// The index of the interface that has this name among its alternative ones, in the network namespace of this thread.
pub(super) fn index(name: &str) -> Result<u32, i32> {
    // SAFETY: plain numbers; the result is checked.
    let fd = check(unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        )
    })?;
    // SAFETY: a new descriptor, which nobody else knows.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let request = request(name).ok_or(errno::EINVAL)?;
    // SAFETY: a buffer with its own size, and no address: the kernel is the other end.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            request.as_ptr().cast(),
            request.len(),
            0,
        )
    };
    if sent < 0 {
        return Err(last());
    }
    let mut answer = [0_u8; ANSWER];
    loop {
        // SAFETY: a buffer with its own size; the kernel leaves out what does not fit.
        let received = unsafe {
            libc::recvfrom(
                socket.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        match usize::try_from(received) {
            Ok(received) => return parse(&answer[..received]),
            Err(_) if last() == libc::EINTR => {}
            Err(_) => return Err(last()),
        }
    }
}

/// The message that asks for an interface; `None` for a name that is too long.
fn request(name: &str) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(REQUEST);
    let attribute = ATTRIBUTE + name.len() + 1;
    let length = HEADER + INTERFACE + attribute.next_multiple_of(4);
    if name.len() > LONGEST {
        return None;
    }
    message.extend((length as u32).to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Number and sender, which mean nothing on a socket of our own; then the interface: whichever has the name.
    message.resize(HEADER + INTERFACE, 0);
    message.extend((attribute as u16).to_ne_bytes());
    message.extend(IFLA_ALT_IFNAME.to_ne_bytes());
    message.extend(name.as_bytes());
    message.resize(length, 0);
    Some(message)
}

/// The index in an answer, or the error that it is.
fn parse(answer: &[u8]) -> Result<u32, i32> {
    let word = |at: usize| -> Option<[u8; 4]> { answer.get(at..at + 4)?.try_into().ok() };
    let kind = answer.get(4..6).and_then(|kind| kind.try_into().ok());
    match kind.map(u16::from_ne_bytes) {
        // After family, padding and type.
        Some(libc::RTM_NEWLINK) => word(HEADER + 4).map(u32::from_ne_bytes),
        Some(kind) if i32::from(kind) == libc::NLMSG_ERROR => {
            // It stands there negated.
            let error = word(HEADER).and_then(|word| i32::from_ne_bytes(word).checked_neg());
            return Err(error.filter(|&error| error > 0).unwrap_or(errno::EIO));
        }
        _ => None,
    }
    .ok_or(errno::EIO)
}

/// A netlink socket in the network namespace of this thread that gets one kind of message: that this interface was removed or moved.
pub(super) fn removal_listener(ifindex: u32) -> Result<OwnedFd, i32> {
    // SAFETY: plain numbers; the result is checked.
    let fd = check(unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        )
    })?;
    // SAFETY: a new descriptor, which nobody else knows.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Places in a message: header of 16 bytes with the type behind the length, then `struct ifinfomsg`.
    const TYPE: u32 = 4;
    const FAMILY: u32 = 16;
    const INDEX: u32 = 20;
    let load = |size: u32, k| libc::sock_filter {
        code: (libc::BPF_LD | size | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k,
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
    // The filter loads in network byte order, and messages are in that of the machine. A bridge tells by another family that it
    // gave the interface up.
    let mut filter = [
        load(libc::BPF_H, TYPE),
        unless(u32::from(libc::RTM_DELLINK.to_be()), 5),
        load(libc::BPF_B, FAMILY),
        unless(libc::AF_UNSPEC as u32, 3),
        load(libc::BPF_W, INDEX),
        unless(ifindex.to_be(), 1),
        end(u32::MAX),
        end(0),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the program and its filter, and keeps a copy.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    })?;
    // SAFETY: numbers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = libc::RTMGRP_LINK as u32;
    // SAFETY: the kernel reads an address of the stated size.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    })?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says_and_aligned() {
        for length in [1, 2, 3, 4, 16, LONGEST] {
            let message = request(&"n".repeat(length)).unwrap();
            assert_eq!(message.len() % 4, 0);
            assert_eq!(message[..4], (message.len() as u32).to_ne_bytes());
            assert!(message.len() <= REQUEST);
        }
        assert!(request(&"n".repeat(LONGEST + 1)).is_none());
    }

    #[test]
    fn an_answer_that_is_cut_or_strange_is_an_error() {
        let mut answer = [0; ANSWER];
        for length in 0..ANSWER {
            assert!(parse(&answer[..length]).is_err());
        }
        answer[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        answer[HEADER..HEADER + 4].copy_from_slice(&(-19_i32).to_ne_bytes());
        assert_eq!(parse(&answer), Err(19));
        assert_eq!(parse(&answer[..HEADER]), Err(errno::EIO));
        answer[HEADER..HEADER + 4].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert_eq!(parse(&answer), Err(errno::EIO));
        answer[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
        answer[HEADER + 4..HEADER + 8].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(parse(&answer), Ok(7));
    }
}
