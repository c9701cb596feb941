# SPDX-License-Identifier: MIT
# test_bridge - the library's own way to an application and the one through ctypes say the same, byte for byte.

import difflib
import pathlib
import re
import socket
import ssl
import sys

import bridge_site
import pytest
from client import PATIENCE

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="there is only one way")
BRIDGES = ("cpython", "ctypes")


def get(target, *fields, method="GET", version="1.1", body=b""):
    lines = [f"{method} {target} HTTP/{version}", "Host: a.example", *fields, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def requests():
    """(where, bytes), each a connection of its own."""
    environ = [
        get("/"),
        get("/"),
        get("/other?a=b&c"),
        get("/?", method="POST", body=b"") ,
        get("/%e9%C3%A9/%zz%0", "X-A: \xe9\xff"),
        b"GET /\xe9\xff?\xe9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        get("/", version="1.0"),
        b"GET / HTTP/1.0\r\n\r\n",
        get("/", method="HEAD"),
        get("/", method="M-X"),
        get("http://b.example:81/abs?x"),
        get("/", "Host: b.example"),
        get("*", method="OPTIONS"),
        get("/", "X-A: 1", "X-B: 2", "x-a: 3", "X-A:", "Cookie: a", "Cookie: b"),
        get("/", "X_A: under", "X-A: dash"),
        get("/", "X-A: b\r\n folded"),
        get("/", "X-Long: " + "l" * 64, "X-Longer: " + "l" * 65, "X-" + "N" * 70 + ": 1"),
        get("/", "X-Huge: " + "h" * 2500),
        get("/", *[f"X-{number}: {number}" for number in range(60)]),
        get("/" + "p" * 3000),
        get("/", "Content-Length: 0"),
        get("/", "Content-Length: 5", "Content-Type: a/b", method="POST", body=b"hello"),
        get("/", "Content-Length: 70000", method="PUT", body=b"h" * 70000),
        get("/", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n0\r\nT: u\r\n\r\n"),
        get("/", "Content-Length: 2", "Expect: 100-continue", method="POST", body=b"ab"),
        # A hidden second request, the same fields with another line.
        get("/a").replace(b"Connection: close", b"X-C: keep") + get("/b"),
        b"".join([get("/p").replace(b"close", b"keep-alive")] * 3) + get("/q"),
    ]
    every = [(where, one) for one in environ for where in ("one", "two", "tls", "unix", "one")]
    plain = [f"/heads?{name}" for name in bridge_site.HEADS]
    plain += [f"/raw_heads?{name}" for name in bridge_site.HEADS]
    plain += [f"/bodies?{name}" for name in bridge_site.BODIES]
    plain += [f"/late_bodies?{name}" for name in bridge_site.BODIES]
    plain += [f"/sizes?{reason},0,0" for reason in (0, 1, 2, 47, 48, 49, 50, 200)]
    plain += [f"/sizes?3,{name},{value}" for name in (1, 14) for value in (1000 - name + n for n in range(30))]
    plain += [f"/sizes?3,{name},1" for name in (1020, 1021, 1022, 1023, 1024, 1025)]
    for kind in ("ValueError", "GeneratorExit", "RecursionError", "MemoryError", "StopIteration", "BaseException"):
        plain += [f"/{kind}?", f"/{kind}?started", f"/{kind}?begun"]
    plain += ["/recursion", "/subclasses", "/twice", "/exc_info", "/exc_info_late", "/keywords", "/arguments"]
    plain += ["/written", "/changed", "/pieces?before", "/pieces?after", "/wrong_pieces", "/threaded"]
    for what in ("append", "list", "tuple", "delete", "None", "number", "asks", "count"):
        plain += [f"/hooks?{what}"]
    plain += ["/keep", "/kept", "/keep?asked", "/kept", "/hints", "/closed", "/closed", "/file"]
    plain += ["/finalized", "/finalized", "/finalized"]
    every += [("one", get(target)) for target in plain]
    every += [("one", get(target, method="HEAD")) for target in plain if "bod" in target or "heads" in target]
    every += [("tls", get(target, version="1.0")) for target in plain if "bod" in target or "heads" in target]
    body = b"line\nabc\nx\ny"
    every.append(("one", get("/reads", f"Content-Length: {len(body)}", method="POST", body=body)))
    return every


class Site:
    """The program of bridge_site, and all that it says, without what differs from run to run."""

    def __init__(self, program, folder, pairs):
        text = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
        text += "import bridge_site; bridge_site.main()"
        self.unix = str(folder / "s")
        self.run = run = program(text, self.unix, pairs / "private.key", pairs / "cert.crt")
        ports = [int(port) for port in run.out.expect(r"^\d+ \d+ \d+$").split()]
        self.places = dict(zip(("one", "two", "tls"), zip(("127.0.0.1", "127.0.0.2", "127.0.0.1"), ports)))

    def connect(self, where):
        assert self.run.process.poll() is None, f"it has ended: {self.run.err.lines[-20:]}"
        if where == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.unix)
            return sock
        sock = socket.create_connection(self.places[where], PATIENCE)
        if where == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        return sock

    def answer(self, where, request):
        with self.connect(where) as sock:
            sock.sendall(request)
            own = sock.getsockname()[1] if where != "unix" else ""
            pieces = []
            while piece := sock.recv(65536):
                pieces.append(piece)
        text = b"".join(pieces).decode("latin-1")
        text = re.sub(r"Date: \w{3}, [^\r]*", "Date: -", text)
        if where != "unix":
            text = text.replace(f"REMOTE_PORT='{own}'", "REMOTE_PORT='-'")
            text = text.replace(f"SERVER_PORT='{self.places[where][1]}'", "SERVER_PORT='-'")
        return re.sub(r"0x[0-9a-f]+", "0x-", text)


def test_both_ways_say_the_same(program, tmp_path, pairs, monkeypatch):
    answers = []
    for bridge in BRIDGES:
        monkeypatch.setenv("EVY_BRIDGE", bridge)
        (tmp_path / bridge).mkdir()
        site = Site(program, tmp_path / bridge, pairs)
        answers.append([site.answer(where, request) for where, request in requests()])
    for (where, request), ours, theirs in zip(requests(), *answers):
        assert theirs.startswith("HTTP/1.1 "), (where, request[:100])
        difference = "\n".join(difflib.unified_diff(theirs.splitlines(), ours.splitlines(), lineterm="", n=0))
        assert ours == theirs, f"{where} {request[:200]!r}\n{difference[:2000]}"
