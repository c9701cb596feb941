# SPDX-License-Identifier: MIT
# test_python - where the Python face differs: bodies kept in temporary files, and applications that fork.

import subprocess
import sys

import pytest
from conftest import HERE, behaviour, load
from support import SANITIZED, Connection, chunks, pattern, wait_until

PACKAGE = HERE.parents[1] / "bindings" / "python"
pytestmark = pytest.mark.skipif(SANITIZED, reason="the interpreter is not built with the sanitizer")

SITE = """
import evy, os, resource, sys
def site(env, start_response):
    path, hard = env['PATH_INFO'], resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    text = 'done'
    if path == '/upload':
        body = env['wsgi.input'].read()
        text = f"{len(body)} {env['CONTENT_LENGTH']} {body == bytes(i % 251 for i in range(len(body)))}"
    elif path == '/none-left':
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1, hard))
    elif path == '/plenty':
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    elif path == '/fork':
        child = os.fork()
        if child == 0:
            if env['QUERY_STRING'] == 'raise':
                raise ValueError('in the child')
            if env['QUERY_STRING'] == 'exit':
                os._exit(0)
            start_response('200 OK', [])
            return [b'the child']
        text = str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
sock = evy.listen(('127.0.0.1', 0))
print(sock.getsockname()[1], flush=True)
evy.wsgi.server(sock, site, log_output=True, max_body_size='16m')
"""


@pytest.fixture(params=["cpython", "ctypes"])
def python(request, tmp_path, monkeypatch):
    """python() starts the site above in a process of its own; `port` and `log` are its members."""
    monkeypatch.setenv("EVY_BRIDGE", request.param)
    monkeypatch.setenv("EVY_LIBRARY", str(behaviour.LIB_DIR / "libevy.so"))
    module = load("python_programs", PACKAGE / "tests" / "programs.py")
    started = []

    def start():
        program = module.Program(tmp_path / "site.py", SITE)
        started.append(program)
        program.port = int(program.out.expect(r"^\d+$"))
        return program

    yield start
    for program in started:
        assert program.end() == 0, program.err.lines[-20:]


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted")
    monkeypatch.setenv("TMPDIR", str(place))
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def upload(port, size):
    """A chunked body; the answer."""
    body = pattern(size)
    pieces = [body[at : at + 10_000] for at in range(0, size, 10_000)]
    head = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Connection(port=port) as connection:
        connection.send_lenient(head + chunks(*pieces))
        return connection.response()


def ready(python):
    """A program whose threads have all come: a request that waits for its body needs another one beside."""
    program = python()
    wait_until(lambda: upload(program.port, 100_000).status == 200, "the first upload")
    return program


def test_a_body_that_finds_no_room_on_disk_is_refused_with_507(small_disk, python):
    """Never cut short in silence: a disk that is nearly full takes a part of what is written."""
    program = ready(python)
    statuses = []
    for size in range(235_000, 290_000, 2_900):
        answer = upload(program.port, size)
        statuses.append(answer.status)
        assert answer.status == 507 or answer.body.decode() == f"{size} {size} True", answer
    assert set(statuses) == {200, 507}, statuses
    assert upload(program.port, 1 << 20).status == 507
    assert upload(program.port, 30_000).status == 200, "what stays in memory needs no disk"
    lines = program.err.matching("No space left on device")
    assert len(lines) == 1, lines
    assert len(program.err.expect('" 507 ', statuses.count(507) + 1)) == statuses.count(507) + 1


def test_a_body_that_finds_no_descriptor_is_refused_with_503(python):
    program = ready(python)
    head = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = head + chunks(pattern(100_000))

    def attempt():
        """Until the sockets of earlier clients are closed, one of theirs may come free."""
        with Connection(port=program.port) as connection, Connection(port=program.port) as other:
            assert other.get("/").body == connection.get("/none-left").body == b"done"
            status = connection.send_lenient(body).response().status
            assert other.get("/plenty").body == b"done"
        return status == 503

    wait_until(attempt, "a refusal")
    assert upload(program.port, 100_000).status == 200
    assert len(wait_until(lambda: program.err.matching("Too many open files"), "the line")) == 1


@pytest.mark.skipif(sys.version_info < (3, 9), reason="os.waitstatus_to_exitcode")
@pytest.mark.parametrize("how", ["exit", "return", "raise"])
def test_an_application_forks(python, how):
    """The answer is the parent's, whatever the child does behind the fork."""
    program = python()
    for _ in range(3):
        with Connection(port=program.port) as connection:
            answer = connection.get(f"/fork?{how}")
            assert answer.body == b"0", answer
            assert connection.get("/").body == b"done"
