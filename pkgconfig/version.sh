# shellcheck shell=sh disable=SC2034,SC2154
# Read by the scripts beside it: the version, and that of the ABI, of the tree at $top.

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)
# Before 1.0 each minor version is an ABI of its own.
case $version in
0.*) abi=$(echo "$version" | cut -d. -f1,2) ;;
*) abi=$(echo "$version" | cut -d. -f1) ;;
esac
