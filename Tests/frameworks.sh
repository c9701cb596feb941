#!/bin/sh
# SPDX-License-Identifier: MIT
# Applications of Flask, Django, Falcon, Bottle and Werkzeug under evy.web.wsgi: frameworks.sh [ARGUMENT...]
# once with the bridge and once through ctypes. The frameworks are installed from PyPI into .build-frameworks,
# unless the Python has them.
set -eu
cd "$(dirname "$0")/.."
for bridge in cpython ctypes; do
    EVY_BRIDGE=$bridge Tests/pytest.sh bindings/python/tests/frameworks "$@"
done
