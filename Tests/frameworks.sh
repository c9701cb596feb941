#!/bin/sh
# SPDX-License-Identifier: MIT
# Applications of Flask, Django, Falcon, Bottle and Werkzeug under evy.web.wsgi: frameworks.sh [ARGUMENT...]
# The frameworks are installed from PyPI into .build-frameworks, unless the Python has them.
set -eu
cd "$(dirname "$0")/.."
exec Tests/pytest.sh bindings/python/tests/frameworks "$@"
