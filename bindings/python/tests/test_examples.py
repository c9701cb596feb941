# SPDX-License-Identifier: MIT
# test_examples - every program of examples does what it says, and ends at a signal with nothing on its mind.

import os
import pathlib
import re
import shutil
import signal
import ssl

import pytest
from client import Connection, client_context, raw_request, wait_until
from programs import free_port

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def example(program):
    """example(name, argument...) runs a program of the folder on a free port, and waits until it serves."""

    def start(name, *arguments):
        port = free_port()
        text, count = re.subn(r"\b8(090|443)\)\)", f"{port}))", (EXAMPLES / f"{name}.py").read_text())
        assert count == 1
        started = program(text, *arguments)
        started.port = port
        started.err.expect(rf"wsgi starting up on https?://0\.0\.0\.0:{port}/$")
        return started

    return start


def check_end(started, number=signal.SIGINT):
    assert started.end(number) == 0
    assert started.err.matching("wsgi exiting$") and not started.err.matching("Traceback")


def test_every_example_is_tested_and_listed():
    own = pathlib.Path(__file__).read_text() + (EXAMPLES.parent / "tests" / "test_mission.py").read_text()
    lists = [(EXAMPLES.parent / "README.md").read_text()]
    lists.append((EXAMPLES.parents[2] / "Examples" / "README.md").read_text())
    for name in (one.name for one in EXAMPLES.glob("*.py")):
        assert f'"{name}").read_text' in own or f'example("{name[:-3]}"' in own, name
        assert all(f"examples/{name})" in text for text in lists), name


def test_tls(example, pairs, tmp_path):
    def put(certificate, key):
        for name, wanted in ((certificate, "own.crt"), (key, "own.key")):
            # Whole or not at all: the program may read at any time.
            shutil.copy(pairs / name, tmp_path / "new")
            os.replace(tmp_path / "new", tmp_path / wanted)

    def known_by(certificate):
        with Connection(port=started.port, tls=client_context()) as connection:
            assert re.fullmatch(rb"Hello over TLSv1\.[23]\r\n", connection.get("/").body)
            served = connection.socket.getpeercert(True)
        return served == ssl.PEM_cert_to_DER_cert((pairs / certificate).read_text())

    put("cert.crt", "private.key")
    started = example("tls", tmp_path / "own.crt", tmp_path / "own.key")
    assert known_by("cert.crt")
    put("other.crt", "other.key")
    started.process.send_signal(signal.SIGHUP)
    wait_until(lambda: known_by("other.crt"), "the new certificate")
    (tmp_path / "own.crt").write_text("rubbish")
    started.process.send_signal(signal.SIGHUP)
    started.err.expect(r"the old certificate stays: .*own\.crt")
    assert known_by("other.crt")
    check_end(started, signal.SIGTERM)


def test_tls_without_files_says_what_it_needs(program):
    started = program((EXAMPLES / "tls.py").read_text())
    assert started.ended() == 1
    assert started.err.matching("tls.py CERTIFICATE KEY")


def test_posthooks(example):
    whole = 65536 * 160
    started = example("posthooks")
    with Connection(port=started.port) as connection:
        answer = connection.get("/")
        assert len(answer.body) == whole
        bill = started.out.expect(r" complete$").split()
        assert bill[0] == "127.0.0.1" and int(bill[1]) == answer.byte_count
    with Connection(port=started.port, rcvbuf=65536) as connection:
        connection.send(raw_request("GET", "/"))
        assert len(connection.socket.recv(1000)) > 0
    sent, acked = map(int, started.out.expect(r" client-\w+$").split()[1:3])
    assert 0 < acked <= sent < answer.byte_count
    check_end(started)


def test_embedded(example):
    started = example("embedded")
    with Connection(port=started.port) as connection:
        bodies = [connection.get(target).body for target in ("/a", "/a", "/b")]
    assert bodies == [b"visit 1\r\n", b"visit 2\r\n", b"visit 1\r\n"]
    check_end(started, signal.SIGTERM)


def test_files(example, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a ü.txt").write_bytes(b"text")
    (folder / "big").write_bytes(os.urandom(1 << 20))
    (folder / "page.html.gz").write_bytes(b"packed")
    (folder / "out").symlink_to(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    started = example("files", folder)
    with Connection(port=started.port) as connection:
        found = connection.get("/a%20%C3%BC.txt")
        assert (found.body, found["Content-Type"]) == (b"text", "text/plain")
        assert connection.get("/page.html.gz")["Content-Type"] == "application/octet-stream"
        assert connection.get("/big").body == (folder / "big").read_bytes()
        assert connection.request("HEAD", "/big")["Content-Length"] == str(1 << 20)
        outside = ("/../secret", "/%2e%2e/secret", "/out/secret", "/")
        for target in (*outside, "/none", "/big/x", "/" + "x" * 999):
            assert connection.get(target).status == 404
    check_end(started)
