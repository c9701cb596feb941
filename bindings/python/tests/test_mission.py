# SPDX-License-Identifier: MIT
# test_mission - the blocks of the mission run as they stand, and so does the example.

import pathlib
import re
import signal

import pytest
from client import Connection, client_context
from programs import free_port

HERE = pathlib.Path(__file__).resolve().parent
HELLO, SSL, POSTHOOKS = re.findall(r"```python\n(.*?)```", (HERE / "mission.md").read_text(), re.S)
ACCESS = r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] "GET %s HTTP/1\.1" %d \d+ \d+\.\d{6}$'
DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"


def on_port(block, port):
    assert block.count("8090") == 1
    return block.replace("8090", str(port))


@pytest.fixture
def run(program):
    """run(text, cwd=None) starts a block on a free port, and waits for its first line."""

    def start(text, cwd=None, scheme="http"):
        port = free_port()
        started = program(on_port(text, port), cwd=cwd)
        started.port = port
        started.err.expect(rf"^\({started.pid}\) wsgi starting up on {scheme}://0\.0\.0\.0:{port}/$")
        return started

    return start


def check_hello(connection):
    answer = connection.get("/")
    assert (answer.status, answer.body) == (200, b"Hello, World!\r\n")
    assert (answer["Content-Length"], answer["Content-Type"]) == ("15", "text/plain")
    assert re.fullmatch(DATE, answer["Date"])


def test_hello_block(run):
    hello = run(HELLO)
    with Connection(port=hello.port) as connection:
        check_hello(connection)
    hello.err.expect(ACCESS % ("/", 200))
    assert hello.end(signal.SIGINT) == 0
    assert hello.err.lines[-1] == f"({hello.pid}) wsgi exiting"
    assert len(hello.err.matching(ACCESS % ("/", 200))) == 1
    assert not hello.err.matching("Traceback")


def test_ssl_block(run, pairs):
    site = HELLO[: HELLO.index("wsgi.server")]
    hello = run(site + SSL, cwd=pairs, scheme="https")
    with Connection(port=hello.port, tls=client_context()) as connection:
        check_hello(connection)
    assert hello.end(signal.SIGTERM) == 0


def test_ssl_block_tells_the_application(run, pairs):
    site = HELLO[: HELLO.index("def")] + (
        "def hello_world(env, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [('%s %s' % (env['wsgi.url_scheme'], env.get('HTTPS'))).encode()]\n"
    )
    secure = run(site + SSL, cwd=pairs, scheme="https")
    with Connection(port=secure.port, tls=client_context()) as connection:
        assert connection.get("/").body == b"https on"
    plain = run(site + HELLO[HELLO.index("wsgi.server") :])
    with Connection(port=plain.port) as connection:
        assert connection.get("/").body == b"http None"


def test_posthooks_block(run):
    hello = run(POSTHOOKS)
    with Connection(port=hello.port) as connection:
        for _ in range(3):
            check_hello(connection)
    lines = hello.out.expect(r"^Hook called: \{.*'PATH_INFO': '/'.*\} arg1 arg2 3 4$", 3)
    assert all("'evy.body_bytes': 15" in line and "'evy.aborted': None" in line for line in lines)
    hello.err.expect(ACCESS % ("/", 200), 3)
    assert hello.end() == 0
    assert len(hello.out.lines) == 3


def test_example(run):
    example = run((HERE.parent / "examples" / "wsgi.py").read_text())
    with Connection(port=example.port) as connection:
        check_hello(connection)
        answer = connection.get("/nope")
        assert (answer.status, answer.body) == (404, b"Not Found\r\n")
        assert (answer["Content-Length"], answer["Content-Type"]) == ("11", "text/plain")
    example.err.expect(ACCESS % ("/nope", 404))
    assert example.end() == 0
