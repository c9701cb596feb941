# SPDX-License-Identifier: MIT
# slow - the classes of clients that take their time: how each begins, and how it goes on.

from crowd import HELLO, Pipe, raw_socket

UPLOAD = b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
DOWNLOAD = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
ENDLESS_HEAD = b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 4000


def idle(watch, server, count, tls=False, name="idle, kept alive"):
    """One request is answered; then nothing."""
    crowd = watch.crowd(name + (" TLS" if tls else ""))
    for at in range(count):
        sock = raw_socket(server.ports[1 if tls else 0])
        if tls:
            pipe = Pipe(sock).handshake().request(HELLO)
            assert b"Hello" in pipe.read()
            crowd.join(sock)
            watch.turn(0)
        else:
            crowd.join(sock).send(HELLO)
        if at % 100 == 99 or at == count - 1:
            fresh = crowd.members[at // 100 * 100 :]
            watch.until(lambda: tls or all(m.received for m in fresh), "answers")
    for member in crowd.members:
        assert tls or member.data.startswith(b"HTTP/1.1 200 OK\r\n"), member.data
    return crowd


def silent(watch, server, count):
    """Connected, and not a word."""
    crowd = watch.crowd("silent from the start")
    for _ in range(count):
        crowd.join(raw_socket(server.ports[0]))
        watch.turn(0)
    return crowd


def slow_head(watch, server, count, pause):
    """One byte of a head after every pause: none of them renews its time."""
    crowd = watch.crowd("slow head")
    for _ in range(count):
        crowd.join(raw_socket(server.ports[0])).send(ENDLESS_HEAD[:1])
        watch.turn(0)
    watch.drip(crowd, ENDLESS_HEAD[1:], pause)
    return crowd


def slow_body(watch, server, count, pause):
    """The same with a body: less than body_min_rate."""
    crowd = watch.crowd("slow body")
    for _ in range(count):
        crowd.join(raw_socket(server.ports[0])).send(UPLOAD)
        watch.turn(0)
    watch.drip(crowd, b"b" * 10000, pause)
    return crowd


def stalled_handshake(watch, server, count, pause):
    """Half of them silent, half of them with a dripping hello that never ends."""
    crowd = watch.crowd("stalled handshake")
    dripping = watch.crowd("dripping handshake")
    for at in range(count):
        (dripping if at % 2 else crowd).join(raw_socket(server.ports[1]))
        watch.turn(0)
    watch.drip(dripping, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), pause)
    return crowd, dripping


def half_open_handshake(watch, server, count):
    """The server has sent its part, and waits for the client's Finished."""
    crowd = watch.crowd("half-open handshake")
    for _ in range(count):
        sock = raw_socket(server.ports[1])
        pipe = Pipe(sock)
        try:
            pipe.tls.do_handshake()
        except Exception:  # it wants to read, as it shall
            pipe.flush()
        crowd.join(sock)
        watch.turn(0)
    watch.until(lambda: all(member.received > 500 for member in crowd.members), "the server's flight")
    return crowd


def not_reading(watch, server, count, target=b"fixed?n=4000000", tls=False, name="not reading"):
    """A window of next to nothing that never opens."""
    crowd = watch.crowd(name + (" TLS" if tls else ""), reads=False)
    for _ in range(count):
        sock = raw_socket(server.ports[1 if tls else 0], rcvbuf=4096)
        if tls:
            Pipe(sock).handshake().request(DOWNLOAD % target)
        else:
            sock.sendall(DOWNLOAD % target)
        crowd.join(sock)
        watch.turn(0)
    return crowd
