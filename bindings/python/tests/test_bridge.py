# SPDX-License-Identifier: MIT
# test_bridge - the library's own way to an application and the one through ctypes say the same bytes.

import contextlib
import difflib
import os
import pathlib
import re
import socket
import ssl
import sys

import bridge_site
import pytest
from client import PATIENCE
from programs import HAS_BRIDGE

pytestmark = pytest.mark.skipif(not HAS_BRIDGE, reason="there is only one way")
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
    plain += [f"/lengths?{name}" for name in bridge_site.BODIES]
    plain += [f"/late_bodies?{name}" for name in bridge_site.BODIES]
    plain += [f"/sizes?{reason},0,0" for reason in (0, 1, 2, 47, 48, 49, 50, 200)]
    plain += [f"/sizes?3,{name},{value - name}" for name in (1, 14) for value in range(1000, 1030)]
    plain += [f"/sizes?3,{name},1" for name in (1020, 1021, 1022, 1023, 1024, 1025)]
    for kind in bridge_site.KINDS:
        plain += [f"/{kind.__name__}?", f"/{kind.__name__}?started", f"/{kind.__name__}?begun"]
    plain += ["/recursion", "/subclasses", "/twice", "/exc_info", "/exc_info_late", "/keywords", "/arguments"]
    for what in ("starts-late", "starts-later", "never", "writes", "asks", "exc_info", "hook", "", "keeps"):
        plain += [f"/late?{what}"]
    plain += ["/kept", "/hooks?count"]
    plain += [f"/late_lengths?{count}" for count in (1, 4, 6, 13, 14, "x")]
    plain += ["/written", "/changed", "/pieces?before", "/pieces?after", "/wrong_pieces", "/threaded"]
    for what in ("append", "list", "tuple", "delete", "None", "number", "asks", "count"):
        plain += [f"/hooks?{what}"]
    plain += ["/keep", "/kept", "/keep?asked", "/kept", "/hints", "/closed", "/closed", "/file"]
    plain += ["/finalized", "/finalized", "/finalized"]
    every += [("one", get(target)) for target in plain]
    answers = [target for target in plain if any(part in target for part in ("bod", "heads", "late"))]
    every += [("one", get(target, method="HEAD")) for target in answers]
    every += [("tls", get(target, version="1.0")) for target in answers]
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
            # An answer of HTTP/1.0 that fails ends by a reset, which not every module ssl tells.
            with contextlib.suppress(ConnectionResetError):
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
        # Nothing is said where the application wants to be asked no more.
        assert theirs.startswith("HTTP/1.1 ") or b"?handled" in request, (where, request[:100])
        difference = "\n".join(difflib.unified_diff(theirs.splitlines(), ours.splitlines(), lineterm="", n=0))
        assert ours == theirs, f"{where} {request[:200]!r}\n{difference[:2000]}"


@pytest.fixture(params=BRIDGES)
def bridged(program, monkeypatch, request):
    """program(), once with each way to the application."""
    monkeypatch.setenv("EVY_BRIDGE", request.param)
    return program


ITERATORS = """
import gc, socket, weakref, evy
LEFT = weakref.WeakSet()
class Pieces:
    def __init__(self, env, start_response):
        LEFT.add(self)
        self.env, self.pieces = env, [b'one', b'two']
        start_response('200 OK', [])
    def __iter__(self):
        return self
    def __next__(self):
        if not self.pieces: raise StopIteration
        return self.pieces.pop()
with evy.wsgi.Server('127.0.0.1:0', Pieces, log_output=False) as server:
    for _ in range(5):
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        while sock.recv(1000): pass
gc.collect()
print('left', len(LEFT))
"""


def test_an_iterator_that_keeps_environ_is_freed(bridged):
    run = bridged(ITERATORS)
    assert run.ended() == 0
    assert run.out.lines == ["left 0"]


CUT = """
import socket, struct, threading, evy
class Lines:
    def write(self, text): lines.append(text)
lines, is_there, may_go = [], threading.Event(), threading.Event()
def site(env, start_response):
    write = start_response('200 OK', [])
    if env['PATH_INFO'] == '/first':
        return [b'x' * 1000]
    is_there.set()
    assert may_go.wait(10)
    try:
        for _ in range(100): write(b'x' * 1000)
    except evy.ClientGone:
        print('gone')
    return []
with evy.wsgi.Server('127.0.0.1:0', site, log=Lines(), loops=2, threads=1) as server:
    sock = socket.create_connection(('127.0.0.1', server.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.sendall(b'GET /first HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /second HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
    assert is_there.wait(10)
    sock.close()
    may_go.set()
print(len([line for line in lines if 'GET /' in line]))
"""


def test_lines_are_logged_while_a_handler_sends(bridged):
    """A handler finds that the client has gone; that ends an answer before, which is logged on its thread."""
    run = bridged(CUT)
    assert run.ended() == 0, run.err.lines
    assert run.out.lines == ["gone", "2"]


THREADS = """
import collections, random, socket, sys, threading, evy
FRESH, END = collections.deque(maxlen=50), threading.Event()
said = set()
def site(env, start_response):
    kind = random.randrange(4)
    FRESH.append((start_response, [env[key] for key in
        ('evy.client_disconnected', 'evy.set_idle', 'evy.take_socket')] + [env['wsgi.input'].get_socket]))
    try:
        start_response('200 OK', [])
    except AssertionError:
        pass
    if kind == 1: env['evy.posthooks'].append((lambda env: env['evy.client_disconnected'](), (), {}))
    if kind == 2: sum(range(1000))
    return iter([b'a', b'bc']) if kind == 3 else [b'abc']
def ask():
    while not END.is_set():
        try:
            start, functions = random.choice(FRESH)
            random.choice(functions)() if random.random() < 0.9 else start('200 OK', [])
        except (IndexError, evy.StateError, AssertionError) as error:
            said.add(type(error).__name__)
def load():
    sock = socket.create_connection(('127.0.0.1', server.port), 20)
    for _ in range(150):
        sock.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' * 3)
        data = b''
        while data.count(b'abc') + data.count(b'\\r\\n0\\r\\n') < 3:
            piece = sock.recv(8000)
            assert piece, data
            data += piece
    sock.close()
    sys.stdout.write('served\\n')  # at once: print would write the line end by itself
with evy.wsgi.Server('127.0.0.1:0', site, log_output=False, threads=4) as server:
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=load) for _ in range(3)]
    others = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads + others: thread.start()
    for thread in threads: thread.join()
    END.set()
    for thread in others: thread.join()
print(*sorted(said - {'IndexError'}))
"""


def test_other_threads_ask_before_during_and_after_a_request(bridged):
    run = bridged(THREADS)
    assert run.ended() == 0, run.err.lines
    assert run.out.lines[:3] == ["served"] * 3
    assert "StateError" in run.out.lines[3]


FINALIZERS = """
import gc, socket, threading, time, evy
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): time.sleep(0)
KEPT = []
def site(env, start_response):
    Cycle()
    KEPT.append(env)
    del KEPT[:-300]
    start_response('200 OK', [])
    return [f"{env['PATH_INFO']} {env['REMOTE_PORT']}".encode()]
def load():
    with socket.create_connection(('127.0.0.1', server.port)) as sock:
        own = sock.getsockname()[1]
        for number in range(200):
            path = f'/{own}/{number}'
            more = f'X: {number // 3}\\r\\n' if number % 2 else ''
            sock.sendall(f'GET {path} HTTP/1.1\\r\\nHost: a\\r\\n{more}\\r\\n'.encode())
            data = b''
            while b'\\r\\n\\r\\n/' not in data: data += sock.recv(4000)
            if not data.endswith(f'\\r\\n\\r\\n{path} {own}'.encode()): print(data)
with evy.wsgi.Server('127.0.0.1:0', site, log_output=False, threads=4, loops=2) as server:
    gc.set_threshold(1)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print('over')
"""


def test_finalizers_run_anywhere_and_requests_are_not_mixed_up(bridged):
    run = bridged(FINALIZERS)
    assert run.ended() == 0, run.err.lines
    assert run.out.lines == ["over"]


HELD = """
import ctypes, os, sys, time, evy
def site(env, start_response):
    start_response('200 OK', [])
    if env['PATH_INFO'] == '/file':
        return env['wsgi.file_wrapper'](open(sys.argv[1], 'rb'))
    if env['PATH_INFO'] == '/hold':
        descriptor, room = os.open(sys.argv[2], os.O_RDWR), ctypes.create_string_buffer(1)
        while server.stats().threads_busy > 1:
            time.sleep(0.001)  # what answered with the file still needs the lock
        print('held')
        ctypes.PyDLL(None).read(descriptor, room, 1)
    return [b'abc']
server = evy.wsgi.Server('127.0.0.1:0', site, log_output=False, threads=4).start()
print(server.port)
server.join()
"""
HELD_FILE_BYTES = 32 << 20


def test_what_needs_no_python_goes_on_while_the_interpreter_lock_is_held(bridged, tmp_path):
    """By C code that waits with it, while another request waits for it."""
    with open(tmp_path / "file", "wb") as file:
        file.truncate(HELD_FILE_BYTES)
    os.mkfifo(tmp_path / "fifo")
    run = bridged(HELD, tmp_path / "file", tmp_path / "fifo")
    place = "127.0.0.1", int(run.out.expect(r"^\d+$"))
    with contextlib.ExitStack() as stack:
        download, holder, waiting = (
            stack.enter_context(socket.create_connection(place, PATIENCE)) for _ in range(3)
        )
        download.sendall(get("/file"))
        assert download.recv(1000)
        holder.sendall(get("/hold"))
        run.out.expect("held")
        waiting.sendall(get("/"))
        byte_count = 0
        while piece := download.recv(1 << 20):
            byte_count += len(piece)
        assert byte_count > HELD_FILE_BYTES - 1000
        with open(tmp_path / "fifo", "wb") as fifo:
            fifo.write(b"x")
        for one in (holder, waiting):
            assert one.recv(1000).startswith(b"HTTP/1.1 200 ")
