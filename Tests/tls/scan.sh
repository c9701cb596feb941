#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets testssl.sh and sslyze loose on Examples/c/tls.c with certificates of a private authority, one with an
# ECDSA key and one with an RSA key; fails on every finding that does not come from the certificate (judge.py
# names those). `make tls-scan` prepares it. EVY_LIB_DIR: folder of libevy.so, default .build/release. What
# the scanners said stays in .build/tls-scan.
set -eu
cd "$(dirname "$0")/../.."
library=$(realpath "${EVY_LIB_DIR:-.build/release}")
venv=.build/venv-tls-scan
[ -x "$venv/bin/sslyze" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q sslyze; }

# issue NAME SUBJECT DAYS [ARGUMENT...]: NAME.crt and NAME.key
issue() {
    name=$1 subject=$2 days=$3
    shift 3
    # shellcheck disable=SC2086
    openssl req -x509 -newkey $key -nodes -subj "$subject" -days "$days" \
        -keyout "$out/$name.key" -out "$out/$name.crt" "$@" 2> "$out/openssl.log" ||
        { cat "$out/openssl.log"; exit 1; }
}

issue_all() {
    issue root "/O=evy scan/CN=evy scan root" 400 -addext keyUsage=critical,keyCertSign,cRLSign
    issue issuing "/O=evy scan/CN=evy scan issuing" 300 -CA "$out/root.crt" -CAkey "$out/root.key" \
        -addext basicConstraints=critical,CA:true,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
    issue leaf "/CN=localhost" 90 -CA "$out/issuing.crt" -CAkey "$out/issuing.key" \
        -addext basicConstraints=critical,CA:false -addext keyUsage=critical,digitalSignature \
        -addext extendedKeyUsage=serverAuth -addext subjectAltName=DNS:localhost,IP:127.0.0.1
    cat "$out/leaf.crt" "$out/issuing.crt" > "$out/chain.pem"
}

server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true' EXIT

start() {
    ${CC:-cc} -O1 -Wall -IInclude Examples/c/tls.c -L"$library" -levy -Wl,-rpath,"$library" -o "$out/server"
    "$out/server" "$out/chain.pem" "$out/leaf.key" 0 0 > "$out/urls" 2> "$out/server.log" &
    server=$!
    until grep -q https "$out/urls"; do kill -0 "$server" || { cat "$out/server.log"; exit 1; }; done
    port=$(sed -n 's|^https://127.0.0.1:\([0-9]*\)/$|\1|p' "$out/urls")
}

scan() {
    echo "$1: sslyze against 127.0.0.1:$port ..."
    status=0
    "$venv/bin/sslyze" --json_out "$out/sslyze.json" --certinfo_ca_file "$out/root.crt" --sni localhost \
        --mozilla_config intermediate --certinfo --sslv2 --sslv3 --tlsv1 --tlsv1_1 --tlsv1_2 --tlsv1_3 \
        --reneg --resum --compression --early_data --fallback --ems --elliptic_curves --heartbleed \
        --openssl_ccs --robot \
        "127.0.0.1:$port" > "$out/sslyze.txt" 2>&1 || status=$?
    grep -q "COMPLIANCE" "$out/sslyze.txt" || { cat "$out/sslyze.txt"; exit 1; }

    echo "$1: testssl.sh against localhost:$port, about 80 s ..."
    # Everything but the headers of the application and the list of simulated clients.
    testssl --quiet --color 0 --warnings batch --nodns none --ip 127.0.0.1 \
        --add-ca "$out/root.crt" --jsonfile "$out/testssl.json" -p -g -s -f -P -S -U "localhost:$port" \
        > "$out/testssl.txt" 2>&1 || true
    python3 Tests/tls/judge.py "$out/testssl.json" "$out/sslyze.json" "$status"
}

rm -rf .build/tls-scan
for kind in ECDSA RSA; do
    out=.build/tls-scan/$kind
    mkdir -p "$out"
    key="ec -pkeyopt ec_paramgen_curve:prime256v1"
    [ "$kind" = ECDSA ] || key=rsa:2048
    issue_all
    start
    scan "$kind"
    [ "$kind" = RSA ] || python3 Tests/tls/cost.py "$out/server" "$out/chain.pem" "$out/leaf.key"
    kill "$server"
    wait "$server" 2> /dev/null || true
    server=
done
