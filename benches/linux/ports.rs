//! The sockets that ask and answer in the benchmark `latency`.

use std::error::Error;
use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use fluxcap::proto::Ethernet;
use fluxcap::{BindMode, BusyPoll, FluxBuilder, FluxRaw, Pacer, Poller, Verdict, XdpMode};

use super::End;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const UDP_PORT: u16 = 7;
const PAYLOAD: usize = 64;
/// What stands in front of a UDP payload on the cable, Ethernet, IPv4 and UDP; the others' packets are as long.
const HEADERS: usize = 42;
const PACKET: usize = HEADERS + PAYLOAD;
/// A type for experiments: the kernel's network stack leaves such packets alone.
const ETHERTYPE: u16 = 0x88b5;
/// An answer that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// One of the two programs' sockets.
pub(crate) trait Port {
    /// Sends a packet with this number and waits for its answer.
    fn ask(&mut self, number: u64) -> Result<()>;

    /// Sends one packet back, once it has come; may return without one.
    fn answer(&mut self) -> Result<()>;

    /// Waits this long for packets, and drops them.
    fn wait_for(&mut self, _time: Duration) -> Result<()> {
        Err("only ours has pollers to watch".into())
    }
}

pub(crate) fn open(kind: &str, near: &End, far: &End) -> Result<Box<dyn Port>> {
    Ok(match kind {
        "udp" => Box::new(Udp::open(near, far)?),
        "packet" => Box::new(PacketSocket::open(near)?),
        _ => Box::new(Ours::open(kind, near)?),
    })
}

fn lost() -> Box<dyn Error> {
    "an answer was lost".into()
}

fn is_answer(packet: &[u8], number: u64) -> bool {
    packet
        .get(14..)
        .is_some_and(|rest| rest.starts_with(&number.to_le_bytes()))
}

struct Udp {
    socket: UdpSocket,
    buffer: [u8; PAYLOAD],
}

impl Udp {
    fn open(near: &End, far: &End) -> Result<Self> {
        let socket = UdpSocket::bind((near.address, UDP_PORT))?;
        socket.connect((far.address, UDP_PORT))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            buffer: [0; PAYLOAD],
        })
    }
}

impl Port for Udp {
    fn ask(&mut self, number: u64) -> Result<()> {
        self.buffer[..8].copy_from_slice(&number.to_le_bytes());
        self.socket.send(&self.buffer)?;
        let len = self.socket.recv(&mut self.buffer)?;
        match self.buffer[..len].starts_with(&number.to_le_bytes()) {
            true => Ok(()),
            false => Err(lost()),
        }
    }

    fn answer(&mut self) -> Result<()> {
        let len = match self.socket.recv(&mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            result => result?,
        };
        self.socket.send(&self.buffer[..len])?;
        Ok(())
    }
}

/// A packet of this length, of the experimental type, from and to addresses of nobody.
fn packet() -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa]);
    packet[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
    packet
}

struct PacketSocket {
    fd: OwnedFd,
    to: libc::sockaddr_ll,
    buffer: [u8; PACKET],
}

impl PacketSocket {
    fn open(near: &End) -> Result<Self> {
        let protocol = i32::from(ETHERTYPE.to_be());
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: plain numbers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: it was just opened and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let name = std::ffi::CString::new(near.interface)?;
        // SAFETY: all zero is a value of it.
        let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = ETHERTYPE.to_be();
        // SAFETY: the name ends with a zero byte.
        to.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        let timeout = libc::timeval {
            tv_sec: PATIENCE.as_secs() as i64,
            tv_usec: 0,
        };
        let this = Self {
            fd,
            to,
            buffer: packet(),
        };
        let fd = this.fd.as_raw_fd();
        // SAFETY: the address has this length.
        let bound = unsafe { libc::bind(fd, (&raw const this.to).cast(), this.length()) };
        // SAFETY: the option is a `timeval`.
        let set = unsafe {
            let length = mem::size_of_val(&timeout) as u32;
            let timeout = (&raw const timeout).cast();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, timeout, length)
        };
        if bound != 0 || set != 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(this)
    }

    fn length(&self) -> u32 {
        mem::size_of_val(&self.to) as u32
    }

    fn send(&self) -> io::Result<()> {
        let (fd, start, to) = (
            self.fd.as_raw_fd(),
            self.buffer.as_ptr(),
            &raw const self.to,
        );
        // SAFETY: buffer and address have these lengths.
        let sent = unsafe { libc::sendto(fd, start.cast(), PACKET, 0, to.cast(), self.length()) };
        match sent {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let (fd, start) = (self.fd.as_raw_fd(), self.buffer.as_mut_ptr());
        let nobody = std::ptr::null_mut();
        // SAFETY: the buffer has this length, and the sender's address is not asked for.
        let got = unsafe { libc::recvfrom(fd, start.cast(), PACKET, 0, nobody, nobody.cast()) };
        match got {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Port for PacketSocket {
    fn ask(&mut self, number: u64) -> Result<()> {
        self.buffer[14..22].copy_from_slice(&number.to_le_bytes());
        self.send()?;
        self.receive()?;
        match is_answer(&self.buffer, number) {
            true => Ok(()),
            false => Err(lost()),
        }
    }

    fn answer(&mut self) -> Result<()> {
        match self.receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            result => result?,
        }
        swap(&mut self.buffer);
        Ok(self.send()?)
    }
}

fn swap(packet: &mut [u8]) {
    if let Ok((ethernet, _)) = Ethernet::parse_mut(packet) {
        ethernet.swap_addresses();
    }
}

struct Ours {
    raw: FluxRaw,
    pacer: Pacer,
}

impl Ours {
    fn open(kind: &str, near: &End) -> Result<Self> {
        let mut builder = FluxBuilder::new(near.interface)
            .bind_mode(BindMode::Copy)
            .xdp_mode(XdpMode::Native);
        let poller = match kind {
            "busy" => Poller::Busy,
            "busy+kernel" => {
                builder = builder.busy_poll(BusyPoll::default());
                Poller::Busy
            }
            "wait" => Poller::Wait,
            "adaptive" => Poller::default(),
            _ => return Err(format!("there is no kind {kind}").into()),
        };
        let raw = builder.build()?;
        if raw.report().busy_poll.achieved != raw.report().busy_poll.requested {
            return Err(raw.report().to_string().into());
        }
        let pacer = poller.pacer();
        Ok(Self { raw, pacer })
    }

    /// Waits until a packet is there, or `until` is over; returns whether one is.
    fn wait(&mut self, until: Instant) -> Result<bool> {
        while self.raw.peek(1).is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.pacer.idle(&mut self.raw, Some(left))?;
        }
        self.pacer.worked();
        Ok(true)
    }
}

impl Port for Ours {
    fn ask(&mut self, number: u64) -> Result<()> {
        let mut packet = packet();
        packet[14..22].copy_from_slice(&number.to_le_bytes());
        let mut frame = self.raw.alloc().ok_or("no free frame")?;
        frame.copy_from(&packet)?;
        self.raw.send_one(frame).map_err(|_| "no room to send")?;
        self.raw.wake_tx()?;
        let until = Instant::now() + PATIENCE;
        let mut answered = false;
        while !answered {
            if !self.wait(until)? {
                return Err(lost());
            }
            // Others, of the kernel's, may come in between.
            self.raw
                .recv_each(1, |packet| answered = is_answer(packet.data(), number));
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        self.wait(Instant::now() + PATIENCE)?;
        let count = self.raw.forward_each(1, |mut packet| {
            swap(packet.data_mut());
            Verdict::Send
        });
        if count > 0 {
            self.raw.wake_tx()?;
        }
        Ok(())
    }

    fn wait_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.wait(until)?;
            self.raw.recv_each(u32::MAX, |_| ());
        }
        Ok(())
    }
}
