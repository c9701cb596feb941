# SPDX-License-Identifier: MIT
# test_keywords - what the keywords of the server do, and what wrong ones are told.

import os
import socket
import subprocess
import sys

import evy
import pytest
from client import Connection


def hello(env, start_response):
    start_response("200 OK", [])
    return [b"Hello"]


def get(port):
    with Connection(port=port) as connection:
        return connection.get("/").body


def listener():
    return evy.listen(("127.0.0.1", 0))


def test_keywords(serve):
    silent = serve(hello, log_output=False)
    get(silent.port)
    old = serve(hello, max_http_version="HTTP/1.0", keepalive=False)
    with Connection(old) as connection:
        answer = connection.get("/")
        assert answer.version == "HTTP/1.0" and answer.closes
    lines = serve(hello, url_length_limit=100)
    for length, status in ((99, 200), (100, 414)):
        with Connection(lines) as connection:
            target = "/" + "a" * (length - len("GET / HTTP/1.1\r\n"))
            assert connection.get(target).status == status
    brief = serve(hello, keepalive=0.1)
    with Connection(brief) as connection:
        assert connection.get("/").status == 200
        assert connection.ending() == (b"", "eof")
    forwarded = serve(hello)
    with Connection(forwarded) as connection:
        connection.get("/", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")
    assert forwarded.log.access().startswith("1.2.3.4,5.6.7.8,127.0.0.1 - - [")
    assert silent.log.lines == []


@pytest.mark.parametrize(
    "keywords, error, text",
    [
        ({"no_such_option": 1}, TypeError, "no_such_option"),
        ({"threads": "many"}, ValueError, "threads"),
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": None}, TypeError, "threads"),
        ({"log_format": "%(nonsense)s"}, ValueError, "nonsense"),
        ({"max_http_version": "HTTP/2"}, ValueError, "HTTP/2"),
        ({"max_size": -1}, ValueError, "max_connections"),
        ({"log": 3}, TypeError, "write"),
    ],
)
def test_wrong_keywords_are_named(keywords, error, text):
    with listener() as sock, pytest.raises(error, match=text):
        evy.wsgi.Server(sock, hello, **keywords)


def test_wrong_sockets_are_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(ValueError):
        evy.wsgi.Server(datagrams, hello)
    closed = listener()
    closed.close()
    with pytest.raises(ValueError):
        evy.wsgi.Server(closed, hello)
    with listener() as sock, pytest.raises(OSError):
        evy.listen(sock.getsockname())
    with listener() as sock, pytest.raises(TypeError, match="callable"):
        evy.wsgi.Server(sock, None)


def test_a_missing_library_says_what_was_tried():
    environ = {**os.environ, "EVY_LIBRARY": "/nowhere/libevy.so", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", "import evy"], env=environ, capture_output=True, text=True)
    assert run.returncode == 1 and "ImportError: cannot load libevy:\n  /nowhere/libevy.so" in run.stderr
