#!/bin/sh
# SPDX-License-Identifier: MIT
# Every program in Examples/c builds without a warning against LIBRARY; hello answers as it says.
set -eu
library=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
ln -s "$library" "$folder/libevy.so"
ln -s "$library" "$folder/libevy.so.0"
for example in Examples/c/*.c; do
    "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -IInclude "$example" -L"$folder" -levy \
        -Wl,-rpath,"$folder" -o "$folder/$(basename "$example" .c)"
done
[ "$(wc -l < Examples/c/hello.c)" -le 40 ] || { echo "Examples/c/hello.c:41: more than 40 lines"; exit 1; }

"$folder/hello" 0 > "$folder/url" 2> "$folder/log" &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s "$folder/url" ] && break
    sleep 0.2
done
url=$(cat "$folder/url")
said=$(curl -s -w '%{http_code} %{content_type}' "$url" | tr '\r\n' '..')
[ "$said" = "Hello, World!..200 text/plain" ] || { echo "Examples/c/hello.c:1: / said: $said"; exit 1; }
said=$(curl -s -w '%{http_code}' "${url}nope" | tr '\r\n' '..')
[ "$said" = "Not Found..404" ] || { echo "Examples/c/hello.c:1: /nope said: $said"; exit 1; }
