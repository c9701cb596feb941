#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything at once against the library: run.sh SECONDS [CLIENTS [REQUESTS]]
# With REQUESTS memory is measured: in one arena, for how the C library spreads what is freed and asked for
# again over several is a matter of chance.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/build.sh" "$folder"
[ -z "${3:-}" ] || export MALLOC_ARENA_MAX=1
"$folder/stress" "$folder" "$1" "${2:-24}" ${3:+"$3"}
