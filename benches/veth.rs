//! Packets per second over a veth pair; [`linux`](linux/veth.rs) says how.

#[cfg(target_os = "linux")]
#[path = "linux/veth.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: veth pairs are Linux'");
}
