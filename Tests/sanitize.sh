#!/bin/sh
# SPDX-License-Identifier: MIT
# The Swift tests and the behaviour tests under AddressSanitizer (leaks count) or ThreadSanitizer:
# sanitize.sh address|thread
set -eu
cd "$(dirname "$0")/.."
scratch=.build-$1
TSAN_OPTIONS="suppressions=$PWD/Tests/thread.supp"
EVY_TIME_FACTOR=2
export TSAN_OPTIONS EVY_TIME_FACTOR
Tests/unit.sh --sanitize="$1" --scratch-path "$scratch"

swift build --product evy --sanitize="$1" --scratch-path "$scratch"
EVY_LIB_DIR=$PWD/$scratch/debug
ln -sf libevy.so "$EVY_LIB_DIR/libevy.so.0"
# The C programs need the sanitizer of Swift's own clang; that for threads asks for libdispatch.
CC=$(dirname "$(readlink -f "$(command -v swift)")")/clang
runtime=$(dirname "$CC")/../lib/swift/linux
EVY_CFLAGS="-fsanitize=$1"
if [ "$1" = thread ]; then
    EVY_CFLAGS="$EVY_CFLAGS -L$runtime -Wl,-rpath,$runtime -Wl,--no-as-needed -ldispatch -lBlocksRuntime"
fi
export CC EVY_LIB_DIR EVY_CFLAGS
Tests/Stress/run.sh 5 8
[ "$1" != thread ] || Tests/ABI/thread.sh 20
exec Tests/pytest.sh Tests/behaviour -n 3
