# SPDX-License-Identifier: MIT
# client - a strict HTTP/1.1 client over plain or TLS sockets; it forgives a server nothing.

import contextlib
import fcntl
import json
import os
import random
import re
import socket
import ssl
import struct
import termios
import time

FACTOR = float(os.environ.get("EVY_TIME_FACTOR", "1"))
PATIENCE = 10 * FACTOR


def wait_until(condition, what, patience=None):
    """The first true result of condition(), or a failure that says what was waited for.

    what: a text, or a function that makes it when the wait was in vain.
    """
    deadline = time.monotonic() + (patience or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited in vain for {what() if callable(what) else what}"
        time.sleep(0.005)


def free_port():
    """One that nobody is given unasked, so that it is free still when it is wanted."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as given:
        first = int(given.read().split()[0])
    while True:
        port = random.randrange(1024, first) if first > 2048 else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return probe.getsockname()[1]


def pattern(count, offset=0):
    """The bytes the server generates: byte i is i % 251."""
    turn = bytes(range(251))
    start = offset % 251
    return (turn * (count // 251 + 2))[start : start + count]


class Reset(Exception):
    """The connection was reset."""


class Closed(Exception):
    """The connection ended inside a message, or before one."""


class Response:
    """One response, parsed without any tolerance."""

    def __init__(self, version, status, reason, fields):
        self.version, self.status, self.reason, self.fields = version, status, reason, fields
        self.body = b""
        self.framing = None
        self.byte_count = 0

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def closes(self):
        return (self["Connection"] or "").lower() == "close"

    def json(self):
        assert self.status == 200, (self.status, self.reason, self.body)
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.version} {self.status} {self.reason} {self.fields} {self.body[:80]!r}>"


STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) (\d{3}) ([^\r\n\0]*)\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\r\n\0]*)\Z")


class Reader:
    """Reads responses from a function that gives the next bytes, b"" at the end."""

    def __init__(self, fill):
        self.fill, self.buffer, self.taken = fill, b"", 0

    def more(self):
        piece = self.fill()
        if not piece:
            raise Closed(self.buffer)
        self.buffer += piece

    def take(self, count):
        pieces, have = [self.buffer[:count]], min(len(self.buffer), count)
        self.buffer = self.buffer[count:]
        while have < count:
            piece = self.fill()
            if not piece:
                raise Closed(b"".join(pieces))
            pieces.append(piece[: count - have])
            have += len(pieces[-1])
            self.buffer = piece[len(pieces[-1]) :]
        self.taken += count
        return b"".join(pieces)

    def line(self):
        while b"\n" not in self.buffer:
            assert len(self.buffer) < 100_000, "a line without end"
            self.more()
        line = self.take(self.buffer.index(b"\n") + 1)
        assert line.endswith(b"\r\n") and b"\r" not in line[:-2], f"bad line end: {line!r}"
        return line[:-2]

    def chunked(self):
        body = []
        while True:
            size = self.line()
            assert re.fullmatch(rb"[0-9a-fA-F]+", size), f"bad chunk size {size!r}"
            count = int(size, 16)
            if count == 0:
                assert self.line() == b"", "trailers nobody sent"
                return b"".join(body)
            body.append(self.take(count))
            assert self.take(2) == b"\r\n", "chunk data without line end"

    def until_close(self):
        pieces = [self.buffer]
        self.buffer = b""
        while True:
            piece = self.fill()
            if not piece:
                body = b"".join(pieces)
                self.taken += len(body)
                return body
            pieces.append(piece)

    def response(self, method="GET"):
        start = self.taken
        status = STATUS_LINE.match(self.line())
        assert status, "bad status line"
        fields = []
        while line := self.line():
            field = FIELD_LINE.match(line)
            assert field, f"bad field line {line!r}"
            fields.append((field[1].decode(), field[2].decode("latin-1")))
        found = Response(status[1].decode(), int(status[2]), status[3].decode("latin-1"), fields)
        length, coding = found["Content-Length"], found["Transfer-Encoding"]
        assert not (length is not None and coding is not None), "both framings"
        if method == "HEAD" or found.status < 200 or found.status in (204, 304):
            found.framing = "none"
        elif coding is not None:
            assert coding == "chunked" and found.version == "HTTP/1.1", found
            found.framing, found.body = "chunked", self.chunked()
        elif length is not None:
            assert length.isdigit(), found
            found.framing, found.body = "length", self.take(int(length))
        else:
            assert found.closes, f"no framing and no Connection: close: {found}"
            found.framing, found.body = "close", self.until_close()
        found.byte_count = self.taken - start
        return found


def all_responses(data, methods=()):
    """Every response in a complete byte string; anything else in it is a failure."""
    chunks = [data, b""]
    reader = Reader(lambda: chunks.pop(0) if chunks else b"")
    found = []
    while reader.buffer or (chunks and chunks[0]):
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        found.append(reader.response(method))
    return found


def client_context(**attributes):
    """A client context without verification; attributes are set on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


class Connection:
    """One client connection to a Server (or to an address), plain or TLS."""

    def __init__(
        self,
        server=None,
        port=None,
        address=None,
        family=socket.AF_INET,
        tls=None,
        rcvbuf=None,
        name=None,
        session=None,
    ):
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            self.socket.connect(address or ("127.0.0.1", port or server.port))
        except OSError:
            self.socket.close()
            raise
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls or (tls is None and server is not None and server.tls):
            context = tls if isinstance(tls, ssl.SSLContext) else client_context()
            self.socket = context.wrap_socket(
                self.socket, suppress_ragged_eofs=False, server_hostname=name, session=session
            )
        self.received = 0
        self.reader = Reader(self.receive)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def receive(self, count=262144):
        try:
            data = self.socket.recv(count)
        except (ConnectionResetError, ssl.SSLEOFError) as error:
            raise Reset() from error  # under TLS a cut is an end without close_notify as well
        self.received += len(data)
        return data

    def send(self, data):
        self.socket.sendall(data)
        return self

    def send_lenient(self, data, piece=None):
        """Sends as much as the server takes: a refusal may come before the end."""
        try:
            for at in range(0, len(data), piece or len(data) or 1):
                self.socket.sendall(data[at : at + (piece or len(data))])
        except (ConnectionError, ssl.SSLError):
            pass
        return self

    def response(self, method="GET"):
        return self.reader.response(method)

    def request(self, method, target, fields=(), body=None, version="1.1"):
        self.send(raw_request(method, target, fields, body, version))
        return self.response(method)

    def get(self, target, *fields, version="1.1"):
        return self.request("GET", target, fields, version=version)

    def rest(self):
        """Everything until the server closes; a reset raises."""
        return self.reader.until_close()

    def ending(self):
        """How the connection ends from here: what came, and "eof" or "reset"."""
        pieces = [self.reader.buffer]
        self.reader.buffer = b""
        try:
            while piece := self.receive():
                pieces.append(piece)
            return b"".join(pieces), "eof"
        except (Reset, ssl.SSLError, BrokenPipeError):
            return b"".join(pieces), "reset"

    def silent(self, seconds):
        """Nothing arrives, and nothing ends, for so long."""
        if self.reader.buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            self.reader.buffer += self.receive()
            return False
        except socket.timeout:  # TimeoutError from Python 3.10 on
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def alive(self):
        """The connection still serves requests."""
        return self.get("/hello").body == b"Hello, World!\r\n"

    def tcp_bytes_received(self):
        """tcpi_bytes_received, of the kernel's struct tcp_info."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("=Q", info, 128)[0]

    def state(self):
        """tcpi_state: how far this end is, a number of <netinet/tcp.h>."""
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[0]

    def unacknowledged(self):
        """Bytes that the other end's TCP has not got yet (SIOCOUTQ, which has the number of TIOCOUTQ)."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)))[0]

    def peer(self):
        """The other end, of this machine and IPv4: the words of its line in /proc/net/tcp."""
        ends = [":%04X" % name[1] for name in (self.socket.getpeername(), self.socket.getsockname())]
        with open("/proc/net/tcp") as table:
            for line in table:
                words = line.split()
                if words[1].endswith(ends[0]) and words[2].endswith(ends[1]):
                    return words
        raise AssertionError("the other end is gone")

    def holds_back(self):
        """The other end's TCP has more to send, but nothing on its way: it waits for the window to open."""
        return Connection.peer(self)[5].startswith("04:")  # the timer of its window probes

    def wait_until_full(self):
        """Waits until the other end has sent what this end takes unread; tcp_bytes_received() then."""
        wait_until(self.holds_back, "a full window")
        return self.tcp_bytes_received()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket.close(self.socket)

    def close(self):
        self.socket.close()


def raw_request(method, target, fields=(), body=None, version="1.1"):
    """The bytes of a well-formed request."""
    lines = [f"{method} {target} HTTP/{version}"]
    if not any(field.lower().startswith("host:") for field in fields):
        lines.append("Host: test.example")
    lines += fields
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chunks(*pieces, last=b"0\r\n\r\n"):
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + last
