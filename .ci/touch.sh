#!/bin/sh
# SPDX-License-Identifier: MIT
# touch.sh PRODUCT: `swift build` does not see that a header of a C module has changed. Where one is newer
# than what was built last, a source that imports it is.
set -eu
[ -e "$1" ] || exit 0
if [ -n "$(find Sources/C* Include -name '*.h' -newer "$1")" ]; then
    touch Sources/EvyCore/System/SystemCalls.swift
fi
