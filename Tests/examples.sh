#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds Examples/c against LIBRARY without a warning, and Examples/swift, runs each of them and checks what
# it answers: examples.sh LIBRARY. The twins of a name get the same checks.
set -euo pipefail
library=$(realpath "$1")
cd "$(dirname "$0")/.."
swift_build=${SWIFT_BUILD:-swift build -c release}
folder=$(mktemp -d)
server=
nginx=
trap '[ -z "$server$nginx" ] || kill $server $nginx 2>/dev/null || true; rm -rf "$folder"' EXIT

fail() {
    echo "Examples/$source:1: $*"
    [ ! -s "$folder/log" ] || sed 's/^/    /' "$folder/log"
    exit 1
}
same() { [ "$2" = "$3" ] || fail "$1: \"$2\" instead of \"$3\""; }
like() { [[ "$2" =~ $3 ]] || fail "$1: \"$2\" is not like $3"; }
# Waits for a condition for at most ten seconds: wait_for WHAT COMMAND...
wait_for() {
    local what=$1 _
    shift
    for _ in {1..100}; do
        "$@" && return
        sleep 0.1
    done
    fail "waited in vain for $what"
}
has_lines() { [ "$(wc -l < "$folder/out")" -ge "$1" ]; }
logs() { grep -q "$1" "$folder/log"; }
is_over() { ! kill -0 "$server" 2>/dev/null; }

# start LINES ARGUMENT...: the program with its first LINES of output in ${said[@]}
start() {
    local lines=$1
    shift
    # Emptied here, because the new process may be late, and appended to there.
    : > "$folder/out"
    : > "$folder/log"
    "$folder/$kind/$name" "$@" >> "$folder/out" 2>> "$folder/log" &
    server=$!
    wait_for "$lines lines" has_lines "$lines"
    mapfile -t said < "$folder/out"
    url=${said[0]}
}
stop() {
    is_over && fail "ended by itself"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

. Tests/nginx.sh

build() {
    local example
    mkdir "$folder/c" "$folder/swift"
    ln -s "$library" "$folder/libevy.so"
    ln -s "$library" "$folder/libevy.so.0"
    for example in Examples/c/*.c; do
        "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -IInclude "$example" -L"$folder" -levy \
            -Wl,-rpath,"$folder" -o "$folder/c/$(basename "$example" .c)"
    done
    for example in Examples/swift/*; do
        name=$(basename "$example")
        $swift_build --product "evy-$name-swift" > "$folder/build" 2>&1 || { cat "$folder/build"; exit 1; }
        ln -s "$($swift_build --show-bin-path)/evy-$name-swift" "$folder/swift/$name"
    done
}

check_hello() {
    [ "$(wc -l < "Examples/$source")" -le 40 ] || fail "more than 40 lines"
    start 1 0
    curl -si "$url" > "$folder/answer"
    # The head ends at the first empty line; the body is compared to the byte.
    tr -d '\r' < "$folder/answer" | sed '/^$/q' > "$folder/head"
    same "the body of /" "$(tail -c 15 "$folder/answer" | od -An -c | tr -d ' \n')" 'Hello,World!\r\n'
    like "the status of /" "$(head -n 1 "$folder/head")" '^HTTP/1\.1 200 OK$'
    grep -qx 'Content-Length: 15' "$folder/head" || fail "no Content-Length: 15"
    grep -qx 'Content-Type: text/plain' "$folder/head" || fail "no Content-Type: text/plain"
    local day='[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT'
    grep -qxE "Date: $day" "$folder/head" || fail "no valid Date"
    same "/nope" "$(curl -s -w '%{http_code}' "${url}nope" | od -An -c | tr -d ' \n')" 'NotFound\r\n404'
    local port=${url##*:}
    logs "^($server) wsgi starting up on http://0\.0\.0\.0:$port\$" || fail "no startup line"
    local line='^127\.0\.0\.1 - - \[[^]]+\] "GET / HTTP/1\.1" 200 [0-9]+ [0-9]+\.[0-9]{6}$'
    wait_for "the access line" logs "GET /nope"
    same "access lines of /" "$(grep -cE "$line" "$folder/log")" 1
    stop
}

check_bandwidth() {
    start 1 0
    curl -s --limit-rate 200k --max-time 1 -o "$folder/part" "$url" || true
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

make_pair() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "${2:-/CN=localhost}" \
        -days 2 -keyout "$folder/$1.key" -out "$folder/$1.crt" 2> /dev/null
}
speaks() {
    printf 'GET / HTTP/1.0\r\n\r\n' |
        timeout 10 openssl s_client -connect "${url:8:-1}" -quiet "$@" 2> /dev/null
}

check_tls() {
    local program="$folder/$kind/$name" status=0
    "$program" "$folder/one.crt" "$folder/two.key" 0 0 > "$folder/wrong" 2>&1 || status=$?
    same "exit status with a wrong pair" "$status" 1
    like "a wrong pair" "$(cat "$folder/wrong")" "two\.key does not match .*one\.crt"
    status=0
    "$program" "$folder/none.crt" "$folder/one.key" 0 0 > "$folder/wrong" 2>&1 || status=$?
    like "a missing file ($status)" "$(cat "$folder/wrong")" "none\.crt: No such file"

    start 2 "$folder/one.crt" "$folder/one.key" 0 0
    same "https" "$(curl -s --cacert "$folder/one.crt" "${url/127.0.0.1/localhost}")" "https on"
    same "http" "$(curl -s "${said[1]}")" "http -"
    like "TLS 1.2" "$(speaks -tls1_2)" 'https on'
    like "TLS 1.3" "$(speaks -tls1_3)" 'https on'
    same "TLS 1.1" "$(speaks -tls1_1 -cipher DEFAULT@SECLEVEL=0 || true)" ""
    local before after
    before=$(wc -l < "$folder/log")
    curl -s "http://${url#https://}" && fail "clear text was answered on the TLS port"
    after=$(wc -l < "$folder/log")
    same "log lines about clear text on the TLS port" "$((after - before))" 1
    same "https after it" "$(curl -sk "$url")" "https on"
    stop
}

# fingerprint [NAME]: of the certificate that a client is shown
fingerprint() {
    timeout 10 openssl s_client -connect "${url:8:-1}" ${1:+-servername "$1"} < /dev/null 2> /dev/null |
        openssl x509 -noout -fingerprint
}
fingerprint_of() { openssl x509 -noout -fingerprint -in "$folder/$1.crt"; }

check_tls_reload() {
    local held
    cp "$folder/one.crt" "$folder/live.crt"
    cp "$folder/one.key" "$folder/live.key"
    make_pair named "/CN=named.test"
    start 1 0 "$folder/live.crt" "$folder/live.key" "$folder/named.crt" "$folder/named.key"
    same "no name" "$(curl -sk "$url")" "you asked for no name"
    same "the default certificate" "$(fingerprint)" "$(fingerprint_of one)"
    same "the certificate by name" "$(fingerprint named.test)" "$(fingerprint_of named)"
    mkfifo "$folder/held"
    timeout 20 openssl s_client -connect "${url:8:-1}" -quiet \
        < "$folder/held" > "$folder/holder" 2> /dev/null &
    held=$!
    exec 9> "$folder/held"
    printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&9
    wait_for "the first answer" grep -q asked "$folder/holder"
    cp "$folder/two.crt" "$folder/live.crt"
    kill -HUP "$server"
    wait_for "the refusal" has_lines 2
    like "half a pair" "$(sed -n 2p "$folder/out")" \
        '^kept the old certificates: .*live\.key does not match .*live\.crt'
    same "the certificate after it" "$(fingerprint)" "$(fingerprint_of one)"
    cp "$folder/two.key" "$folder/live.key"
    kill -HUP "$server"
    wait_for "the reload" has_lines 3
    same "its words" "$(sed -n 3p "$folder/out")" "read the certificates again"
    same "the new certificate" "$(fingerprint)" "$(fingerprint_of two)"
    printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&9
    wait "$held" || true
    exec 9>&-
    same "answers on the open connection" "$(grep -c asked "$folder/holder")" 2
    stop
}

check_mtls() {
    make_pair authority "/CN=authority"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/O=Evy/CN=alice" \
        -CA "$folder/authority.crt" -CAkey "$folder/authority.key" -days 2 \
        -keyout "$folder/alice.key" -out "$folder/alice.crt" 2> /dev/null
    start 1 0 "$folder/one.crt" "$folder/one.key" "$folder/authority.crt"
    local status='%{http_code}'
    as() { curl -sk -w "$status" --cert "$folder/$1.crt" --key "$folder/$1.key" "$url" | tr '\n' ' '; }
    same "alice" "$(as alice)" "Hello, CN=alice,O=Evy 200"
    same "a stranger" "$(as two)" "your certificate: FAILED:self-signed certificate 403"
    same "nobody" "$(curl -sk -w "$status" "$url" | tr '\n' ' ')" "your certificate: NONE 403"
    stop
}

check_streaming() {
    start 1 0
    same "/count" "$(curl -s "${url}count?100000" | md5sum)" "$(seq 100000 | md5sum)"
    head -c 30000000 /dev/zero > "$folder/big"
    same "a sized upload" "$(curl -s -T "$folder/big" "${url}upload")" "30000000 bytes"
    same "a chunked upload" "$(curl -s -T - "${url}upload" < "$folder/big")" "30000000 bytes"
    same "another path" "$(curl -s -w '%{http_code}' "${url}other" | tail -n 1)" 404
    stop
}

check_files() {
    mkdir -p "$folder/served/deep"
    head -c 3000000 /dev/urandom > "$folder/served/deep/big"
    : > "$folder/served/empty"
    start 1 "$folder/served" 0
    same "a file" "$(curl -s "${url}deep/big" | md5sum)" "$(md5sum < "$folder/served/deep/big")"
    same "its length" "$(curl -sI "${url}deep/big" | tr -d '\r' | grep -i '^content-length')" \
        "Content-Length: 3000000"
    same "an empty file" "$(curl -s -w '%{http_code} %{size_download}' "${url}empty")" "200 0"
    local path
    for path in none deep deep/ ../log deep/../../log %2e%2e/log /etc/passwd a%00b; do
        same "$path" "$(curl -s --path-as-is -o /dev/null -w '%{http_code}' "$url$path")" \
            "$([ "$path" = a%00b ] && echo 400 || echo 404)"
    done
    stop
}

check_long_poll() {
    start 1 0 1
    same "nobody waits" "$(curl -s "${url}say?early")" "told 0"
    curl -s "${url}wait" > "$folder/first" &
    local first=$!
    curl -s "${url}wait" > "$folder/second" &
    local second=$!
    told() { [ "$(cat "$folder/first" "$folder/second")" = "hellohello" ] || {
        curl -s "${url}say?hello" > /dev/null
        false
    }; }
    wait_for "the news" told
    wait "$first" "$second"
    same "no news" "$(curl -s -w '%{http_code}' "${url}wait")" 204
    curl -s --max-time 0.2 "${url}wait" || true
    same "the others after one left" "$(curl -s "${url}say?late")" "told 0"
    stop
}

check_events() {
    start 1 0
    python3 - "$url" << 'END' > "$folder/report" || fail "$(cat "$folder/report")"
import socket, sys, time, urllib.request
url = sys.argv[1]
place = ("127.0.0.1", int(url.rstrip("/").rsplit(":", 1)[1]))
say = lambda word: urllib.request.urlopen(f"{url}say?{word}").read()
def until(client, word, got=b""):
    while word not in got:
        piece = client.recv(65536)
        assert piece, "the connection ended"
        got += piece
clients = []
for _ in range(1000):
    client = socket.create_connection(place, timeout=10)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    until(client, b": welcome")
    clients.append(client)
for word in (b"one", b"two", b"three"):
    assert say(word.decode()) == b"told 1000\n"
    for client in clients:
        until(client, b"data: %s\n\n" % word)
for client in clients[:400]:
    client.close()
deadline = time.monotonic() + 10
while say("again") != b"told 600\n":
    assert time.monotonic() < deadline, "those that left are still told"
until(clients[999], b"data: again")
END
    stop
}

has_active() { [ "$(curl -s "${url}active")" -ge "$1" ]; }
check_async() {
    start 1
    same "a task's answer" "$(curl -s "$url")" "Hello, task!"
    head -c 5000000 /dev/urandom > "$folder/up"
    curl -s --data-binary "@$folder/up" -o "$folder/down" "${url}echo"
    cmp -s "$folder/up" "$folder/down" || fail "the echo differs"
    same "a slow reader's bytes" "$(curl -s --limit-rate 100M "${url}big" | wc -c)" 67108864
    # More of them at once than threads: nobody waits for another.
    local begin=$SECONDS asked=()
    for _ in {1..100}; do asked+=("${url}wait"); done
    same "a hundred waits" "$(curl -sZ --parallel-max 100 "${asked[@]}" | grep -c '^waited$')" 100
    [ $((SECONDS - begin)) -le 15 ] || fail "a hundred waits of a second took $((SECONDS - begin)) s"
    curl -s --max-time 0.5 "${url}forever" > /dev/null || true
    wait_for "the cancellation" has_lines 2
    same "why" "$(sed -n 2p "$folder/out")" "cancelled: the client has gone"
    curl -s "${url}wait" > "$folder/last" &
    local last=$!; wait_for "that request" has_active 2
    curl -s "${url}stop" > /dev/null
    wait_for "the program's end" is_over
    wait "$last" && same "a request under way at the stop" "$(cat "$folder/last")" waited
    same "its last words" "$(tail -n 1 "$folder/out")" stopped
    server=
}

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
    curl -s "${said[1]}stop" > /dev/null
    wait_for "the program's end" is_over
    status=0
    wait "$server" || status=$?
    server=
    same "exit status" "$status: $(tail -n 1 "$folder/out")" "0: $(tail -n 1 "$folder/out")"
    like "the longest tick" "$(sed -n 5p "$folder/out")" '^longest tick: ([0-9]+) ms$'
    [ "${BASH_REMATCH[1]}" -le 150 ] || fail "a tick came after ${BASH_REMATCH[1]} ms"
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
        port=$(python3 -c 'from socket import *; s = create_server(("", 0)); print(s.getsockname()[1])')
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

check_billing() {
    local program="$folder/$kind/$name" served bills status=0
    : > "$folder/usage"
    start 1 serve 0 "$folder/usage"
    curl -s "${url}1000" > /dev/null
    curl -s -H 'X-Api-Key: anna' "${url}300000" "${url}5" > /dev/null
    curl -s -H 'X-Api-Key: b"ob' --limit-rate 100k --max-time 1 "${url}99000000" > /dev/null || true
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

build
make_pair one
make_pair two
for kind in c swift; do
    for program in "$folder/$kind"/*; do
        name=$(basename "$program")
        source=c/$name.c
        [ "$kind" = c ] || source=swift/$name/main.swift
        : > "$folder/log"
        "check_$name"
        echo "$source: ok"
    done
done
