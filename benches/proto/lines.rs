//! The line about a packet, written to a buffer, and what smoltcp's pretty printer says of the same.

use std::fmt::{self, Write};
use std::hint::black_box;

use fluxcap::proto::build::BuildError;
use fluxcap::proto::{FrameBuilder, MacAddr, TcpFlags, summary};
use smoltcp::wire::{EthernetFrame, PrettyPrinter};

use crate::Case;

/// A buffer of fixed size that text goes to.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

fn line() -> Line {
    Line {
        bytes: [0; 512],
        len: 0,
    }
}

fn by_us(line: &mut Line, frame: &[u8]) -> fmt::Result {
    line.len = 0;
    write!(line, "{}", summary(frame))
}

fn by_smoltcp(line: &mut Line, frame: &[u8]) -> fmt::Result {
    line.len = 0;
    write!(
        line,
        "{}",
        PrettyPrinter::<EthernetFrame<&'static [u8]>>::new("", &frame)
    )
}

fn case(name: &'static str, frame: Vec<u8>) -> Case {
    let (mut ours, mut peer) = (line(), line());
    assert!(by_us(&mut ours, &frame).is_ok() && by_smoltcp(&mut peer, &frame).is_ok());
    // Both know the ports.
    for line in [&ours, &peer] {
        let text = String::from_utf8_lossy(&line.bytes[..line.len]);
        assert!(text.contains("12345") && text.contains("4242"), "{text}");
    }
    let again = frame.clone();
    Case::new(
        name,
        1.0,
        move || by_us(&mut ours, black_box(&frame)),
        move || by_smoltcp(&mut peer, black_box(&again)),
    )
}

fn frame(end: fn(FrameBuilder<'_>) -> Result<&mut [u8], BuildError>) -> Vec<u8> {
    let mut buffer = [0; 128];
    let builder = FrameBuilder::new(&mut buffer)
        .ethernet(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]))
        .ipv4([192, 0, 2, 1].into(), [198, 51, 100, 2].into());
    end(builder).expect("there is room").to_vec()
}

pub(crate) fn cases() -> Vec<Case> {
    let udp = frame(|builder| builder.udp(12345, 4242).payload(&[0x5a; 18]));
    let tcp = frame(|builder| builder.tcp(12345, 4242, TcpFlags::ACK).payload(&[0x5a; 6]));
    vec![
        case("line/udp4/smoltcp", udp),
        case("line/tcp4/smoltcp", tcp),
    ]
}
