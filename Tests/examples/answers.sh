# SPDX-License-Identifier: MIT
# Checks for examples.sh: answers, bodies and files.

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
