#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything at once against the library: run.sh SECONDS [CLIENTS [REQUESTS]]
# With REQUESTS memory is measured: in one arena, for how the C library spreads what is freed and asked for
# again over several is a matter of chance; and without its caches for each thread, which fill for millions of
# requests, to some 6 MB here.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/build.sh" "$folder"
[ -z "${3:-}" ] || export MALLOC_ARENA_MAX=1 GLIBC_TUNABLES=glibc.malloc.tcache_count=0
"$folder/stress" "$folder" "$1" "${2:-24}" ${3:+"$3"}
