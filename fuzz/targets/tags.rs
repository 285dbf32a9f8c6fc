#![no_main]

#[path = "../bodies/mod.rs"]
#[allow(dead_code, reason = "shared by all targets")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::tags(data));
