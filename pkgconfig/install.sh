#!/bin/sh
# Installs the library for C, or removes it.
#
#     pkgconfig/install.sh DIRECTORY      what pkgconfig/build.sh put into DIRECTORY
#     pkgconfig/install.sh --uninstall
#
# From the environment: PREFIX (/usr/local), LIBDIR (PREFIX/lib), INCLUDEDIR
# (PREFIX/include), PKGCONFIGDIR (LIBDIR/pkgconfig), and DESTDIR, which is put before
# each of them when files are written, for packagers. OBJCOPY and STRIP name other tools.
#
# DEBUGINFO says what becomes of the debug information:
#
#     no      it is not installed (default)
#     yes     that of the shared library goes into a file of its own, LIBDIR/.debug/,
#             where debuggers look; the archive keeps its own
#     keep    it stays in both libraries, for packaging tools that separate it themselves
set -eu

if [ $# -ne 1 ]; then
    echo "usage: pkgconfig/install.sh DIRECTORY | --uninstall" >&2
    exit 2
fi
top=$(cd "$(dirname "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
includedir=${INCLUDEDIR:-$prefix/include}
pkgconfigdir=${PKGCONFIGDIR:-$libdir/pkgconfig}
destdir=${DESTDIR:-}
debuginfo=${DEBUGINFO:-no}
case $debuginfo in
no | yes | keep) ;;
*)
    echo "DEBUGINFO is no, yes or keep, not $debuginfo" >&2
    exit 2
    ;;
esac

# shellcheck source=pkgconfig/version.sh
. "$top/pkgconfig/version.sh"
debugdir=$destdir$libdir/.debug
debugfile=$debugdir/libfluxcap.so.$version.debug

# The dynamic linker finds a new library, and its version's name, by a cache.
refresh_cache() {
    case $destdir$libdir in
    /lib* | /usr/lib* | /usr/local/lib*)
        if [ "$(id -u)" -eq 0 ]; then
            PATH=$PATH:/sbin:/usr/sbin ldconfig
        else
            echo "run ldconfig as root, so that programs find the library" >&2
        fi
        ;;
    esac
}

if [ "$1" = --uninstall ]; then
    rm -f "$destdir$libdir/libfluxcap.so" "$destdir$libdir/libfluxcap.so.$abi" \
        "$destdir$libdir/libfluxcap.so.$version" "$destdir$libdir/libfluxcap.a" \
        "$destdir$includedir/fluxcap.h" "$destdir$pkgconfigdir/fluxcap.pc" "$debugfile"
    rmdir "$debugdir" 2>/dev/null || true
    refresh_cache
    exit
fi

mkdir -p "$destdir$libdir" "$destdir$includedir" "$destdir$pkgconfigdir"
shared=$destdir$libdir/libfluxcap.so.$version
install -m 755 "$1/libfluxcap.so" "$shared"
ln -sf "libfluxcap.so.$version" "$destdir$libdir/libfluxcap.so.$abi"
ln -sf "libfluxcap.so.$abi" "$destdir$libdir/libfluxcap.so"
install -m 644 "$1/libfluxcap.a" "$destdir$libdir/libfluxcap.a"
if [ "$debuginfo" = yes ]; then
    mkdir -p "$debugdir"
    "${OBJCOPY:-objcopy}" --only-keep-debug "$shared" "$debugfile"
    chmod 644 "$debugfile"
fi
if [ "$debuginfo" != keep ]; then
    "${STRIP:-strip}" --strip-unneeded "$shared"
fi
if [ "$debuginfo" = yes ]; then
    # Tells debuggers the name of the file, and its checksum.
    "${OBJCOPY:-objcopy}" --add-gnu-debuglink="$debugfile" "$shared"
fi
if [ "$debuginfo" = no ]; then
    "${STRIP:-strip}" --strip-unneeded --enable-deterministic-archives "$destdir$libdir/libfluxcap.a"
fi
install -m 644 "$top/include/fluxcap.h" "$destdir$includedir/fluxcap.h"

# Directories below the prefix are written as such: the tree may then be moved.
below_prefix() {
    case $1 in
    "$prefix"/*) printf '%s' "\${prefix}/${1#"$prefix"/}" ;;
    *) printf '%s' "$1" ;;
    esac
}
sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" \
    -e "s|@LIBDIR@|$(below_prefix "$libdir")|" \
    -e "s|@INCLUDEDIR@|$(below_prefix "$includedir")|" \
    "$top/pkgconfig/fluxcap.pc.in" >"$destdir$pkgconfigdir/fluxcap.pc"
chmod 644 "$destdir$pkgconfigdir/fluxcap.pc"
refresh_cache
