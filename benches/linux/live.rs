//! Packets without a sender: the kernel runs an XDP program on frames of its own (`BPF_PROG_TEST_RUN` with
//! `BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18), and the program redirects them to an AF_XDP socket.

use std::error::Error;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_sys as bpf;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Packets of one run of the program between two flushes.
const BATCH: u32 = 64;

/// A program on an interface that redirects every packet to the socket in its XSKMAP.
pub(crate) struct LiveFrames {
    interface: u32,
    map: OwnedFd,
    program: OwnedFd,
    /// Keeps the program on the interface: on none at all, each run would wait 25 ms for RCU at its end.
    _link: OwnedFd,
}

impl LiveFrames {
    pub(crate) fn new(interface: &str) -> Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: the name ends with a zero byte.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(format!("{interface}: {}", io::Error::last_os_error()).into());
        }
        let kind = bpf::BPF_MAP_TYPE_XSKMAP;
        // SAFETY: the name ends with a zero byte, and there are no options.
        let map = unsafe { bpf::bpf_map_create(kind, c"sockets".as_ptr(), 4, 4, 1, ptr::null()) };
        let map = owned(map, "an XSKMAP")?;
        let code = redirect(&map);
        // SAFETY: the names end with a zero byte, the code has the stated length, and there are no options.
        let program = unsafe {
            bpf::bpf_prog_load(
                bpf::BPF_PROG_TYPE_XDP,
                c"redirect".as_ptr(),
                c"GPL".as_ptr(),
                code.as_ptr(),
                code.len() as _,
                ptr::null_mut(),
            )
        };
        let program = owned(program, "a program that redirects")?;
        let options = bpf::bpf_link_create_opts {
            sz: size_of::<bpf::bpf_link_create_opts>() as _,
            flags: bpf::XDP_FLAGS_DRV_MODE,
            ..Default::default()
        };
        // SAFETY: the program is open, and the options are of their type.
        let link = unsafe {
            bpf::bpf_link_create(program.as_raw_fd(), index as i32, bpf::BPF_XDP, &options)
        };
        Ok(Self {
            interface: index,
            map,
            _link: owned(link, "the program on its interface")?,
            program,
        })
    }

    /// The map whose entry 0 gets the packets.
    pub(crate) fn map(&self) -> &OwnedFd {
        &self.map
    }

    /// Makes `socket` the one that gets the packets.
    pub(crate) fn enter(&self, socket: i32) -> Result<()> {
        let key = 0_u32;
        // SAFETY: key and value have the sizes that the map was made with.
        let result = unsafe {
            bpf::bpf_map_update_elem(
                self.map.as_raw_fd(),
                (&raw const key).cast(),
                (&raw const socket).cast(),
                0,
            )
        };
        succeeded(result, "entering a socket into the XSKMAP")
    }

    /// Lets `count` copies of a packet arrive. They are in the RX ring on return.
    pub(crate) fn deliver(&self, packet: &[u8], count: u32) -> Result<()> {
        let context = bpf::xdp_md {
            data_end: packet.len() as u32,
            ingress_ifindex: self.interface,
            ..Default::default()
        };
        let mut options = bpf::bpf_test_run_opts {
            sz: size_of::<bpf::bpf_test_run_opts>() as _,
            data_in: packet.as_ptr().cast(),
            data_size_in: packet.len() as u32,
            ctx_in: (&raw const context).cast(),
            ctx_size_in: size_of_val(&context) as u32,
            repeat: count as i32,
            flags: bpf::BPF_F_TEST_XDP_LIVE_FRAMES,
            batch_size: BATCH,
            ..Default::default()
        };
        // SAFETY: the program is open; packet and context have the stated sizes.
        let result = unsafe { bpf::bpf_prog_test_run_opts(self.program.as_raw_fd(), &mut options) };
        succeeded(result, "live frames (Linux 5.18)")
    }
}

/// `return bpf_redirect_map(map, 0, XDP_DROP)`.
fn redirect(map: &OwnedFd) -> [bpf::bpf_insn; 6] {
    let instruction = |code: u32, [destination, source]: [u8; 2], imm: i32| {
        let mut instruction = bpf::bpf_insn {
            code: code as u8,
            imm,
            ..Default::default()
        };
        instruction.set_dst_reg(destination);
        instruction.set_src_reg(source);
        instruction
    };
    let pseudo_map = bpf::BPF_PSEUDO_MAP_FD as u8;
    let load = bpf::BPF_LD | bpf::BPF_IMM | bpf::BPF_DW;
    let set = bpf::BPF_ALU64 | bpf::BPF_MOV | bpf::BPF_K;
    [
        instruction(load, [1, pseudo_map], map.as_raw_fd()),
        instruction(0, [0, 0], 0),
        instruction(set, [2, 0], 0),
        instruction(set, [3, 0], bpf::XDP_DROP as i32),
        instruction(
            bpf::BPF_JMP | bpf::BPF_CALL,
            [0, 0],
            bpf::BPF_FUNC_redirect_map as i32,
        ),
        instruction(bpf::BPF_JMP | bpf::BPF_EXIT, [0, 0], 0),
    ]
}

fn owned(fd: i32, what: &str) -> Result<OwnedFd> {
    succeeded(fd, what)?;
    // SAFETY: libbpf returned a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn succeeded(result: i32, what: &str) -> Result<()> {
    match result {
        0.. => Ok(()),
        error => Err(format!("{what}: {}", io::Error::from_raw_os_error(-error)).into()),
    }
}
