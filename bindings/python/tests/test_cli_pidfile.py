# SPDX-License-Identifier: MIT
# test_cli_pidfile - what stands in a pid file already, and those that cannot be written.

import os
import signal

import pytest
from cli_harness import evy_cli  # noqa: F401


@pytest.mark.parametrize("content", ["0", "-1", "-" + "9" * 20, "9" * 20, "", "\xff"])
def test_pid_files_that_name_no_process(evy_cli, content):
    (evy_cli.folder / "pid").write_bytes(content.encode("latin-1"))
    run = evy_cli("-p", "pid")
    assert run.get().body == b"Hello" and (run.folder / "pid").read_text() == f"{run.pid}\n"
    assert run.end(signal.SIGTERM) == 0 and not (run.folder / "pid").exists()


def test_a_pid_file_that_cannot_be_written(evy_cli):
    (evy_cli.folder / "folder").mkdir()
    run = evy_cli("-p", "folder", "-b", "unix:sock")
    assert run.ended() == 1
    names = os.listdir(run.folder)
    assert "sock" not in names and not [one for one in names if one.startswith(".evy-")]
    run.err.expect("cannot write pid file .*folder: Is a directory")


def test_what_is_no_file_stays_what_it_is(evy_cli):
    os.mkfifo(evy_cli.folder / "fifo")
    run = evy_cli("-p", "fifo")
    assert run.ended() == 1
    run.err.expect("cannot write pid file .*fifo: it is there, and no regular file")
    assert (run.folder / "fifo").is_fifo()


@pytest.mark.parametrize("kind", ["fifo", "file of a process"])
def test_a_reload_to_what_is_another_s_keeps_the_old_name(evy_cli, kind):
    config, target = evy_cli.folder / "settings.py", evy_cli.folder / "target"
    config.write_text("pidfile = 'pid'\n")
    run = evy_cli("-c", "settings.py")
    assert run.get().body == b"Hello"
    if kind == "fifo":
        os.mkfifo(target)
    else:
        target.write_text(f"{os.getpid()}\n")
    config.write_text("pidfile = 'target'\n")
    run.signal(signal.SIGHUP)
    run.err.expect("pid file .*target: (it is there, and no regular file|process .* is running already)")
    assert (run.folder / "pid").read_text() == f"{run.pid}\n"
    assert target.is_fifo() or target.read_text() == f"{os.getpid()}\n"


def test_a_fifo_with_a_writer_is_not_waited_for(evy_cli):
    os.mkfifo(evy_cli.folder / "fifo")
    with os.fdopen(os.open(evy_cli.folder / "fifo", os.O_RDWR)):
        run = evy_cli("-p", "fifo")
        assert run.ended() == 1
        run.err.expect("cannot write pid file .*fifo: it is there, and no regular file")


def test_a_daemon_tells_of_its_pid_file_while_somebody_listens(evy_cli):
    (evy_cli.folder / "pid").write_text(f"{os.getpid()}\n")
    for path, text in (
        ("pid", f"^evy: pid file .*/pid: process {os.getpid()} is running already"),
        (".", "^evy: cannot write pid file .*: Is a directory"),
        ("nowhere/pid", "^evy: cannot write pid file .*/nowhere/pid: No such file or directory"),
    ):
        run = evy_cli("-D", "-p", path, bind="unix:sock")
        assert run.ended() == 1 and run.err.matching(text)
    assert (run.folder / "pid").read_text() == f"{os.getpid()}\n" and not (run.folder / "sock").exists()
