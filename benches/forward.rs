//! TCP through a forwarder between two veth pairs; [`linux`](linux/forward.rs) says how.

#[cfg(target_os = "linux")]
#[path = "linux/forward.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: veth pairs are Linux'");
}
