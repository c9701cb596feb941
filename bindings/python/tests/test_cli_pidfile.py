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


def test_a_daemon_tells_of_its_pid_file_while_somebody_listens(evy_cli):
    (evy_cli.folder / "pid").write_text(f"{os.getpid()}\n")
    for path, text in (
        ("pid", f"^evy: pid file .*/pid: process {os.getpid()} is running already"),
        ("nowhere/pid", "^evy: cannot write pid file .*/nowhere/pid: No such file or directory"),
    ):
        run = evy_cli("-D", "-p", path, bind="unix:sock")
        assert run.ended() == 1 and run.err.matching(text)
    assert (run.folder / "pid").read_text() == f"{os.getpid()}\n" and not (run.folder / "sock").exists()
