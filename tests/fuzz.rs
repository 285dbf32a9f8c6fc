//! What the fuzz targets do, done with their committed inputs and with all packets of the corpus.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
#[path = "proto/packets.rs"]
mod packets;

fn run(name: &str, body: fn(&[u8]), data: &[u8]) {
    assert!(catch_unwind(|| body(data)).is_ok(), "{name} of {data:02x?}");
}

/// Inputs that reach all the code, and those that once found a bug.
#[test]
fn committed_inputs() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for body in bodies::BODIES {
        let mut count = 0;
        for entry in fs::read_dir(inputs.join(body.name)).unwrap() {
            run(
                body.name,
                body.run,
                &fs::read(entry.unwrap().path()).unwrap(),
            );
            count += 1;
        }
        assert!(count > 0, "no inputs for {}", body.name);
    }
}

/// Each target gets each packet from where its header usually starts.
#[test]
fn packets_of_all_protocols() {
    let packets: Vec<Vec<u8>> = packets::files()
        .iter()
        .flat_map(|file| packets::read(file))
        .collect();
    for body in bodies::BODIES {
        for (number, packet) in packets.iter().enumerate() {
            for &start in body.starts {
                // Other numbers to choose with for every packet, the same every time.
                let choices = (0..body.choices).map(|at| (number * 31 + at * 97 + at * at) as u8);
                let data: Vec<u8> = choices.chain(packet.iter().skip(start).copied()).collect();
                run(body.name, body.run, &data);
            }
        }
    }
}

/// Whoever adds a function here wants it fuzzed.
#[test]
fn every_body_is_a_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    let mut names: Vec<String> = fs::read_dir(targets)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    let bodies: Vec<&str> = bodies::BODIES.iter().map(|body| body.name).collect();
    assert_eq!(names, bodies);
}
