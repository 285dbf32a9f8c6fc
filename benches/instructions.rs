//! Instructions per packet, exact, counted by callgrind; [`linux`](linux/instructions.rs) says how.

#[cfg(target_os = "linux")]
#[path = "linux/instructions.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: libxdp, the peer, is Linux'");
}
