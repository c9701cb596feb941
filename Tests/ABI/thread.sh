#!/bin/sh
# SPDX-License-Identifier: MIT
# Every function of evy.h from several threads at once, under ThreadSanitizer: thread.sh SECONDS [SEED]
# CC, EVY_CFLAGS and EVY_LIB_DIR as Tests/sanitize.sh sets them.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2086 # flags are words
"$CC" -std=gnu11 -Wall -Wextra -Werror -O1 -g $EVY_CFLAGS -I ../../Include \
    fuzz.c fuzz_world.c fuzz_client.c fuzz_object.c fuzz_server.c fuzz_request.c abi.c \
    -o "$folder/fuzz" -L "$EVY_LIB_DIR" -Wl,-rpath,"$EVY_LIB_DIR" -levy -lpthread
python3 checklist.py ../../Include/evy.h "$folder/fuzz"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=a.org -days 30 -nodes \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>"$folder/openssl.log"
seq 1 3000 >"$folder/plain.txt"
"$folder/fuzz" "$1" "${2:-1}" 300 "$folder/cert.pem" "$folder/key.pem" "$folder/plain.txt"
