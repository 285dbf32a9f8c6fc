//! Gives the shared library its SONAME, which Cargo does not set by itself.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let version = |part: &str| env::var(format!("CARGO_PKG_VERSION_{part}")).expect("set by Cargo");
    // Before 1.0 each minor version is an ABI of its own.
    let abi = match version("MAJOR").as_str() {
        "0" => format!("0.{}", version("MINOR")),
        major => major.to_owned(),
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfluxcap.so.{abi}");
    // Threads and thread-local values of the library must not outlive its code.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
