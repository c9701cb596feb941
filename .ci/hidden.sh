#!/bin/sh
# SPDX-License-Identifier: MIT
# LIBRARY serves a C program on a machine without Swift: no environment, the toolchain out of sight.
set -eu
library=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/evy"
cp "$library" "$folder/evy/libevy.so"
ln -s libevy.so "$folder/evy/libevy.so.0"
"${CC:-cc}" -Wall -Wextra -Werror -IInclude Tests/install/consumer.c "$folder/evy/libevy.so" \
    -Wl,-rpath,"$folder/evy" -o "$folder/evy/consumer"
env -i LD_LIBRARY_PATH= ldd "$folder/evy/consumer" > "$folder/ldd"
toolchain=$(dirname "$(dirname "$(realpath "$(command -v swiftc)")")")
if grep -nE "not found|swift|$toolchain" "$folder/ldd"; then
    echo "$1:1: depends on the Swift toolchain"
    exit 1
fi
env -i LD_LIBRARY_PATH= "$folder/evy/consumer"

# A root folder that holds nothing but the program and the libraries of ldd: there Swift does not exist.
[ "$(id -u)" = 0 ] || exit 0
for path in $(grep -o '/[^ ]*' "$folder/ldd"); do
    mkdir -p "$folder/root$(dirname "$path")"
    cp -L "$path" "$folder/root$path"
done
cp "$folder/evy/consumer" "$folder/root$folder/evy/"
PATH=$PATH:/usr/sbin chroot "$folder/root" "$folder/evy/consumer"
