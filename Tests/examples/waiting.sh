# SPDX-License-Identifier: MIT
# Checks for examples.sh: answers that come later than their handler returns.

check_long_poll() {
    start 1 0 4
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
def say_until(told, word):
    deadline = time.monotonic() + 20
    while (last := say(word)) != b"told %d\n" % told:
        assert time.monotonic() < deadline, f"{last} where {told} should listen"
for client in clients[:997]:
    client.close()
say_until(3, "again")
until(clients[999], b"data: again")
# Those that never read again do not fill the server's memory: they are cut.
say_until(0, "x" * 7000)
END
    stop
}

# One that lasts a second; it is asked for again where the second has passed unseen.
is_under_way() {
    kill -0 "$last" 2> /dev/null || { curl -s "${url}wait" > "$folder/last" & last=$!; }
    has_active 2
}
has_active() { [ "$(curl -s "${url}active")" -ge "$1" ]; }
check_async() {
    start 1 0
    same "a task's answer" "$(curl -s "$url")" "Hello, task!"
    head -c 5000000 /dev/urandom > "$folder/up"
    curl -s --data-binary "@$folder/up" -o "$folder/down" "${url}echo"
    cmp -s "$folder/up" "$folder/down" || fail "the echo differs"
    same "a slow reader's bytes" "$(curl -s --limit-rate 100M "${url}big" | wc -c)" 67108864
    # More of them at once than threads: nobody waits for another, or it would take two minutes.
    local begin=$SECONDS asked=()
    for _ in {1..100}; do asked+=("${url}wait"); done
    same "a hundred waits" \
        "$(curl -sZ --parallel-max 100 "${asked[@]}" 2> /dev/null | grep -c '^waited$')" 100
    [ $((SECONDS - begin)) -le 30 ] || fail "a hundred waits of a second took $((SECONDS - begin)) s"
    curl -s --max-time 3 "${url}forever" > /dev/null || true
    wait_for "the cancellation" has_lines 2
    same "why" "$(sed -n 2p "$folder/out")" "cancelled: the client has gone"
    curl -s "${url}wait" > "$folder/last" &
    local last=$!
    wait_for "a request under way" is_under_way
    curl -s "${url}stop" > /dev/null
    wait_for "the program's end" is_over
    wait "$last" && same "a request under way at the stop" "$(cat "$folder/last")" waited
    same "its last words" "$(tail -n 1 "$folder/out")" stopped
    server=
}

counts() { [ "$(curl -s "$url")" = "$1" ]; }
printed() { grep -qx "$1" "$folder/out"; }
check_workers() {
    local status='%{http_code}' asked=() i
    start 1 0 2 3
    same "a short work" "$(curl -s "${url}work/20")" "worked for 20 ms"
    ask() { timeout 30 curl -s "${url}work/$1" -o "$folder/answer$2" & asked+=($!); }
    # Two at work and three in the queue, then none more.
    ask 60000 0; ask 60000 1
    wait_for "both workers" counts "0 queued, 2 worked on"
    ask 500 2; ask 500 3; ask 500 4
    wait_for "a full queue" counts "3 queued, 2 worked on"
    same "a sixth" "$(curl -s -w "$status" "${url}work/1" | tr '\n' ' ')" "too busy 503"
    like "when to come again" "$(curl -si "${url}work/1")" $'\nRetry-After: 1\r'
    # Who leaves the queue makes room in it, and who leaves a worker makes that free.
    kill "${asked[4]}"
    wait_for "the room" counts "2 queued, 2 worked on"
    wait_for "its words" printed "dropped a request nobody waits for"
    kill "${asked[0]}"
    wait_for "the end of that work" printed "gave up work nobody waits for"
    wait "${asked[2]}" "${asked[3]}"
    same "those who waited" "$(cat "$folder/answer2" "$folder/answer3" | sort | uniq -c | tr -s ' ')" \
        " 2 worked for 500 ms"
    # The end: what is queued and worked on is still answered.
    kill "${asked[1]}"
    wait_for "free workers" counts "0 queued, 0 worked on"
    for i in 5 6 7 8; do ask 4000 "$i"; done
    wait_for "work at the end" counts "2 queued, 2 worked on"
    kill "$server"
    wait "${asked[@]:5}"
    same "answers at the end" "$(cat "$folder"/answer[5-8] | grep -c '^worked for 4000 ms$')" 4
    wait "$server" || fail "exit status $?"
    server=
    same "its last words" "$(tail -n 1 "$folder/out")" "ended after 9 jobs"
}
