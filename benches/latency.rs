//! Round trips over a veth pair; [`linux`](linux/latency.rs) says how.

#[cfg(target_os = "linux")]
#[path = "linux/latency.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: veth pairs are Linux'");
}
