# SPDX-License-Identifier: MIT
# Checks for examples.sh: what was sent, to whom, and how it is told.

check_bandwidth() {
    start 1 0
    curl -s --limit-rate 200k --max-time 3 -o "$folder/part" "$url" || true
    wait_for "the hook" has_lines 2
    like "a cut download" "$(sed -n 2p "$folder/out")" \
        '^GET / 200 client-(reset|closed): body ([0-9]+) of 26214400, wire [0-9]+, acked ([0-9]+)$'
    [ "${BASH_REMATCH[2]}" -lt 26214400 ] || fail "a cut download counts whole"
    [ "${BASH_REMATCH[3]}" -ge "$(stat -c %s "$folder/part")" ] || fail "less acknowledged than received"
    counted=$(curl -s -o /dev/null -w '%{size_header} %{size_download}' "$url")
    wait_for "the second hook" has_lines 3
    like "a whole download" "$(sed -n 3p "$folder/out")" \
        '^GET / 200 complete: body 26214400 of 26214400, wire ([0-9]+), acked [0-9]+$'
    same "bytes on the wire" "${BASH_REMATCH[1]}" "$((${counted% *} + ${counted#* }))"
    same "log lines beside the first" "$(grep -vc "starting up" "$folder/log" || true)" 0
    stop
}

check_billing() {
    local program="$folder/$kind/$name" served bills status=0
    : > "$folder/usage"
    start 1 serve 0 "$folder/usage"
    curl -s "${url}1000" > /dev/null
    curl -s -H 'X-Api-Key: anna' "${url}300000" "${url}5" > /dev/null
    curl -s -H 'X-Api-Key: b"ob' --limit-rate 100k --max-time 3 "${url}99000000" > /dev/null || true
    curl -s "${url}stop" > /dev/null
    wait_for "the server's last words" has_lines 2
    wait "$server" || status=$?
    server=
    same "exit status" "$status" 0
    served=$(sed -n 2p "$folder/out")
    bills=$("$program" bill "$folder/usage")
    like "what was served" "$served" '^served 5 requests, in [0-9]+, out [0-9]+$'
    same "the sum of the bills" "$(tail -n 1 <<< "$bills")" "total ${served#served }"
    like "anna's bill" "$bills" $'(^|\n)anna 2 [0-9]+ 300[0-9]{3}\n'
    like "bob's bill, for what he took" "$bills" $'(^|\n)b_ob 1 [0-9]+ [0-9]{5,8}\n'
    grep -qE '"client":"b_ob",.*"end":"client-(reset|closed)"' "$folder/usage" || fail "bob's end"
    same "today's bills" "$("$program" bill "$folder/usage" "$(date -u +%Y)")" "$bills"
    same "bills of 1999" "$("$program" bill "$folder/usage" 1999)" "total 0 requests, in 0, out 0"
}

check_metrics() {
    start 1 0
    same "an id of the client's own" "$(curl -s -H 'X-Request-ID: my-id' "$url")" my-id
    like "an id made by the server" "$(curl -s "$url")" '^[0-9a-f]{32}$'
    wait_for "the JSON line" logs '^{"time":"20.*"header_id":"my-id",.*"status_code":200,.*}$'
    wait_for "three ends" ended 3
    logs 'asks for' && fail "a debug line before /debug"
    curl -s "${url}debug" > /dev/null
    wait_for "the debug line" logs '^[0-9a-f]\{32\} asks for /debug$'
    stop
}
ended() {
    curl -s "${url}metrics" > "$folder/metrics"
    local ends
    ends=$(sed -n 's/^evy_requests_ended_total{end="complete"} //p' "$folder/metrics")
    [ "$ends" -ge "$1" ]
}
