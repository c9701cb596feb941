# SPDX-License-Identifier: MIT
# Checks for examples.sh: a server inside a program, and behind nginx.

check_embedded() {
    start 2
    curl -s "${said[0]}?[1-200]" | tail -n 1 > "$folder/first" &
    local first=$!
    same "the second server" "$(curl -s "${said[1]}?[1-200]" | tail -n 1)" "second 200"
    wait "$first"
    same "the first server" "$(cat "$folder/first")" "first 200"
    curl -s "${said[0]}stop" > /dev/null
    wait_for "the first server's end" has_lines 3
    same "its last words" "$(sed -n 3p "$folder/out")" "first stopped after 201 requests"
    local status=0
    curl -s "${said[0]}" || status=$?
    same "curl's status on a stopped server (7: refused)" "$status" 7
    same "the second server then" "$(curl -s "${said[1]}")" "second 201"
    # For how long the thread that ticks was ready and got no processor, in milliseconds.
    local queued
    queued=$(awk '{ print int($2 / 1000000) }' "/proc/$server/schedstat")
    curl -s "${said[1]}stop" > /dev/null
    wait_for "the program's end" is_over
    status=0
    wait "$server" || status=$?
    server=
    same "exit status" "$status: $(tail -n 1 "$folder/out")" "0: $(tail -n 1 "$folder/out")"
    like "the longest tick" "$(sed -n 5p "$folder/out")" '^longest tick: ([0-9]+) ms$'
    [ "${BASH_REMATCH[1]}" -le $((150 + queued)) ] || fail "a tick came after ${BASH_REMATCH[1]} ms"
}

check_unix() {
    start 1 "unix:$folder/evy.sock?mode=660"
    same "the address" "$url" "unix:$folder/evy.sock"
    same "the mode" "$(stat -c %a "$folder/evy.sock")" 660
    local ask=(curl -s --unix-socket "$folder/evy.sock" http://a.example/) port
    same "a proxy without a word" "$("${ask[@]}")" "unix by http at a.example"
    same "a proxy's word" "$("${ask[@]}" -H 'X-Forwarded-For: 203.0.113.9, 192.0.2.1' \
        -H 'X-Forwarded-Proto: https')" "192.0.2.1 by https at a.example"
    if command -v nginx > /dev/null; then
        port=$(PYTHONPATH=Tests/behaviour python3 -c 'import client; print(client.free_port())')
        start_nginx "$port"
        same "behind nginx" "$(curl -s -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-Proto: https' \
            "http://127.0.0.1:$port/")" "127.0.0.1 by http at 127.0.0.1:$port"
        kill "$nginx"
        wait "$nginx" 2> /dev/null || true
        nginx=
    fi
    stop
    rm "$folder/evy.sock"
}

check_lent() {
    start 1 0 3
    # Each thread counts its own requests, with nothing to lock: the sum of their last counts is all of them.
    local answers sum='{ last[$2] = $NF } END { for (thread in last) n += last[thread]; print n }'
    answers=$(curl -sZ --parallel-max 8 "${url}?[1-200]" 2> /dev/null)
    same "requests" "$(sort -V <<< "$answers" | awk "$sum")" 200
    same "other threads" "$(grep -vcE '^thread [123], its request [0-9]+$' <<< "$answers" || true)" 0
    stop
}
