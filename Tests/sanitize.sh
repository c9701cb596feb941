#!/bin/sh
# SPDX-License-Identifier: MIT
# The Swift tests under AddressSanitizer (leaks count) or ThreadSanitizer: sanitize.sh address|thread
set -eu
cd "$(dirname "$0")/.."
swift test --disable-xctest --sanitize="$1" --scratch-path ".build-$1"
