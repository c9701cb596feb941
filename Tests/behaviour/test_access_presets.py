# SPDX-License-Identifier: MIT
# test_access_presets - common, combined and json lines, request ids and trace ids, from real requests.

import json
import re
import time
from datetime import datetime, timezone

import pytest
from support import FACTOR, Connection, chunks, raw_request

COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "([^"]*)" (\d{3}) (\d+)'
    r'(?: "([^"]*)" "([^"]*)")?'
)
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("preset", ["common", "combined"])
def test_lines_that_log_tools_know(serve, preset, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # UTC+05:45
    server = serve(access_log_format=preset)
    with Connection(server) as connection:
        connection.get("/hello?a=1", "User-Agent: me/1", 'Referer: "quoted"')
    found = COMBINED.fullmatch(server.expect("access")["line"])
    assert found and found[1] == "127.0.0.1" and found[3] == "GET /hello?a=1 HTTP/1.1"
    assert (found[4], found[5]) == ("200", "15"), "the size of the body, as others mean it"
    assert (found[6], found[7]) == ((None, None) if preset == "common" else ("\\x22quoted\\x22", "me/1"))
    told = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z")
    assert found[2].endswith("+0545") and abs(told.timestamp() - time.time()) < 60 * FACTOR


def entry(server):
    line = server.expect("access")["line"]
    assert "\n" not in line and "\r" not in line
    return json.loads(line)


def test_a_json_line_has_every_field_with_its_type(serve):
    server = serve(access_log_format="json", body="stream")
    with Connection(server) as connection:
        port = connection.socket.getsockname()[1]
        body = chunks(b"ab", b"cde")
        head = raw_request("POST", "/pull?x=%22", ["Transfer-Encoding: chunked", "User-Agent: me"])
        answer = connection.send(head + body).response()
    found = entry(server)
    told = datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert abs(told.timestamp() - time.time()) < 60 * FACTOR
    assert found["client_ip"] == "127.0.0.1" and found["client_port"] == port
    assert found["request_line"] == "POST /pull?x=%22 HTTP/1.1" and found["method"] == "POST"
    assert (found["path"], found["query"], found["protocol"]) == ("/pull", "x=%22", "HTTP/1.1")
    assert (found["scheme"], found["host"], found["user_agent"]) == ("http", "test.example", "me")
    assert found["status_code"] == answer.status == 200
    assert found["wire_bytes"] == found["body_length"] == answer.byte_count
    assert found["head_bytes"] + found["body_bytes"] == found["wire_bytes"]
    assert (found["bytes_received"], found["wire_received"]) == (5, len(head + body))
    assert 0 <= found["ttfb"] <= found["wall_seconds"] < 10
    assert found["requests_on_connection"] == 1 and found["pid"] == server.pid
    for absent in ("referer", "aborted", "x_forwarded_for", "header_id", "trace_id", "parent_id"):
        assert found[absent] is None
    assert not {"date_time", "tz", "time_local"} & set(found)


@pytest.mark.parametrize(
    "raw, shown",
    [
        (b'"quote\\', '"quote\\'),
        ("Grüße".encode(), "Grüße"),
        (b"\xe4\xff\xc0\xaf", "\ufffd" * 4),
        (b"\xed\xa0\x80!", "\ufffd\ufffd\ufffd!"),
        (b"\xc2\x85\xe2\x80\xa8", "\x85\u2028"),
    ],
)
def test_any_bytes_of_a_client_are_valid_json(serve, tmp_path, raw, shown):
    path = tmp_path / "access.log"
    server = serve(access_log=str(path), access_log_format="json")
    with Connection(server) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: " + raw + b"\r\n\r\n")
        assert connection.response().status == 200
    server.finish()
    text = path.read_bytes().decode()
    assert text.count("\n") == 1 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", text)
    assert json.loads(text)["user_agent"] == shown


def test_refused_and_cut_requests_are_json_too(serve):
    server = serve(access_log_format="json")
    with Connection(server) as connection:
        connection.send_lenient(b"BRO\x01KEN\r\n\r\n").ending()
    found = entry(server)
    assert found["status_code"] == 400 and found["aborted"] == "protocol" and found["path"] is None
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/nothing"))
        connection.ending()
    assert json.loads(server.expect("access", 2)[1]["line"])["aborted"] == "handler-error"


# ---- request ids

OWN = re.compile(r"[0-9a-f]{32}")


def ids(server, *fields):
    """What the handler saw (asked twice, and in the list of keys), and what the log shows."""
    before = len(server.select("access"))
    with Connection(server) as connection:
        seen = connection.get("/key?name=HTTP_X_REQUEST_ID", *fields).body.decode().split("|")
    assert len(set(seen)) == 1, seen
    lines = server.expect("access", before + 1)
    return seen[0], (lines if before == 0 else lines[-1])["line"]


def test_a_request_without_an_id_gets_one(serve):
    server = serve(request_id_header="X-Request-ID", access_log_format="%(header_id)s")
    first, logged = ids(server)
    assert OWN.fullmatch(first) and logged == first
    second, logged = ids(server)
    assert OWN.fullmatch(second) and logged == second != first


@pytest.mark.parametrize("sent", ["abc-1", "a" * 128, "01J/x+y=.~:@_"])
def test_the_id_of_the_client_is_kept(serve, sent):
    server = serve(request_id_header="x-request-id", access_log_format="%(header_id)s")
    assert ids(server, f"X-REQUEST-ID: {sent}") == (sent, sent)


@pytest.mark.parametrize(
    "fields",
    [
        ["X-Request-ID:"],
        ["X-Request-ID: " + "a" * 129],
        ["X-Request-ID: two words"],
        ['X-Request-ID: quo"te'],
        ["X-Request-ID: \xe4"],
        ["X-Request-ID: one", "X-Request-ID: two"],
    ],
)
def test_what_is_no_id_is_replaced(serve, fields):
    server = serve(request_id_header="X-Request-ID", access_log_format="%(header_id)s")
    seen, logged = ids(server, *fields)
    assert OWN.fullmatch(seen) and logged == seen


def test_without_the_option_nothing_is_made_or_changed(serve):
    server = serve(access_log_format="%(header_id)s")
    assert ids(server) == ("-", "-")
    assert ids(server, "X-Request-ID: two words") == ("two words", "-")


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "host", "X Request", "X_Request_ID", "a" * 65, "X:"]
    + ["X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Port", "X-Forwarded-Proto", "Forwarded", "Proxy"]
    + ["Proxy-Authorization", "Range", "Traceparent"],
)
def test_a_header_that_cannot_carry_ids_is_refused(serve, name):
    with pytest.raises(RuntimeError, match="option request_id_header: "):
        serve(request_id_header=name)


# ---- W3C trace context


@pytest.mark.parametrize(
    "fields, expected",
    [
        ([f"traceparent: 00-{TRACE}-{PARENT}-01"], f"{TRACE} {PARENT}"),
        ([f"TraceParent: cc-{TRACE}-{PARENT}-00-more"], f"{TRACE} {PARENT}"),
        ([f"traceparent: ff-{TRACE}-{PARENT}-01"], "- -"),
        ([f"traceparent: 00-{'0' * 32}-{PARENT}-01"], "- -"),
        ([f"traceparent: 00-{TRACE.upper()}-{PARENT}-01"], "- -"),
        ([f"traceparent: 00-{TRACE}-{PARENT}-01"] * 2, "- -"),
        ([], "- -"),
    ],
)
def test_a_valid_trace_parent_is_in_the_log(serve, fields, expected):
    server = serve(access_log_format="%(trace_id)s %(parent_id)s")
    with Connection(server) as connection:
        connection.get("/hello", *fields)
    assert server.expect("access")["line"] == expected
