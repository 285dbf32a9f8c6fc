#!/bin/sh
# Builds the XDP program anew and compares it with the committed bpf/fluxcap.bpf.o:
# instructions, relocations, map definitions and types.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
for tool in clang-19 llvm-strip-19 llvm-objdump-19; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "bpf/check.sh: $tool is missing; on Debian: apt install clang-19 llvm-19" >&2
        exit 1
    fi
done
if [ ! -f "$here/fluxcap.bpf.o" ]; then
    echo "bpf/check.sh: bpf/fluxcap.bpf.o is missing; run bpf/build.sh and commit it" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Describes the fluxcap.bpf.o of a directory: what is compared, as text.
describe() (
    cd "$1"
    llvm-objdump-19 --disassemble --reloc fluxcap.bpf.o
    llvm-objdump-19 --full-contents --section=.maps --section=.BTF --section=license fluxcap.bpf.o
)

mkdir "$work/new"
CLANG=clang-19 LLVM_STRIP=llvm-strip-19 "$here/build.sh" "$work/new/fluxcap.bpf.o"
describe "$here" >"$work/committed"
describe "$work/new" >"$work/built"
if ! diff -u "$work/committed" "$work/built" >&2; then
    echo "bpf/check.sh: bpf/fluxcap.bpf.o is not what bpf/ builds with clang-19;" \
        "run bpf/build.sh and commit the object" >&2
    exit 1
fi
echo "bpf/fluxcap.bpf.o matches its source"
