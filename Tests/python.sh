#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of the Python package over one bridge to the library: python.sh BRIDGE [ARGUMENT...]
# BRIDGE is cpython, ctypes or auto, as in EVY_BRIDGE. The command line is tested with
# the first alone: it does not care. Frameworks have a stage of their own.
set -eu
cd "$(dirname "$0")/.."
export EVY_BRIDGE="$1"
shift
[ "$EVY_BRIDGE" = cpython ] || set -- "--ignore-glob=*/test_cli_*" "$@"
exec Tests/pytest.sh bindings/python/tests --ignore=bindings/python/tests/frameworks "$@"
