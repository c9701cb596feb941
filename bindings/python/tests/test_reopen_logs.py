# SPDX-License-Identifier: MIT
# test_reopen_logs - log rotation: Server.reopen_logs() opens the files of both logs anew.

import os

import evy
import pytest
from client import Connection, wait_until


def hello(env, start_response):
    start_response("200 OK", [])
    return [b"Hello"]


def get(server, target):
    with Connection(server) as connection:
        assert connection.get(target).status == 200


def wait_for(path, text):
    wait_until(lambda: path.exists() and text in path.read_text(), f"{text} in {path.name}")


def test_lines_go_to_the_new_file_from_then_on(serve, tmp_path):
    access, moved = tmp_path / "access", tmp_path / "access.1"
    server = serve(hello, access_log=str(access))
    get(server, "/one")
    wait_for(access, "/one")
    access.rename(moved)
    get(server, "/two")
    wait_for(moved, "/two")
    server.reopen_logs()
    get(server, "/three")
    wait_for(access, "/three")
    assert "/three" not in moved.read_text() and access.read_text().count("\n") == 1


def test_the_servers_own_log_too(serve, tmp_path):
    errors, moved = tmp_path / "errors", tmp_path / "errors.1"
    server = serve(hello, access_log="off", error_log=str(errors), log_level="debug")
    with Connection(server) as connection:
        connection.send(b"nonsense\r\n\r\n").ending()
    wait_for(errors, "refused")
    errors.rename(moved)
    before = moved.read_text()
    server.reopen_logs()
    with Connection(server) as connection:
        connection.send(b"nonsense\r\n\r\n").ending()
    wait_for(errors, "refused")
    assert moved.read_text() == before


def test_a_file_that_cannot_be_opened_keeps_the_old_one(serve, tmp_path):
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    server = serve(hello, access_log=str(folder / "access"))
    folder.rename(moved)
    with pytest.raises(evy.LogError, match=r"access_log: cannot open .*/logs/access: No such file") as caught:
        server.reopen_logs()
    assert isinstance(caught.value, OSError) and caught.value.name == "EVY_E_IO"
    get(server, "/kept")
    wait_for(moved / "access", "/kept")


def test_what_is_no_path_stays(serve, tmp_path):
    with open(tmp_path / "access", "a") as file:
        server = serve(hello, access_log=f"fd:{file.fileno()}")
        os.rename(tmp_path / "access", tmp_path / "moved")
        server.reopen_logs()
        get(server, "/one")
        wait_for(tmp_path / "moved", "/one")
    logged = serve(hello)
    logged.reopen_logs()
    get(logged, "/two")
    logged.log.expect("/two")


def test_behind_the_end_nothing_happens(serve, tmp_path):
    access = tmp_path / "access"
    server = serve(hello, access_log=str(access))
    server.stop(0)
    assert server.join(10)
    access.unlink()
    server.reopen_logs()
    assert not access.exists()
