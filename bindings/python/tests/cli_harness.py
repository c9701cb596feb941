# SPDX-License-Identifier: MIT
# cli_harness - `python -m evy` in a process of its own, its workers, and clients that count what went wrong.

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from client import Connection, raw_request, wait_until
from programs import PACKAGE, Lines, Program


def open_to_all(folder):
    """Workers of another user may enter it, however deep it lies in the temporary ones."""
    while folder.name and str(folder) != tempfile.gettempdir():
        folder.chmod(0o755)
        folder = folder.parent


APP = """
import json, os, time

def app(env, start_response):
    path = env['PATH_INFO']
    if path == '/env':
        body = json.dumps({key: value for key, value in env.items()
                           if isinstance(value, (str, bool, int))}).encode()
    elif path == '/pid':
        body = b'%d' % os.getpid()
    elif path == '/long':
        body = bytes(200_000)
    elif path.startswith('/wait/'):
        # Until the file of this name is there.
        open(path[6:] + '.begun', 'w').close()
        while not os.path.exists(path[6:]):
            time.sleep(0.01)
        body = b'waited'
    elif path == '/die':
        os._exit(7)
    elif path == '/print':
        print('printed by the application', flush=True)
        env['wsgi.errors'].write('complained\\n')
        body = b'printed'
    else:
        body = b'Hello'
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]

class Holder:
    inner = staticmethod(app)

holder = Holder()

def make(name='made'):
    def application(env, start_response):
        start_response('200 OK', [])
        return [name.encode()]
    return application

number = 3
"""


# As systemd starts a service with two sockets; their ports are its first line.
ACTIVATE = """
import os, socket, sys
made = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
copies = [os.dup(os.dup(one.fileno())) for one in made]
for number, one in zip((3, 4), copies):
    os.dup2(one, number)
print(*(one.getsockname()[1] for one in made), flush=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='web:admin')
os.execv(sys.executable, [sys.executable, '-m', 'evy', *sys.argv[1:]])
"""


class Command(Program):
    """A running `python -m evy`; `folder` holds app.py, and is where it runs."""

    def __init__(self, folder, arguments, environ=None, **keywords):
        variables = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}
        for name in ("PORT", "WEB_CONCURRENCY", "EVY_CMD_ARGS", "FORWARDED_ALLOW_IPS"):
            variables.pop(name, None)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evy", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**variables, **(environ or {})},
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **keywords,
        )
        self.pid = self.process.pid
        self.out, self.err = Lines(), Lines()
        self.readers = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self.readers:
            reader.start()

    @property
    def urls(self):
        """What the banner says: the addresses, and `status` among them last."""
        self.err.expect(r"^  pid ")
        return re.findall(r"(?:https?://|unix:)\S+", "\n".join(self.err.lines[:20]))

    @property
    def port(self):
        return int(self.urls[0].rsplit(":", 1)[1])

    @property
    def status_port(self):
        return int(re.search(r":(\d+)$", self.err.expect(r"^  status ")).group(1))

    def workers(self):
        """Process ids of the workers that live, in the order of their birth."""
        return sorted(children(self.pid), key=lambda pid: (born_at(pid), pid))

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def get(self, target="/", port=None, **keywords):
        with Connection(port=port or self.port, **keywords) as connection:
            return connection.get(target)

    def kill(self):
        """The whole session: also masters that were started by this one."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.ended()


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name; None: it is gone, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields


def born_at(pid):
    fields = stat_of(pid)
    return int(fields[19]) if fields else 0


def children(parent):
    found = []
    for name in os.listdir("/proc"):
        fields = stat_of(name) if name.isdigit() else None
        if fields and int(fields[1]) == parent and name_of(name).endswith("worker"):
            found.append(int(name))
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(pid):
    return stat_of(pid) is not None


@pytest.fixture
def evy_cli(tmp_path):
    """evy_cli(*arguments) runs `python -m evy --bind 127.0.0.1:0 arguments app:app`."""
    started = []
    (tmp_path / "app.py").write_text(APP)

    def start(*arguments, bind="127.0.0.1:0", app="app:app", environ=None, **keywords):
        words = [*(["--bind", bind] if bind else []), *arguments, *([app] if app else [])]
        started.append(Command(tmp_path, words, environ, **keywords))
        return started[-1]

    start.folder = tmp_path
    yield start
    for one in started:
        one.kill()


WORKER_WAITS_SECONDS = 1.0


class Load:
    """Clients that ask on and on: some on new connections, some on kept ones.

    refused: connections that nobody took. cut: answers that began and did not end. unanswered: requests on
    connections that were closed or reset without a byte of an answer, told apart by whether the
    connection has brought an answer before. late: those of them of clients that were kept from asking within
    the second for which a worker that goes waits for them, as a busy machine does.
    """

    def __init__(self, port, target="/long", fresh=2, kept=2):
        self.port, self.target = port, target
        self.answered, self.connections, self.refused, self.cut = 0, 0, [], []
        self.unanswered_fresh, self.unanswered_kept, self.late = [], [], []
        self.bodies = set()
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(is_kept,), daemon=True)
            for is_kept in (*[False] * fresh, *[True] * kept)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join(20)

    def passed(self, count=60):
        """Waits until so many more requests were answered."""
        wanted = self.answered + count
        wait_until(lambda: self.answered >= wanted, f"{count} answers more")

    def _run(self, is_kept):
        sock, asked, begun = None, 0, 0.0
        while not self._is_over.is_set():
            if sock is None:
                begun = time.monotonic()
                try:
                    sock, asked = socket.create_connection(("127.0.0.1", self.port), 10), 0
                    with self._lock:
                        self.connections += 1
                except OSError as error:
                    self.refused.append(repr(error))
                    continue
            asks_at = time.monotonic()
            sock, asked = self._ask(sock, asked, is_kept, begun)
            begun = asks_at
        if sock is not None:
            sock.close()

    def _ask(self, sock, asked, is_kept, begun):
        """begun: the worker has let this client in, or answered it, behind this moment."""
        fields = () if is_kept else ("Connection: close",)
        data, problem, sent_at = b"", "end", None
        try:
            sock.sendall(raw_request("GET", self.target, fields))
            sent_at = time.monotonic()
            while not is_whole(data):
                piece = sock.recv(65536)
                if not piece:
                    break
                data += piece
        except OSError as error:
            problem = repr(error)
        if is_whole(data):
            with self._lock:
                self.answered += 1
            head, _, body = data.partition(b"\r\n\r\n")
            self.bodies.add(body[:40])
            if is_kept and b"connection: close" not in head.lower():
                return sock, asked + 1
        elif data:
            self.cut.append((len(data), problem))
        elif (sent_at or time.monotonic()) - begun > WORKER_WAITS_SECONDS:
            self.late.append(problem)
        else:
            (self.unanswered_kept if asked else self.unanswered_fresh).append(problem)
        sock.close()
        return None, 0


def is_whole(data):
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length and head.startswith(b"HTTP/1.1 200"), head
    return len(body) == int(length[1])
