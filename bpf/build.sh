#!/bin/sh
# Builds the XDP program.
#
#     bpf/build.sh [output]
#
# The output is bpf/fluxcap.bpf.o unless another file is named. It depends on the
# sources and the compiler's version, not on the directory or on the system's headers.
# CLANG and LLVM_STRIP name other tools than clang-19 and llvm-strip-19.
set -eu

fail() {
    echo "bpf/build.sh: $*" >&2
    exit 1
}

# The first of the programs named that exists.
first() {
    for program in "$@"; do
        if command -v "$program" >/dev/null 2>&1; then
            echo "$program"
            return
        fi
    done
    return 1
}

here=$(cd "$(dirname "$0")" && pwd -P)
output=${1:-$here/fluxcap.bpf.o}
case $output in
/*) ;;
*) output=$PWD/$output ;;
esac

if [ -n "${CLANG:-}" ]; then
    clang=$CLANG
else
    clang=$(first clang-19 clang) || fail "no clang found; on Debian: apt install clang-19 llvm-19"
fi
if [ -n "${LLVM_STRIP:-}" ]; then
    strip=$LLVM_STRIP
else
    # The strip of the same version as the compiler: clang-19 goes with llvm-strip-19.
    strip=$(first "$(echo "$clang" | sed 's/clang\(-[0-9]*\)\{0,1\}$/llvm-strip\1/')" llvm-strip-19 llvm-strip) ||
        fail "no llvm-strip found; on Debian: apt install llvm-19"
fi

cd "$here"
# bpfel: the object must not depend on the machine that builds it.
# v3: the instructions that Linux 5.1 and newer know; the library needs 5.9 anyway.
"$clang" -target bpfel -mcpu=v3 -std=gnu11 -O2 -g -Wall -Wextra -Werror -nostdinc \
    -ffile-prefix-map="$here"=bpf -fdebug-compilation-dir=bpf \
    -c fluxcap.bpf.c -o "$output"
# Removes DWARF; BTF stays.
"$strip" -g "$output"
