//! The packets of `tests/proto/corpus`.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the capture files are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proto/corpus")
}

/// The names of all capture files, sorted.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no packets in {}", directory().display());
    files
}

/// The packets of a capture file.
pub(crate) fn read(file: &Path) -> Vec<Vec<u8>> {
    const FILE_HEADER: usize = 24;
    let bytes = fs::read(file).unwrap();
    let mut rest = &bytes[FILE_HEADER..];
    let mut packets = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes(*header[8..].first_chunk().unwrap()) as usize;
        packets.push(after[..len].to_vec());
        rest = &after[len..];
    }
    packets
}
