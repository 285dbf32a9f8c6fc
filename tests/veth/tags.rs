//! A firewall and VLAN tags that a sender leaves to its device.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, id};
use std::ptr;

use fluxcap::FluxRaw;
use fluxcap::proto::Headers;

use super::net::{add_pair, in_namespace, index, ip};
use super::process::Program;
use super::traffic::{close, receive, small};

const TAG: u16 = 7;
const DENIED: u16 = 9;
const ALLOWED: u16 = 10;

/// Sees that rules hold for packets with such tags, and that the tags arrive once the words of the report are typed. `firewall` starts one,
/// with these words.
pub(crate) fn rules_hold_for_tags_left_to_the_device(
    firewall: impl FnOnce(&str) -> Program + Send + 'static,
) {
    in_namespace(|| {
        add_pair("left", "right", "");
        ip("addr add 10.77.0.1/24 dev far");
        ip("neigh add 10.77.0.2 lladdr 02:00:00:00:00:77 dev far");
        let _pushing = match push_tags("far") {
            Ok(link) => link,
            Err(error) => return println!("skipped: no tags by a program at tcx: {error}"),
        };
        let rules = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tags-{}", id()));
        fs::write(&rules, "default allow\ndeny udp to any port 9").unwrap();
        let firewall = firewall(&format!("near left --rules {}", rules.display()));
        let mut right = small("right").build().unwrap();
        let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
        // The denied one comes first: it would be the one that arrives.
        let mut tag_of_one = || {
            for port in [DENIED, ALLOWED] {
                socket.send_to(b"tagged?", ("10.77.0.2", port)).unwrap();
            }
            tag_of(&mut right)
        };
        // The firewall cannot see such a tag, nor send it on: that is what its report is for.
        assert_eq!(tag_of_one(), None);
        let typed = Command::new("ethtool")
            .args(["-K", "far", "tx-vlan-hw-insert", "off"])
            .output();
        match typed {
            Ok(output) if output.status.success() => assert_eq!(tag_of_one(), Some(TAG)),
            _ => println!("skipped: there is no ethtool that could type the words"),
        }
        close(right);
        firewall.signal(libc::SIGTERM);
        let (status, said) = firewall.finish();
        fs::remove_file(&rules).unwrap();
        assert!(status.success(), "{said}");
        assert!(
            said.contains("ethtool -K PEER tx-vlan-hw-insert off"),
            "{said}"
        );
    });
}

/// The tag of the next packet, which is for [`ALLOWED`].
fn tag_of(raw: &mut FluxRaw) -> Option<u16> {
    let packet = receive(raw, 1).pop().unwrap();
    let headers = Headers::parse(packet.data()).unwrap();
    assert_eq!(headers.ports().unwrap().1, ALLOWED);
    headers.outer_tag()
}

/// Gives a tag to every packet that leaves an interface, as a VLAN device does, until the result is dropped: beside the packet.
fn push_tags(interface: &str) -> io::Result<OwnedFd> {
    let instruction = |code, register, imm| libbpf_sys::bpf_insn {
        code,
        _bitfield_1: libbpf_sys::bpf_insn::new_bitfield_1(register, 0),
        imm,
        ..Default::default()
    };
    let code = [
        // r2 = the tag's ethertype; r3 = the tag; r0 = bpf_skb_vlan_push(r1, r2, r3); r0 = TCX_PASS; exit
        instruction(0xb7, 2, i32::from(0x8100_u16.to_be())),
        instruction(0xb7, 3, TAG.into()),
        instruction(0x85, 0, 18),
        instruction(0xb7, 0, 0),
        instruction(0x95, 0, 0),
    ];
    // SAFETY: strings that end with NUL, and instructions with their own number; no options.
    let program = owned(unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_SCHED_CLS,
            c"tags".as_ptr(),
            c"GPL".as_ptr(),
            code.as_ptr(),
            code.len() as _,
            ptr::null_mut(),
        )
    })?;
    // SAFETY: plain numbers; no options.
    owned(unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            index(interface) as i32,
            libbpf_sys::BPF_TCX_EGRESS,
            ptr::null(),
        )
    })
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
