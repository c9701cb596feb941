#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the stress program and two certificates for it: build.sh FOLDER
# EVY_LIB_DIR, EVY_CFLAGS and CC as in Tests/sanitize.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lib=${EVY_LIB_DIR:-$here/../../.build/release}
lib=$(cd "$lib" && pwd)
# shellcheck disable=SC2086
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O1 -g ${EVY_CFLAGS:-} -I "$here/../../Include" "$here"/*.c \
    -o "$1/stress" -L "$lib" "-Wl,-rpath,$lib" -levy -lssl -lcrypto -lpthread
for number in 0 1; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj /CN=stress.example \
        -addext subjectAltName=DNS:stress.example -keyout "$1/$number.key" -out "$1/$number.crt" 2>/dev/null
done
