# SPDX-License-Identifier: MIT
# test_cli_log_readers - a log whose reader is slow, or does not read at all, holds nobody up.

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from client import PATIENCE, Connection
from programs import PACKAGE

from evy._cli.waiting import write_soon

APP = """
def app(env, start_response):
    if env['PATH_INFO'] == '/raise':
        raise ValueError('x' * 3000)
    start_response('200 OK', [])
    return [b'Hello']
"""


@pytest.fixture(params=["pipe", "socket"])
def ends(request):
    """What the log's reader has, and what the server is started with."""
    if request.param == "pipe":
        reader, writer = os.pipe()
    else:
        pair = socket.socketpair()
        reader, writer = (one.detach() for one in pair)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def server(tmp_path, ends):
    (tmp_path / "app.py").write_text(APP)
    words = [sys.executable, "-m", "evy", "-b", "127.0.0.1:0", "--threads", "4", "app:app"]
    run = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=ends[1],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        start_new_session=True,
    )
    yield run
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(PATIENCE)


def read_until(reader, pattern, data=b""):
    while not re.search(pattern, data):
        piece = os.read(reader, 65536)
        assert piece, data[-2000:]
        data += piece
    return data


def status(port, target):
    with Connection(port=port) as connection:
        return connection.get(target).status


def test_a_log_that_nobody_reads_stops_nobody(server, ends):
    reader, writer = ends
    port = int(re.search(rb"listening \S+:(\d+)", read_until(reader, rb"starts\n"))[1])
    assert status(port, "/") == 200
    # More than a pipe or a socket holds; the first loss is waited for, no other.
    for _ in range(150):
        assert status(port, "/raise") == 500
    assert status(port, "/") == 200
    assert os.get_blocking(writer)
    server.send_signal(signal.SIGUSR1)
    assert status(port, "/") == 200
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) == 0


def test_what_was_lost_is_told_in_whole_lines(server, ends):
    reader, _ = ends
    port = int(re.search(rb"listening \S+:(\d+)", read_until(reader, rb"starts\n"))[1])
    for _ in range(150):
        assert status(port, "/raise") == 500
    os.set_blocking(reader, False)
    data = b""
    try:
        while True:
            data += os.read(reader, 65536)
    except BlockingIOError:
        os.set_blocking(reader, True)
    assert status(port, "/raise") == 500
    data = read_until(reader, rb"lines of this log were lost(?s:.)*\nValueError: x+\n", data)
    lost = int(re.search(rb"\[WARNING\] (\d+) lines of this log were lost", data)[1])
    assert lost >= 7
    assert all(len(line) == 3000 for line in re.findall(rb"(?m)^ValueError: (x*)$", data))


def test_a_piece_of_a_pipe_is_written_whole_or_not_at_all(ends):
    reader, writer = ends
    lines = b"".join(b"%0999d\n" % number for number in range(400))
    rest = write_soon(writer, lines, 0.0)
    assert rest and len(rest) % 1000 == 0 and lines.endswith(rest)
    written = len(lines) - len(rest)
    assert write_soon(writer, b"x" * 4096, 0.0) == b"x" * 4096
    data = b""
    while len(data) < written:
        data += os.read(reader, 65536)
    assert data == lines[:written] and os.get_blocking(writer)


def test_a_long_line_and_a_file_are_written_to_their_end(tmp_path, ends):
    reader, writer = ends
    assert write_soon(writer, b"x" * 10_000, 0.0) == b""
    data = b""
    while len(data) < 10_000:
        data += os.read(reader, 65536)
    with open(tmp_path / "file", "wb") as file:
        assert write_soon(file.fileno(), b"x" * 10_000_000, 0.0) == b""
    assert (tmp_path / "file").stat().st_size == 10_000_000
