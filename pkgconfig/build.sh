#!/bin/sh
# Builds what pkgconfig/install.sh installs: libfluxcap.so and libfluxcap.a.
#
#     pkgconfig/build.sh DIRECTORY [CARGO-OPTION...]
#
# CARGO, LD, AR, OBJCOPY and NM name other tools.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: pkgconfig/build.sh DIRECTORY [CARGO-OPTION...]" >&2
    exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
top=$PWD
# shellcheck source=pkgconfig/version.sh
. pkgconfig/version.sh
built=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}release

# One after the other: asked for several crate types at once, Cargo drops the
# link-time optimisation without a word. The name and the flags of the shared library are
# set here: in build.rs they would be those of every library that depends on the crate.
# Threads and thread-local values of the library must not outlive its code: nodelete.
"${CARGO:-cargo}" rustc --release --lib --crate-type cdylib "$@" -- \
    -C "link-arg=-Wl,-soname,libfluxcap.so.$abi" -C link-arg=-Wl,-z,nodelete
"${CARGO:-cargo}" rustc --release --lib --crate-type staticlib "$@"

work=$(mktemp -d "$directory/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cp "$built/libfluxcap.so" "$work/"

# The archive as Rust makes it shows every symbol of everything in it, libbpf's too:
# a program that brings its own libbpf could not be linked. This makes one object of
# it that shows only ours. GNU ar fails on the sections .llvmbc and .llvmcmd.
# No section groups are left: of groups with one name a linker keeps the first, and what
# ours has by then is hidden from another Rust library that refers to it.
"${LD:-ld}" -r --force-group-allocation --whole-archive "$built/libfluxcap.a" -o "$work/fluxcap.o"
"${OBJCOPY:-objcopy}" --wildcard --keep-global-symbol='fluxcap_*' \
    --remove-section=.llvmbc --remove-section=.llvmcmd "$work/fluxcap.o"
"${AR:-ar}" rcsD "$work/libfluxcap.a" "$work/fluxcap.o"

# What each of the two shows.
symbols() {
    "${NM:-nm}" --defined-only --format=posix "$@" | cut -d' ' -f1 | sort
}
symbols --extern-only "$work/fluxcap.o" >"$work/static"
symbols --dynamic "$work/libfluxcap.so" >"$work/shared"
if [ ! -s "$work/shared" ] || grep -v '^fluxcap_' "$work/shared" >&2 ||
    ! diff "$work/static" "$work/shared" >&2; then
    echo "pkgconfig/build.sh: both libraries must show the same fluxcap_* symbols and nothing else" >&2
    exit 1
fi

mv -f "$work/libfluxcap.so" "$work/libfluxcap.a" "$directory/"
