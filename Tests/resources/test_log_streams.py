# SPDX-License-Identifier: MIT
# test_log_streams - logs on pipes and terminals: whole lines, no waits for a reader, lines that waited.

import fcntl
import json
import os
import re
import select
import subprocess
import termios
import threading
import time
import tty

import pytest
from lines import ask
from support import FACTOR, PATIENCE, SANITIZED, Connection, one_loop, wait_until

ANSWERED = re.compile(r'[\d.]+ - - \[[^]]*\] "GET /(hello|log)\?\S* HTTP/1\.1" 200 \d+ [\d.]+')


def without_privilege():
    """The words ahead of a command whose terminals are closed to it: who administrates may open any."""
    words = ["setpriv", "--bounding-set", "-sys_admin"]
    may = os.geteuid() == 0 and subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode == 0
    return words if may else []


PLAIN = without_privilege()


class Reader:
    """What can be read from a descriptor without waiting."""

    def __init__(self, number):
        os.set_blocking(number, False)
        self.number, self.bytes, self.ended = number, b"", False

    def read(self, most=1 << 20):
        try:
            found = os.read(self.number, most)
        except BlockingIOError:
            return b""
        except OSError:  # a terminal whose other side is closed
            found = b""
        self.bytes += found
        self.ended = not found
        return found

    def lines(self):
        while self.read() and not self.ended:
            pass
        return self.bytes.decode("latin-1").replace("\r\n", "\n").split("\n")


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def borrowed(tmp_path):
    """A FIFO that cannot be opened a second time by who gets its writing end, since nobody reads as yet."""
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "fifo", os.O_WRONLY)
    os.close(reader)
    yield writer
    os.close(writer)


def reader_of(writer):
    return Reader(os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_NONBLOCK))


@pytest.fixture
def terminal():
    """Both sides; the inner one is taken for itself, so that it cannot be opened a second time either."""
    outer, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCEXCL)
    yield outer, inner
    for end in (outer, inner):
        os.close(end)


# ---- nobody waits for a reader


def fill(server, reader):
    """More than it reads, so that writes begin with too little room, again and again."""
    for _ in range(20):
        ask(server, 200)
        reader.read(6000)


def test_a_terminal_that_nobody_reads_holds_nobody_up(serve, terminal):
    outer, inner = terminal
    server = serve("--quiet", callbacks=False, access_log=f"fd:{inner}", error_log=f"fd:{inner}",
                   pass_fds=(inner,), wrapper=PLAIN)
    reader = Reader(outer)
    fill(server, reader)
    with Connection(server) as connection:
        assert connection.get("/log?level=1&text=one").status == 200
    wait_until(lambda: any("log lines lost: its reader is too slow" in line for line in reader.lines()),
               "the line about those that are missing")
    for line in reader.lines()[:-1]:
        assert ANSWERED.fullmatch(line) or "starting up" in line or "lost" in line or line == "one", line


def test_a_server_whose_terminal_nobody_reads_ends(serve, terminal):
    """Its logs, ten of them, wait for the reader together: two seconds for all, not for each."""
    outer, inner = terminal
    server = serve("--quiet", callbacks=False, loops=9, access_log=f"fd:{inner}", error_log=f"fd:{inner}",
                   pass_fds=(inner,), wrapper=PLAIN)
    fill(server, Reader(outer))
    assert server.command("stop", ms=0) == "EVY_OK"
    assert server.command("wait", ms=5000) == "EVY_OK"
    began = time.monotonic()
    server.finish()
    assert time.monotonic() - began < 9


def test_lines_go_to_the_outer_side_of_a_terminal(serve):
    """To open that side once more would be to make another terminal."""
    outer, inner = os.openpty()
    tty.setraw(inner)
    server = serve("--quiet", access_log=f"fd:{outer}", pass_fds=(outer,))
    ask(server, 20)
    reader = Reader(inner)
    wait_until(lambda: len(reader.lines()) == 21, "twenty lines")
    server.finish()
    os.close(outer)
    os.close(inner)


@one_loop
def test_lines_that_wait_at_the_end_are_still_written(serve, borrowed):
    server = serve("--quiet", callbacks=False, error_log="off", access_log=f"fd:{borrowed}",
                   pass_fds=(borrowed,))
    reader = reader_of(borrowed)
    ask(server, 400)
    end = threading.Thread(target=server.finish)
    end.start()

    def nothing_else_is_to_end():
        try:
            return server.threads() <= 2
        except FileNotFoundError:
            return True

    wait_until(nothing_else_is_to_end, "the logs to be the last")
    wait_until(lambda: len(reader.lines()) == 401, "all lines")
    end.join()
    assert all(ANSWERED.fullmatch(line) for line in reader.lines()[:-1])
    os.close(reader.number)


def test_a_log_that_needs_a_thread_and_gets_none_is_not_opened(faulty, borrowed):
    with pytest.raises(RuntimeError, match=f"option error_log: cannot open fd:{borrowed}: .*thread"):
        faulty("--quiet", callbacks=False, error_log=f"fd:{borrowed}", pass_fds=(borrowed,),
               first=("thread", "EAGAIN", 1))


# ---- whole lines


@pytest.mark.parametrize("whose", ["a pipe", "the host's"])
def test_two_logs_on_one_pipe_never_mix_their_lines(serve, pipe, borrowed, whose):
    writer = pipe[1] if whose == "a pipe" else borrowed
    server = serve("--quiet", callbacks=False, loops=2, access_log=f"fd:{writer}", error_log=f"fd:{writer}",
                   pass_fds=(writer,))
    reader = Reader(os.dup(pipe[0])) if whose == "a pipe" else reader_of(borrowed)
    for number in range(100):
        ask(server, 20, "a" * (200 + number % 7))
        with Connection(server) as connection:
            assert connection.get(f"/log?level=1&text={'E' * 150}").status == 200
        reader.read(3000)
    end = threading.Thread(target=server.finish)
    end.start()
    while end.is_alive():
        select.select([reader.number], [], [], 0.01)
        reader.read()
    whole = re.compile(ANSWERED.pattern + "|E{150}|.*starting up.*|evy: .* lost: .*|")
    torn = [line for line in reader.lines() if not whole.fullmatch(line)]
    assert not torn and len(reader.lines()) > 200, torn[:3]
    os.close(reader.number)


def test_a_line_longer_than_a_pipe_takes_at_once_arrives(serve, pipe):
    server = serve("--quiet", access_log=f"fd:{pipe[1]}", pass_fds=(pipe[1],))
    ask(server, 10, "l" * 7000)
    reader = Reader(pipe[0])

    def all_of_them():
        found = [line for line in reader.lines() if line]
        return found if len(found) == 10 else None

    assert all(ANSWERED.fullmatch(line) for line in wait_until(all_of_them, "ten lines"))


unsanitized = pytest.mark.skipif(SANITIZED, reason="a sanitizer maps files of its own, larger than that")


@one_loop
@unsanitized
def test_the_next_line_does_not_go_on_with_a_broken_one(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve("--quiet", access_log=str(path), wrapper=["prlimit", "--fsize=20000:"])
    ask(server, 200)
    assert path.stat().st_size == 20000 and not path.read_bytes().endswith(b"\n")
    subprocess.run(["prlimit", "--fsize=unlimited:", "--pid", str(server.pid)], check=True)
    ask(server, 20)
    wait_until(lambda: "lost: File too large" in path.read_text(), "the line about those that are missing")
    lines = path.read_text().splitlines()
    broken = [line for line in lines if not ANSWERED.fullmatch(line) and "lost" not in line]
    assert len(broken) == 1 and len(broken[0]) < 230, broken


@unsanitized
def test_a_limit_of_file_sizes_ends_no_thread_of_the_host(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve("--quiet", "--run", access_log=str(path), wrapper=["prlimit", "--fsize=20000"])
    ask(server, 200)
    with Connection(server) as connection:
        assert connection.alive()
    assert path.stat().st_size == 20000


# ---- lines that waited


@one_loop
@pytest.mark.parametrize("form", ["text", "json"])
def test_access_lines_that_waited_come_though_nothing_happens(serve, pipe, form):
    server = serve("--quiet", callbacks=False, error_log="off", access_log=f"fd:{pipe[1]}",
                   pass_fds=(pipe[1],), **({"access_log_format": "json"} if form == "json" else {}))
    ask(server, 2000)
    reader = Reader(pipe[0])

    def told():
        return [line for line in reader.lines() if "lost" in line]

    report = wait_until(told, "the line about those that are missing")
    lines = reader.lines()[:-1]
    assert len(report) == 1 and lines[-1] == report[0]
    if form == "json":
        for line in lines:
            json.loads(line)
        assert json.loads(report[0]) == {"lost": 2001 - len(lines), "reason": "its reader is too slow"}
    else:
        assert report[0] == f"evy: {2001 - len(lines)} log lines lost: its reader is too slow"


def test_lines_of_the_servers_own_log_that_waited_come_though_nothing_happens(serve, pipe):
    server = serve("--quiet", callbacks=False, access=False, error_log=f"fd:{pipe[1]}", pass_fds=(pipe[1],))
    with Connection(server) as connection:
        for _ in range(400):
            assert connection.get(f"/log?level=1&text={'z' * 200}").status == 200
        assert connection.get("/log?level=1&text=the-last-one").status == 200
        reader = Reader(pipe[0])
        wait_until(lambda: reader.lines()[-2:] == ["the-last-one", ""], "the last line")


def test_lines_for_a_broken_pipe_are_told_as_soon_as_somebody_reads(serve, borrowed):
    server = serve("--quiet", callbacks=False, error_log="off", access_log=f"fd:{borrowed}",
                   pass_fds=(borrowed,))
    asked = here = lost = 0
    while not lost:  # none, where the thread that writes had no processor until the reader came
        assert asked < 4000, "no line met a pipe without reader"
        ask(server, 40)
        asked += 40
        reader = reader_of(borrowed)

        def counts():
            lines = reader.lines()  # noqa: B023
            told = [int(line.split()[1]) for line in lines if "lost: Broken pipe" in line]
            return here + sum("GET /hello" in line for line in lines), lost + sum(told)  # noqa: B023

        wait_until(lambda: sum(counts()) == asked, lambda: f"{asked} lines: {counts()}")  # noqa: B023
        here, lost = counts()
        os.close(reader.number)


def test_lines_that_waited_come_where_the_host_steps(programs, pipe):
    """It steps when the descriptor is readable, and at the deadline it is told."""
    reader = Reader(pipe[0])
    os.set_blocking(pipe[1], False)
    size = 0
    while size < 1 << 24:
        try:
            size += os.write(pipe[1], b"\n" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(pipe[1], True)
    host = subprocess.Popen([programs["hostloop"], "step"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=pipe[1], text=True)
    port = int(host.stdout.readline().split()[1])
    with Connection(port=port) as connection:
        assert connection.get("/a").status == 200
        wait_until(lambda: any("starting up" in line for line in reader.lines()), "the line that waited")
    host.communicate("stop\n", timeout=3 * PATIENCE)
    assert host.returncode == 0
