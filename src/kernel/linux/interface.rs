//! What the kernel knows of a network interface.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::errors::{check, unexpected};
use super::namespace::Namespace;
use super::uapi::{self, EthtoolChannels, EthtoolDriver};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::Interface;
use crate::proto::MacAddr;

/// A way to ask about the interfaces of one network namespace: that of the thread which opened it.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

/// Queues of an interface, now and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queues {
    pub(super) rx: u32,
    pub(super) tx: u32,
    pub(super) most_rx: u32,
}

impl Control {
    /// Opens one in the network namespace of this thread.
    pub(super) fn open() -> Result<Self> {
        // Any family will do for these questions; this one is never forbidden.
        // SAFETY: plain numbers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        let fd = check(fd)
            .map_err(|error| unexpected("opening a socket to ask about interfaces", error))?;
        // SAFETY: a new descriptor, which nobody else knows.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The network namespace that it asks in; `None` where that cannot be found out.
    pub(super) fn namespace(&self) -> Option<Namespace> {
        Namespace::of(self.0.as_fd())
    }

    /// The index of an interface.
    pub(super) fn index(&self, name: &str) -> Result<u32> {
        let tried = || format!("looking for the interface {name:?}");
        if !is_valid(name) {
            return Err(FluxError::invalid(
                tried(),
                "a name has 1 to 15 bytes, without slash, colon and white space",
                "look at `ip link`",
            ));
        }
        let mut request = named(name);
        match self.ask(libc::SIOCGIFINDEX as _, &mut request) {
            // SAFETY: the kernel wrote this member.
            Ok(()) => Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32),
            Err(errno::ENODEV) => Err(absent(tried())),
            Err(error) => Err(unexpected(tried(), error)),
        }
    }

    /// The name of an interface, which may change; `None` when it does not exist any more.
    pub(super) fn name(&self, index: u32) -> Option<String> {
        let mut request = named("");
        request.ifr_ifru.ifru_ifindex = index as i32;
        self.ask(libc::SIOCGIFNAME as _, &mut request).ok()?;
        // SAFETY: the kernel ends a name within its 16 bytes.
        let name = unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) };
        Some(name.to_string_lossy().into_owned())
    }

    /// All that the seam wants to know.
    pub(super) fn interface(&self, index: u32) -> Result<Interface> {
        let tried = || format!("looking at the interface with index {index}");
        let name = self.name(index).ok_or_else(|| absent(tried()))?;
        let refusal = |error| match error {
            errno::ENODEV => absent(tried()),
            _ => unexpected(tried(), error),
        };
        let mtu = self.mtu(&name).map_err(refusal)?;
        let up = self.up(&name).map_err(refusal)?;
        let rx_queues = self.queues(&name, index).map(|queues| queues.rx);
        Ok(Interface {
            index,
            mtu,
            up,
            rx_queues,
            mac: self.mac(&name),
            name,
        })
    }

    /// The Ethernet address, where there is one.
    fn mac(&self, name: &str) -> Option<MacAddr> {
        let mut request = named(name);
        self.ask(libc::SIOCGIFHWADDR as _, &mut request).ok()?;
        // SAFETY: the kernel wrote this member.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        let octets = [0, 1, 2, 3, 4, 5].map(|byte: usize| address.sa_data[byte] as u8);
        (address.sa_family == libc::ARPHRD_ETHER).then_some(MacAddr(octets))
    }

    /// The MTU, without Ethernet header.
    pub(super) fn mtu(&self, name: &str) -> Result<u32, i32> {
        let mut request = named(name);
        self.ask(libc::SIOCGIFMTU as _, &mut request)?;
        // SAFETY: the kernel wrote this member.
        Ok(unsafe { request.ifr_ifru.ifru_mtu }.unsigned_abs())
    }

    /// Whether somebody set the interface up; whether a cable is in is another matter.
    pub(super) fn up(&self, name: &str) -> Result<bool, i32> {
        let mut request = named(name);
        self.ask(libc::SIOCGIFFLAGS as _, &mut request)?;
        // SAFETY: the kernel wrote this member.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        Ok(i32::from(flags) & libc::IFF_UP != 0)
    }

    /// The queues, as far as known.
    pub(super) fn queues(&self, name: &str, index: u32) -> Option<Queues> {
        let mut channels = EthtoolChannels {
            cmd: uapi::ETHTOOL_GCHANNELS,
            ..Default::default()
        };
        match self.ethtool(name, &mut channels) {
            Ok(()) => Some(Queues {
                rx: channels.rx_count + channels.combined_count,
                tx: channels.tx_count + channels.combined_count,
                most_rx: channels.max_rx.max(channels.rx_count)
                    + channels.max_combined.max(channels.combined_count),
            }),
            Err(_) => in_sysfs(name, index),
        }
    }

    /// The name of the driver.
    pub(super) fn driver(&self, name: &str) -> Option<String> {
        let mut info = EthtoolDriver {
            cmd: uapi::ETHTOOL_GDRVINFO,
            driver: [0; 32],
            rest: [0; 160],
        };
        self.ethtool(name, &mut info).ok()?;
        let name = CStr::from_bytes_until_nul(&info.driver)
            .ok()?
            .to_str()
            .ok()?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn ethtool<T: Ethtool>(&self, name: &str, command: &mut T) -> Result<(), i32> {
        let mut request = named(name);
        request.ifr_ifru.ifru_data = (&raw mut *command).cast();
        // SIOCETHTOOL, which the libc crate does not know for every C library.
        self.ask(0x8946, &mut request)
    }

    fn ask(&self, question: libc::c_ulong, request: &mut libc::ifreq) -> Result<(), i32> {
        // SAFETY: all questions of this file read and write an `ifreq`; the one that follows a pointer in it gets a
        // structure that is as large as its command says (`Ethtool`).
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                question as _,
                (&raw mut *request).cast::<c_void>(),
            )
        };
        check(result).map(drop)
    }
}

/// The structure of an ethtool command, which begins with the number of that command.
trait Ethtool {}
impl Ethtool for EthtoolChannels {}
impl Ethtool for EthtoolDriver {}

fn named(name: &str) -> libc::ifreq {
    // SAFETY: numbers, and a union of numbers and pointers: all zeros are valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from as libc::c_char;
    }
    request
}

/// The kernel's own rule (`dev_valid_name`).
fn is_valid(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() < libc::IF_NAMESIZE
        && !name.bytes().any(|byte| {
            matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace() || byte == 0x0b
        })
}

/// Counts the queues in sysfs, for drivers that do not answer ethtool.
///
/// Sysfs shows the network namespace that it was mounted in, so it counts only if it knows the interface by the same index.
fn in_sysfs(name: &str, index: u32) -> Option<Queues> {
    let directory = format!("/sys/class/net/{name}");
    let known: u32 = fs::read_to_string(format!("{directory}/ifindex"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    if known != index {
        return None;
    }
    let (mut rx, mut tx) = (0, 0);
    for entry in fs::read_dir(format!("{directory}/queues")).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        rx += u32::from(name.starts_with(b"rx-"));
        tx += u32::from(name.starts_with(b"tx-"));
    }
    (rx > 0).then_some(Queues {
        rx,
        tx,
        most_rx: rx,
    })
}

/// The error for an interface that does not exist, naming those that do.
pub(super) fn absent(tried: String) -> FluxError {
    const ENOUGH: usize = 16;
    let names = names();
    let mut list = names[..names.len().min(ENOUGH)].join(", ");
    if names.len() > ENOUGH {
        list += &format!(" and {} more", names.len() - ENOUGH);
    }
    FluxError::new(
        ErrorKind::NotFound,
        errno::ENODEV,
        tried,
        format_args!("there is none; this network namespace has {list}"),
        "look at `ip link`; each network namespace has its own interfaces",
    )
}

/// The names of all interfaces in the network namespace of this thread.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: returns an array, or NULL.
    let array = unsafe { libc::if_nameindex() };
    if array.is_null() {
        return names;
    }
    let mut entry = array;
    // SAFETY: the array ends with an entry of index zero, and the loop with it; each name before is a C string.
    unsafe {
        while (*entry).if_index != 0 {
            let name = CString::from(CStr::from_ptr((*entry).if_name));
            names.push(name.to_string_lossy().into_owned());
            entry = entry.add(1);
        }
        libc::if_freenameindex(array);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_interface_can_have_are_refused_before_the_kernel_is_asked() {
        let control = Control::open().unwrap();
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "a\0b",
            "sixteen-bytes-ab",
        ] {
            let error = control.index(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}");
        }
    }

    #[test]
    fn an_absent_interface_is_answered_with_those_that_exist() {
        let error = Control::open().unwrap().index("no-such-nic").unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::NotFound, errno::ENODEV)
        );
        let text = error.to_string();
        assert!(
            text.contains("no-such-nic") && text.contains("lo"),
            "{text}"
        );
    }

    #[test]
    fn loopback_is_known() {
        let control = Control::open().unwrap();
        let index = control.index("lo").unwrap();
        let interface = control.interface(index).unwrap();
        assert_eq!((interface.name.as_str(), interface.index), ("lo", index));
        assert!(interface.mtu >= 1280);
        assert_eq!(
            control.interface(u32::MAX >> 1).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}
