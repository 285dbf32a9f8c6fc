//! Single fields of frames as tshark dissects them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A field of each frame as tshark has it, empty where it has none; `None`, and a line about it, where there is no tshark.
pub(crate) fn tshark(name: &str, frames: &[Vec<u8>], field: &str) -> Option<Vec<String>> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcap"));
    fs::write(&file, pcap(frames)).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(&file)
        .args(["-o", "tcp.check_checksum:TRUE"])
        .args(["-o", "udp.check_checksum:TRUE"])
        .args(["-T", "fields", "-e", field])
        .output();
    fs::remove_file(&file).unwrap();
    let Ok(output) = output else {
        println!("skipped: {name} is not held against tshark, which is not here");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> = text.lines().map(String::from).collect();
    assert_eq!(lines.len(), frames.len(), "{name}");
    Some(lines)
}

/// A capture file with these frames.
pub(crate) fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut words = |words: &[u32], bytes: &[u8]| {
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(bytes);
    };
    words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 0xffff, 1], &[]);
    for frame in frames {
        let len = frame.len() as u32;
        words(&[1, 0, len, len], frame);
    }
    file
}
