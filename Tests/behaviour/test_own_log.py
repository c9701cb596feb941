# SPDX-License-Identifier: MIT
# test_own_log - lines a host writes to the server's own log, and the level of that log while it runs.

import threading
from urllib.parse import quote

import pytest
from support import Connection, wait_until


def say(server, text, level=3):
    with Connection(server) as connection:
        return connection.get(f"/log?level={level}&text={quote(text)}").body.decode()


def test_a_line_reaches_the_callback_with_its_level(serve):
    server = serve()
    for level in (1, 2, 3, 4):
        assert say(server, f"line {level}", level) == "EVY_OK"
        assert server.expect("log", text=f"line {level}")["level"] == level


def test_a_line_reaches_the_error_log(serve, tmp_path):
    path = tmp_path / "error.log"
    server = serve(callbacks=False, error_log=str(path))
    assert say(server, "from the host") == "EVY_OK"
    wait_until(lambda: "from the host\n" in path.read_text(), "the line")


@pytest.mark.parametrize(
    "given, shown",
    [
        ("two\nlines\r\n", "two\\x0alines\\x0d\\x0a"),
        ("\x1b[31m\x7f", "\\x1b[31m\\x7f"),
        ("tab\tstays", "tab\tstays"),
        ("\x9b31mred \x80\x9f\xa0", "\\xc2\\x9b31mred \\xc2\\x80\\xc2\\x9f\xc2\xa0"),
        ("a\u2028b\u2029c\u202ad", "a\\xe2\\x80\\xa8b\\xe2\\x80\\xa9c\xe2\x80\xaad"),
        ("", ""),
    ],
)
def test_no_text_can_forge_a_line(serve, given, shown):
    server = serve()
    assert say(server, given) == "EVY_OK"
    server.expect("log", level=3, text=shown)


@pytest.mark.parametrize("level", [0, 5, -1, 99])
def test_a_level_that_does_not_exist_is_refused(serve, level):
    server = serve()
    assert say(server, "never", level) == "EVY_E_ARG"
    with Connection(server) as connection:
        assert connection.get(f"/level?set={level}").body == b"EVY_E_ARG 4"
    assert "never" not in server.logged(4)


def test_the_level_changes_while_the_server_runs(serve):
    server = serve(log_level="warn")
    with Connection(server) as connection:
        for level, text in ((1, "one"), (2, "two"), (3, "three"), (4, "four")):
            assert connection.get(f"/log?level={level}&text={text}").body == b"EVY_OK"
        assert connection.get("/level?set=4").body == b"EVY_OK 4"
        assert connection.get("/log?level=4&text=now").body == b"EVY_OK"
        server.expect("log", text="now")
        assert server.logged(4)[-3:] == ["one", "two", "now"], "dropped lines stay dropped"
        assert connection.get("/level?set=1").body == b"EVY_OK 1"
        connection.get("/log?level=2&text=quiet")
        connection.get("/log?level=1&text=loud")
        server.expect("log", text="loud")
        assert "quiet" not in server.logged(4)


def test_lines_of_many_threads_come_one_at_a_time(serve, tmp_path):
    path = tmp_path / "error.log"
    server = serve("--quiet", callbacks=False, error_log=str(path))

    def write(name):
        with Connection(server) as connection:
            for _ in range(50):
                connection.get(f"/log?text={name * 300}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: path.read_text().count("\n") >= 200, "200 lines")
    lines = [line for line in path.read_text().splitlines() if "starting up" not in line]
    assert len([line for line in lines if line in {name * 300 for name in "abcd"}]) == 200


# ---- options


@pytest.mark.parametrize("option", ["access_log", "error_log"])
@pytest.mark.parametrize(
    "value",
    ["stdout", "OFF", " off", "none", "-", "True", "false", "on ", "\tno", "NULL", "Stderr", "FD:3", " "],
)
def test_a_mistyped_word_is_no_file(serve, option, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=f"EVY_E_VALUE: : option {option}: .* is not off, stderr, fd:N"):
        serve(**{option: value})


@pytest.mark.parametrize("value", ["fd:-0", "fd:", "fd: 1", "fd:1x", "fd:99999999999"])
def test_a_descriptor_is_a_plain_number(serve, value):
    with pytest.raises(RuntimeError, match="EVY_E_VALUE: : option error_log: "):
        serve(error_log=value)


@pytest.mark.parametrize("option", ["access_log", "error_log", "access_log_format", "threads"])
def test_a_value_that_is_not_utf8_is_refused(serve, option, tmp_path):
    """It would else become another one, a file of another name for example."""
    with pytest.raises(RuntimeError, match=f"EVY_E_VALUE: : option {option}: the value is not UTF-8"):
        serve(**{option: f"{tmp_path}/caf\udce9"})
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_not_utf8_is_refused(serve, tmp_path):
    with pytest.raises(RuntimeError, match="EVY_E_VALUE: : cannot read address .*: it is not UTF-8"):
        serve(listen=[f"unix:{tmp_path}/caf\udce9"])
    assert list(tmp_path.iterdir()) == []


# ---- rotation


@pytest.mark.parametrize("blocked", ["access", "error"])
def test_a_log_that_cannot_be_opened_anew_keeps_no_other_from_it(serve, tmp_path, blocked):
    logs = {name: tmp_path / name for name in ("access", "error")}
    server = serve(callbacks=False, access_log=str(logs["access"]), error_log=str(logs["error"]))
    for path in logs.values():
        path.rename(f"{path}.1")
    logs[blocked].mkdir()
    assert server.command("reopen") == "EVY_E_IO"
    with Connection(server) as connection:
        connection.get("/log?level=1&text=after")
    for name in logs:
        place = tmp_path / (f"{name}.1" if name == blocked else name)
        wait_until(lambda: "after" in place.read_text(), f"a line in {place}")
