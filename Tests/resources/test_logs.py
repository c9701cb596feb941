# SPDX-License-Identifier: MIT
# test_logs - log destinations that fill up, block, go away or are taken away: requests do not notice.

import os
import subprocess

import pytest
from lines import ask
from support import Connection, wait_until

LOST = "log lines lost"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_loses_lines_and_tells_how_many(serve, small_disk):
    log = small_disk / "access.log"
    server = serve("--quiet", access_log=str(log))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(208 << 10))
    ask(server, 1500)
    assert b"GET /hello" in log.read_bytes() and log.stat().st_size <= 48 << 10
    # At once for the server, which tells of its losses as soon as there is room.
    with server.stopped():
        ballast.unlink()
        log.write_bytes(b"")  # as logrotate's copytruncate does; lines go on at the new end
    ask(server, 100)
    wait_until(lambda: LOST in log.read_text(errors="replace"), "the line about those that are missing")
    report = [line for line in log.read_text().splitlines() if LOST in line]
    assert len(report) == 1 and "No space left on device" in report[0], report
    lost = int(report[0].split()[1])
    assert 0 < lost < 1600, report


def test_lines_that_waited_for_room_come_though_nothing_happens(serve, small_disk):
    log, ballast = small_disk / "access.log", small_disk / "ballast"
    ballast.write_bytes(bytes(240 << 10))
    server = serve("--quiet", access_log=str(log))
    ask(server, 200)
    assert log.read_bytes().count(b"\n") < 200
    ballast.unlink()
    wait_until(lambda: log.read_bytes().count(b"\n") == 200, "the lines that waited")


def test_the_error_log_on_a_full_disk_harms_nobody(serve, small_disk):
    log = small_disk / "error.log"
    (small_disk / "ballast").write_bytes(bytes(252 << 10))
    server = serve("--quiet", callbacks=False, error_log=str(log), access_log="/dev/full")
    with Connection(server) as connection:
        for _ in range(200):
            assert connection.get(f"/log?level=1&text={'y' * 500}").status == 200


def test_a_fifo_whose_reader_stops_and_goes_on(serve, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    server = serve("--quiet", access_log=str(path))
    ask(server, 3000)
    text = b""

    def read():
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        ask(server, 100)
        return LOST.encode() in text

    wait_until(read, "the line about those that are missing")
    assert b"its reader is too slow" in text
    os.close(reader)


def test_a_fifo_whose_reader_goes_and_comes_back(serve, tmp_path):
    """Without one every write is a broken pipe, which must not raise SIGPIPE in the host."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    server = serve("--quiet", access_log=str(path), error_log=str(path), callbacks=False)
    ask(server, 100)
    os.close(reader)
    ask(server, 300)
    with Connection(server) as connection:
        assert connection.get("/log?level=1&text=nobody").status == 200
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    ask(server, 100)
    text = b""

    def read():
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return LOST.encode() in text and text.count(b"GET /hello") >= 100

    wait_until(read, "lines again, and one about those that are missing")
    assert b"Broken pipe" in text
    os.close(reader)


def test_a_server_whose_log_readers_are_all_gone_stops_in_order(serve):
    reader, writer = os.pipe()
    server = serve("--quiet", callbacks=False, access_log=f"fd:{writer}", error_log=f"fd:{writer}",
                   pass_fds=(writer,))
    os.close(writer)
    os.close(reader)
    ask(server, 200)
    assert server.command("stop", ms=1000) == "EVY_OK"
    assert server.command("wait", ms=5000) == "EVY_OK"


def test_a_log_that_is_removed_goes_on_and_comes_back_when_opened_anew(serve, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "access.log"
    server = serve("--quiet", access_log=str(log))
    ask(server, 100)
    log.unlink()
    folder.rmdir()
    ask(server, 100)
    assert server.command("reopen") == "EVY_E_IO", "its folder is gone: the old file is kept"
    ask(server, 100)
    folder.mkdir()
    assert server.command("reopen") == "EVY_OK"
    ask(server, 100)
    wait_until(lambda: log.read_text().count("\n") == 100, "a hundred lines in the new file")


def test_a_slow_reader_of_standard_error_does_not_slow_down_requests(serve, tmp_path):
    """The host's own pipe, whose flags are left as they are."""
    reader, writer = os.pipe()
    server = serve("--quiet", callbacks=False, error_log=f"fd:{writer}", pass_fds=(writer,))
    flags = os.get_blocking(writer)
    with Connection(server) as connection:
        for _ in range(400):
            assert connection.get(f"/log?level=1&text={'z' * 900}").status == 200
    assert os.get_blocking(writer) == flags
    os.close(reader)
    os.close(writer)
