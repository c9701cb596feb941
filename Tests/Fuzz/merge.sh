#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes Tests/Fuzz/corpus anew out of what the last runs found: the smallest set of inputs that reaches all.
# merge.sh [TARGET...], after run.sh of the same targets
set -euo pipefail
cd "$(dirname "$0")/../.."
directory=${FUZZ_DIRECTORY:-.build/fuzz}
if [ $# -eq 0 ]; then
    set -- HeadParserFuzz BodyFuzz ProxyFuzz ResponseFuzz AccessFuzz OptionFuzz TextFuzz ConversationFuzz
fi
export SWIFT_BACKTRACE=enable=no
for target in "$@"; do
    rm -rf "$directory/merged"
    mkdir -p "$directory/merged"
    "$directory/$target.fuzz" -set_cover_merge=1 -max_len=256 "$directory/merged" \
        "$directory/corpus/$target" > "$directory/$target.merge.log" 2>&1
    python3 Tests/Fuzz/pack.py pack "$directory/merged" "Tests/Fuzz/corpus/$target.txt"
    wc -lc "Tests/Fuzz/corpus/$target.txt"
done
