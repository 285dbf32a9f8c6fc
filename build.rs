//! Does nothing: Cargo wants a build script of a package with `links`.
//!
//! Above all it gives no arguments to the linker: Cargo would hand them on to each shared library that depends on this package. The name and the
//! flags of our own shared library are set where it is built for installation, in `pkgconfig/build.sh`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
