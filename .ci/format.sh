#!/bin/sh
# SPDX-License-Identifier: MIT
# Swift sources are as `swift format` would leave them (`make format` does it).
set -eu
cd "$(dirname "$0")/.."
swift format lint --strict --parallel --recursive Package.swift Sources Tests Examples
