#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything at once against the library: run.sh SECONDS [CLIENTS [REQUESTS]]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(dirname "$0")/build.sh" "$folder"
"$folder/stress" "$folder" "$1" "${2:-24}" ${3:+"$3"}
