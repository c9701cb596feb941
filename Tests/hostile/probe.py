# SPDX-License-Identifier: MIT
# probe - a normal client: asks until its standard input closes, then prints every latency as JSON.
#   probe.py PORT plain|tls

import json
import select
import socket
import ssl
import sys
import time

REQUEST = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
PAUSE_SECONDS = 0.005
PATIENCE = 60
COUNT_MIN = 20  # however short what is watched is


def context():
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


def connect(port, tls):
    raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(raw) if tls else raw


def ask(connection):
    connection.sendall(REQUEST)
    data = b""
    while not data.endswith(b"Hello, World!\r\n"):
        piece = connection.recv(4096)
        assert piece, data
        data += piece
    assert data.startswith(b"HTTP/1.1 200 OK\r\n"), data


def main():
    port, tls = int(sys.argv[1]), context() if sys.argv[2] == "tls" else None
    kept = connect(port, tls)
    ask(kept)
    print("ready", flush=True)
    times = []
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0] or len(times) < COUNT_MIN:
        start = time.perf_counter()
        if len(times) % 10 == 9:
            fresh = connect(port, tls)
            ask(fresh)
            times.append(time.perf_counter() - start)
            fresh.close()
        else:
            ask(kept)
            times.append(time.perf_counter() - start)
    print(json.dumps(times))


main()
