#!/bin/sh
# SPDX-License-Identifier: MIT
# The Swift tests: unit.sh [ARGUMENT OF swift test...]
# Those of handlers that are tasks run by themselves: others block the few threads that tasks have.
set -eu
cd "$(dirname "$0")/.."
swift test --disable-xctest --skip AsyncTests "$@"
exec swift test --disable-xctest --skip-build --filter AsyncTests "$@"
