# SPDX-License-Identifier: MIT
# Checks for examples.sh: certificates of servers and clients.

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
    local before
    before=$(wc -l < "$folder/log")
    curl -s "http://${url#https://}" && fail "clear text was answered on the TLS port"
    wait_for "a log line about it" has_logged $((before + 1))
    same "https after it" "$(curl -sk "$url")" "https on"
    same "log lines about clear text on the TLS port" "$(($(wc -l < "$folder/log") - before))" 1
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
    rm -f "$folder/held"
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
