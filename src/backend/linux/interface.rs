//! Network interfaces and network namespaces, by ioctl and sysfs.

use std::ffi::{CStr, CString, c_void};
use std::fs::{self, File};
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::backend::Interface;
use crate::backend::linux::errors::{check, unexpected};
use crate::backend::linux::uapi::{self, EthtoolChannels, EthtoolDriver, EthtoolValue};
use crate::backend::linux::{af_xdp, netlink};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::MacAddr;

/// A way to ask about the interfaces of one network namespace: that of the thread which opened it.
#[derive(Debug)]
pub(super) struct IoctlSocket(OwnedFd);

/// Queues of an interface, now and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queues {
    pub(super) rx: u32,
    pub(super) tx: u32,
    pub(super) max_rx: u32,
}

/// What a device or the kernel does to packets that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offloads {
    /// Takes VLAN tags out of them.
    pub(super) rx_vlan: bool,
    /// The kernel merges segments.
    pub(super) gro: bool,
    /// The device merges segments.
    pub(super) lro: bool,
}

impl IoctlSocket {
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

    /// The index of an interface, by its name or an alternative one.
    pub(super) fn index(&self, name: &str) -> Result<u32> {
        let tried = || format!("looking for the interface {name:?}");
        let found = match NameKind::of(name) {
            NameKind::Invalid => {
                return Err(FluxError::invalid(
                    tried(),
                    format_args!(
                        "a name has 1 to 15 bytes, an alternative name up to {}, both without slash and white space",
                        netlink::LONGEST
                    ),
                    "look at `ip link`",
                ));
            }
            // The kernel finds alternative names that are not longer, too.
            NameKind::Short => {
                let mut request = named(name);
                let asked = self.ask(libc::SIOCGIFINDEX as _, &mut request);
                // SAFETY: the kernel wrote this member.
                asked.map(|()| unsafe { request.ifr_ifru.ifru_ifindex } as u32)
            }
            NameKind::Alternative => netlink::index(name),
        };
        found.map_err(|error| match error {
            errno::ENODEV => no_such_interface(tried()),
            libc::EAFNOSUPPORT | errno::EPERM | errno::EACCES
                if NameKind::of(name) == NameKind::Alternative =>
            {
                FluxError::new(
                    ErrorKind::Permission,
                    error,
                    tried(),
                    "a name of more than 15 bytes is looked up by netlink, which a sandbox forbids",
                    "use the short name of `ip link`, or add AF_NETLINK to RestrictAddressFamilies= of the systemd unit",
                )
            }
            _ => unexpected(tried(), error),
        })
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
        let name = self.name(index).ok_or_else(|| no_such_interface(tried()))?;
        let refusal = |error| match error {
            errno::ENODEV => no_such_interface(tried()),
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

    /// Its type (`ARPHRD_…`), which tells what packets begin with.
    pub(super) fn device_type(&self, name: &str) -> Option<u16> {
        Some(self.hardware_address(name)?.sa_family)
    }

    fn hardware_address(&self, name: &str) -> Option<libc::sockaddr> {
        let mut request = named(name);
        self.ask(libc::SIOCGIFHWADDR as _, &mut request).ok()?;
        // SAFETY: the kernel wrote this member.
        Some(unsafe { request.ifr_ifru.ifru_hwaddr })
    }

    /// Its offloads, those that are not known as off.
    pub(super) fn offloads(&self, name: &str) -> Offloads {
        let value = |cmd| {
            let mut value = EthtoolValue { cmd, data: 0 };
            self.ethtool(name, &mut value).map_or(0, |()| value.data)
        };
        let flags = value(uapi::ETHTOOL_GFLAGS);
        Offloads {
            rx_vlan: flags & uapi::ETH_FLAG_RXVLAN != 0,
            gro: value(uapi::ETHTOOL_GGRO) != 0,
            lro: flags & uapi::ETH_FLAG_LRO != 0,
        }
    }

    /// The Ethernet address, where there is one.
    fn mac(&self, name: &str) -> Option<MacAddr> {
        let address = self.hardware_address(name)?;
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
                max_rx: channels.max_rx.max(channels.rx_count)
                    + channels.max_combined.max(channels.combined_count),
            }),
            Err(_) => queues_in_sysfs(name, index),
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
impl Ethtool for EthtoolValue {}

fn named(name: &str) -> libc::ifreq {
    // SAFETY: numbers, and a union of numbers and pointers: all zeros are valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from as libc::c_char;
    }
    request
}

/// What a name can be the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameKind {
    /// An interface, by its name or by an alternative one (the kernel's `dev_valid_name`).
    Short,
    /// An interface, by an alternative name: it is too long for another one, or has a colon.
    Alternative,
    /// Nothing. The kernel would take any bytes for an alternative name; this is the rule of iproute2, which gives them.
    Invalid,
}

impl NameKind {
    fn of(name: &str) -> Self {
        let forbidden =
            |byte: u8| matches!(byte, b'/' | 0) || byte.is_ascii_whitespace() || byte == 0x0b;
        if matches!(name, "" | "." | "..")
            || name.len() > netlink::LONGEST
            || name.bytes().any(forbidden)
        {
            Self::Invalid
        } else if name.len() < libc::IF_NAMESIZE && !name.contains(':') {
            Self::Short
        } else {
            Self::Alternative
        }
    }
}

/// The directory of an interface in sysfs.
///
/// Sysfs shows the network namespace that it was mounted in, so it counts only if it knows the interface by the same index.
fn sysfs_directory(name: &str, index: u32) -> Option<String> {
    let directory = format!("/sys/class/net/{name}");
    let known = fs::read_to_string(format!("{directory}/ifindex")).ok()?;
    (known.trim().parse() == Ok(index)).then_some(directory)
}

/// Whether a virtio interface and its driver agreed on `VIRTIO_F_ACCESS_PLATFORM`, as far as known.
pub(super) fn virtio_has_iommu(name: &str, index: u32) -> Option<bool> {
    let directory = sysfs_directory(name, index)?;
    accesses_platform(&fs::read_to_string(format!("{directory}/device/features")).ok()?)
}

/// The same, in the features of a virtio device: a digit for each, from 0 on.
fn accesses_platform(features: &str) -> Option<bool> {
    const VIRTIO_F_ACCESS_PLATFORM: usize = 33;
    match features.as_bytes().get(VIRTIO_F_ACCESS_PLATFORM)? {
        b'0' => Some(false),
        b'1' => Some(true),
        _ => None,
    }
}

/// Counts the queues in sysfs, for drivers that do not answer ethtool.
fn queues_in_sysfs(name: &str, index: u32) -> Option<Queues> {
    let directory = sysfs_directory(name, index)?;
    let (mut rx, mut tx) = (0, 0);
    for entry in fs::read_dir(format!("{directory}/queues")).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        rx += u32::from(name.starts_with(b"rx-"));
        tx += u32::from(name.starts_with(b"tx-"));
    }
    (rx > 0).then_some(Queues { rx, tx, max_rx: rx })
}

/// The error for an interface that does not exist, naming those that do.
pub(super) fn no_such_interface(tried: String) -> FluxError {
    const ENOUGH: usize = 16;
    let names = interface_names();
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
fn interface_names() -> Vec<String> {
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

/// The identity of a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespace {
    /// A number that the kernel gives to no other one, ever (Linux 5.14).
    Cookie(u64),
    /// Device and inode of its file, which may come again when it is gone.
    File(u64, u64),
}

impl Namespace {
    /// That of a socket; `None` where nothing tells.
    pub(super) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        cookie(socket)
            .or_else(|| by_socket(socket))
            .or_else(by_thread)
    }
}

fn cookie(socket: BorrowedFd<'_>) -> Option<Namespace> {
    af_xdp::namespace_cookie(socket).map(Namespace::Cookie)
}

/// By a descriptor of the namespace, which the kernel gives to those who have CAP_NET_ADMIN in it.
fn by_socket(socket: BorrowedFd<'_>) -> Option<Namespace> {
    // SAFETY: the call takes a socket and no argument, and returns a new descriptor or an error.
    let fd = check(unsafe { libc::ioctl(socket.as_raw_fd(), uapi::SIOCGSKNS as _) }).ok()?;
    // SAFETY: a new descriptor, which nobody else knows.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    of_file(&file.metadata().ok()?)
}

/// Of the thread, where /proc is mounted.
fn by_thread() -> Option<Namespace> {
    of_file(&fs::metadata("/proc/thread-self/ns/net").ok()?)
}

fn of_file(file: &fs::Metadata) -> Option<Namespace> {
    Some(Namespace::File(file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::linux::tests::in_namespace;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    #[test]
    fn names_that_no_interface_can_have_are_refused_before_the_kernel_is_asked() {
        let ioctl = IoctlSocket::open().unwrap();
        let long = "n".repeat(128);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\0b",
            "sixteen bytes ab",
            &long,
        ] {
            let error = ioctl.index(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}");
            assert!(error.to_string().contains("up to 127"), "{error}");
        }
        // Nobody has these, but somebody could.
        for name in ["a:b", "sixteen-bytes-ab", &long[1..]] {
            let error = ioctl.index(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
    }

    #[test]
    fn an_absent_interface_is_answered_with_those_that_exist() {
        let error = IoctlSocket::open()
            .unwrap()
            .index("no-such-nic")
            .unwrap_err();
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
    fn a_virtio_device_says_whether_it_has_an_iommu() {
        // As Linux 6.18 shows them, of a machine without.
        let without = "1100010110111011000000000000010010000000000000000000000000000000";
        assert_eq!(accesses_platform(without), Some(false));
        let mut with = without.to_owned();
        with.replace_range(33..34, "1");
        assert_eq!(accesses_platform(&with), Some(true));
        for other in ["", "1100", &"x".repeat(64)] {
            assert_eq!(accesses_platform(other), None);
        }
    }

    #[test]
    fn loopback_is_known() {
        let ioctl = IoctlSocket::open().unwrap();
        let index = ioctl.index("lo").unwrap();
        let interface = ioctl.interface(index).unwrap();
        assert_eq!((interface.name.as_str(), interface.index), ("lo", index));
        assert!(interface.mtu >= 1280);
        assert_eq!(
            ioctl.interface(u32::MAX >> 1).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    /// What each way says on this thread.
    fn here() -> [Option<Namespace>; 3] {
        let socket = UnixDatagram::unbound().unwrap();
        let socket = socket.as_fd();
        [cookie(socket), by_socket(socket), by_thread()]
    }

    #[test]
    fn each_way_tells_namespaces_apart_and_knows_one_again() {
        in_namespace(|| {
            let first = here();
            assert_eq!(here(), first);
            let second = thread::spawn(|| {
                // SAFETY: concerns only this thread.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
                here()
            });
            let second = second.join().unwrap();
            for (first, second) in first.into_iter().zip(second) {
                match (first, second) {
                    (Some(first), Some(second)) => assert_ne!(first, second),
                    _ => println!("skipped: one of the ways, which this kernel does not know"),
                }
            }
            // The two files are the same one, so the ways can be mixed.
            assert_eq!(first[1], first[2]);
        });
    }
}
