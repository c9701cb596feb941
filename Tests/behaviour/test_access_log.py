# SPDX-License-Identifier: MIT
# test_access_log - one line per request after its hooks, in the ancestors' or an own format, never raw.

import os
import re
import socket
from datetime import datetime, timedelta, timezone

import pytest
from support import FACTOR, Connection, all_responses, raw_request, wait_until

DEFAULT = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4} \d\d:\d\d:\d\d\] "(.*)" (\d+) (\d+) (\d+\.\d{6})'
)


def lines_of(path, count):
    """The lines of a log file once there are so many."""

    def enough():
        text = path.read_text("latin-1") if path.exists() else ""
        return text.splitlines() if text.count("\n") >= count else None

    found = wait_until(enough, f"{count} lines in {path}")
    assert len(found) == count
    return found


def test_default_format_field_by_field(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(access_log=str(path))
    with Connection(server) as connection:
        counted = connection.get("/slow?ms=30").byte_count
    line = DEFAULT.fullmatch(lines_of(path, 1)[0])
    assert line, path.read_text()
    assert line[1] == "GET /slow?ms=30 HTTP/1.1"
    assert (int(line[2]), int(line[3])) == (200, counted)
    assert 0.03 <= float(line[4]) < 5


def test_a_file_is_private_and_appended_to(serve, tmp_path):
    path = tmp_path / "access.log"
    for count in (1, 2):
        server = serve(access_log=str(path))
        with Connection(server) as connection:
            connection.get("/hello")
        server.finish()
        lines_of(path, count)
    assert path.stat().st_mode & 0o777 & ~0o640 == 0


def test_rotated_files_are_opened_anew(serve, tmp_path):
    access, errors = tmp_path / "access.log", tmp_path / "error.log"
    server = serve(callbacks=False, access_log=str(access), error_log=str(errors))
    with Connection(server) as connection:
        for round_ in range(3):
            connection.get(f"/hello?{round_}")
            assert f"?{round_} " in lines_of(access, 1)[0]
            access.rename(tmp_path / f"access.{round_}")
            assert server.command("reopen") == "EVY_OK"
            assert errors.exists()
        access.unlink()
        access.mkdir()
        assert server.command("reopen") == "EVY_E_IO"
        connection.get("/last")
    server.finish()
    for round_ in range(3):
        lines_of(tmp_path / f"access.{round_}", 1)


def test_lines_go_to_a_descriptor_or_stderr(serve):
    reader, writer = os.pipe()
    server = serve(access_log=f"fd:{writer}", pass_fds=(writer,))
    os.close(writer)
    with Connection(server) as connection:
        connection.get("/hello")
    with os.fdopen(reader) as log:
        assert DEFAULT.fullmatch(log.readline().rstrip("\n"))
    server = serve(access_log="stderr")
    with Connection(server) as connection:
        connection.get("/hello")
    wait_until(lambda: DEFAULT.search(server.stderr()), "a line on stderr")


def test_off_is_the_default(serve):
    server = serve(access=False)
    with Connection(server) as connection:
        connection.get("/hello")
    server.expect("hook")
    assert "GET /hello" not in server.stderr() and not server.select("access")


FIELDS = [
    "client_ip",
    "client_port",
    "request_line",
    "status_code",
    "body_length",
    "body_bytes",
    "wire_bytes",
    "acked_bytes",
    "aborted",
    "user_agent",
    "referer",
    "request_id",
]


def test_own_format_with_every_field(serve):
    server = serve(access_log_format="|".join(f"%({field})s" for field in FIELDS) + "|100%%")
    with Connection(server) as connection:
        port = connection.socket.getsockname()[1]
        answer = connection.get("/chunked?n=3000", "User-Agent: me/1", "Referer: http://r/")
    event = server.expect("access")
    found = dict(zip(FIELDS + ["percent"], event["line"].split("|")))
    assert found["client_ip"] == "127.0.0.1" and found["client_port"] == str(port)
    assert found["request_line"] == "GET /chunked?n=3000 HTTP/1.1" and found["status_code"] == "200"
    assert found["body_length"] == found["wire_bytes"] == str(answer.byte_count)
    assert found["body_bytes"] == "3000" and found["user_agent"] == "me/1" and found["referer"] == "http://r/"
    assert 0 <= int(found["acked_bytes"]) <= answer.byte_count
    assert found["request_id"] == str(event["id"]) and found["percent"] == "100%"
    assert found["aborted"] not in ("complete", "client-reset")


def test_missing_fields_are_a_dash(serve):
    server = serve(access_log_format="%(user_agent)s %(referer)s %(aborted)s")
    with Connection(server) as connection:
        connection.get("/hello")
    assert server.expect("access")["line"] == "- - -"


@pytest.mark.parametrize(
    "target, reset, word",
    [
        ("/abort?when=head", False, "aborted"),
        ("/nothing", False, "handler-error"),
        ("/streamed?n=30000000", True, "client-reset"),
    ],
)
def test_the_end_is_a_word_in_the_log(serve, target, reset, word):
    server = serve(access_log_format="%(aborted)s")
    connection = Connection(server, rcvbuf=4096)
    connection.send(raw_request("GET", target))
    if reset:
        connection.receive(100)
        connection.reset()
    else:
        connection.ending() if "abort" in target else connection.response()
        connection.close()
    assert server.expect("access")["line"] == word


@pytest.mark.parametrize("text", ["%(no_such_field)s", "%(client_ip", "%(client_ip)", "%q"])
def test_a_wrong_format_is_named_at_the_start(serve, text):
    with pytest.raises(RuntimeError, match="access_log_format"):
        serve(access_log_format=text)


def test_an_unwritable_log_is_named_at_the_start(serve):
    with pytest.raises(RuntimeError, match="/nonexistent/access.log"):
        serve(access_log="/nonexistent/access.log")


@pytest.mark.parametrize(
    "raw, status",
    [
        (b'GET /"quote HTTP/1.1\r\nHost: x\r\n\r\n', None),
        (b"GET /back\\slash HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (b"GET /\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01 HTTP\r\n\r\n", 400),
        (b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\ \xe4\r\nReferer: \xff"\r\n\r\n', 200),
    ],
)
def test_hostile_bytes_are_escaped(serve, raw, status):
    server = serve(access_log_format='"%(request_line)s" "%(user_agent)s" "%(referer)s" %(status_code)s')
    with Connection(server) as connection:
        connection.send(raw)
        answer = connection.response()
        assert status is None or answer.status == status
    line = server.expect("access")["line"]
    assert re.fullmatch(r'"[^"]*" "[^"]*" "[^"]*" \d+', line), line
    assert all(0x20 <= ord(c) < 0x7F for c in line), line
    assert line.count("\\") == len(re.findall(r"\\x[0-9a-f]{2}", line)), line


def test_refused_requests_have_a_line(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(access_log=str(path))
    for raw in (
        b"BROKEN\r\n\r\n",
        raw_request("GET", "/" + "a" * 9000),
        raw_request("GET", "/", ["X: y"] * 200),
    ):
        with Connection(server) as connection:
            connection.send_lenient(raw)
            connection.ending()
    found = [DEFAULT.fullmatch(line) for line in lines_of(path, 3)]
    assert [match[2] for match in found] == ["400", "414", "431"]
    assert found[0][1] == "BROKEN"


def test_forwarded_for_counts_only_when_trusted(serve):
    for trusted, expected in (("false", "127.0.0.1"), ("true", "1.2.3.4,5.6.7.8,127.0.0.1")):
        server = serve(log_x_forwarded_for=trusted, access_log_format="%(client_ip)s")
        with Connection(server) as connection:
            connection.get("/hello", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")
        assert server.expect("access")["line"] == expected


def test_forwarded_for_of_several_lines_is_one_list(serve):
    """Each proxy on the way may add a line of its own; the last alone is not what environ says."""
    server = serve(log_x_forwarded_for="true", access_log_format="%(client_ip)s|%(x_forwarded_for)s")
    with Connection(server) as connection:
        connection.get("/hello", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8, 9.9.9.9")
    client, forwarded = server.expect("access")["line"].split("|")
    assert client == "1.2.3.4,5.6.7.8,9.9.9.9,127.0.0.1"
    assert forwarded == "1.2.3.4, 5.6.7.8, 9.9.9.9"


def test_date_time_is_local_and_has_no_zone(serve, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # UTC+05:45
    server = serve(access_log_format="%(date_time)s")
    with Connection(server) as connection:
        connection.get("/hello")
    told = datetime.strptime(server.expect("access")["line"], "%d/%b/%Y %H:%M:%S")
    now = datetime.now(timezone(timedelta(hours=5, minutes=45))).replace(tzinfo=None)
    assert abs((now - told).total_seconds()) < 60 * FACTOR


def test_five_hundred_mixed_requests_one_line_each_and_sums_agree(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(access_log=str(path), access_log_format="%(wire_bytes)s %(acked_bytes)s %(aborted)s")
    counted = 0
    for _ in range(100):
        with Connection(server) as connection:
            connection.send(
                raw_request("GET", "/hello") * 3
                + raw_request("GET", "/chunked?n=70000", ["Connection: close"])
            )
            data, _ = connection.ending()
            assert len(all_responses(data)) == 4
            counted += len(data)
        connection = Connection(server, rcvbuf=4096)
        connection.send(raw_request("GET", "/streamed?n=8000000"))
        connection.receive(1)
        connection.reset()
    lines = [line.split() for line in lines_of(path, 500)]
    complete = [line for line in lines if line[2] == "-"]
    assert len(complete) == 400
    assert sum(int(line[0]) for line in complete) == counted
    assert {line[2] for line in lines} == {"-", "client-reset"}


def test_informational_answers_that_never_left_are_not_taken_off(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve("--quiet", access_log=str(path), access_log_format="%(body_length)s %(wire_bytes)s",
                   write_timeout="1s")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(raw_request("GET", f"/inform?times=60000&name=Link&value={'v' * 200}"))
        length, wire = map(int, lines_of(path, 1)[0].split())
    assert wire > 100000 and 0 <= length < 1000, (length, wire)


def test_lines_of_many_connections_are_never_mixed(serve, tmp_path):
    import threading

    path = tmp_path / "access.log"
    server = serve("--quiet", access_log=str(path))

    def run(name):
        with Connection(server) as connection:
            for _ in range(10):
                connection.send(raw_request("GET", f"/hello?{name * 200}") * 20)
                for _ in range(20):
                    connection.response()

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for line in lines_of(path, 800):
        assert DEFAULT.fullmatch(line) and re.search(r"\?(a{200}|b{200}|c{200}|d{200}) ", line), line


def test_a_full_disk_never_stops_the_server(serve):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    server = serve(access_log="/dev/full")
    with Connection(server) as connection:
        for _ in range(200):
            assert connection.alive()


def test_a_log_pipe_that_nobody_reads_never_stops_the_server(serve):
    reader, writer = os.pipe()
    server = serve("--quiet", access_log=f"fd:{writer}", pass_fds=(writer,))
    os.close(writer)
    with Connection(server) as connection:
        for _ in range(30):
            connection.send(raw_request("GET", "/hello") * 100)
            for _ in range(100):
                assert connection.response().status == 200
    os.close(reader)
    with Connection(server) as connection:
        assert connection.alive(), "a closed log pipe must not raise SIGPIPE"
