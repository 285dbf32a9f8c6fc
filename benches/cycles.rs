//! The user's cycles a packet on live frames; [`linux`](linux/cycles.rs) says how.

#[cfg(target_os = "linux")]
#[path = "linux/cycles.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: AF_XDP sockets are Linux'");
}
