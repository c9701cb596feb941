# SPDX-License-Identifier: MIT
# test_accounting - the byte counts hooks see are the client's own, to the byte, and what its TCP took.

import socket
import time

import pytest
from support import Connection, chunks, pattern, raw_request, wait_until

TOTAL = 26_214_400  # a promised length no early leaver ever gets
TARGET = f"/streamed?n={TOTAL}&piece=65536"


def measured(server, raw, method="GET"):
    """(hook figures, bytes the client counted, response) of one request on a new connection."""
    with Connection(server) as connection:
        connection.send(raw)
        answer = connection.response(method)
    hook = server.expect("hook", name="figures")
    return hook, answer.byte_count, answer


@pytest.mark.parametrize(
    "target",
    [
        "/hello",
        "/fixed?n=0",
        "/fixed?n=100000",
        "/streamed?n=50000&piece=999",
        "/chunked?n=50000&piece=999",
        "/chunked?n=0",
        "/deferred",
        "/nosuch",
        "/nothing",
    ],
)
def test_counts_equal_what_the_client_counted(either, target):
    server = either()
    hook, counted, answer = measured(server, raw_request("GET", target))
    stats = hook["stats"]
    assert (stats["wire_out"], stats["body_out"]) == (counted, len(answer.body))
    assert stats["status"] == answer.status
    assert stats["tls"] == int(server.tls)
    assert stats["requests"] == 1
    expected = int(answer["Content-Length"]) if answer["Content-Length"] is not None else -1
    assert stats["content_length"] == expected


@pytest.mark.parametrize(
    "method, target",
    [("HEAD", "/fixed?n=5000"), ("GET", "/status?code=204&n=10"), ("GET", "/status?code=304&n=10")],
)
def test_a_body_that_never_goes_out_is_not_counted(serve, method, target):
    hook, counted, _ = measured(serve(), raw_request(method, target), method)
    assert hook["stats"]["body_out"] == 0
    assert hook["stats"]["wire_out"] == hook["stats"]["head_out"] == counted


@pytest.mark.parametrize("mode, path", [("buffer", "/buffered"), ("stream", "/pull"), ("stream", "/push")])
def test_bytes_in_are_the_requests_own(either, mode, path):
    server = either(body=mode)
    plain = raw_request("POST", path, ["X-A: b"], body=pattern(5000))
    chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunks(
        b"abc", b"de" * 100, last=b"0\r\nX-T: 1\r\n\r\n"
    )
    get = raw_request("GET", "/hello")
    with Connection(server) as connection:
        connection.send(plain + chunked + get)
        for _ in range(3):
            connection.response()
    stats = [hook["stats"] for hook in server.expect("hook", count=3)]
    assert [s["wire_in"] for s in stats] == [len(plain), len(chunked), len(get)]
    assert [s["body_in"] for s in stats] == [5000, 203, 0]
    assert [s["requests"] for s in stats] == [1, 2, 3]
    assert [s["kept_alive"] for s in stats] == [1, 1, 1]


def test_counts_of_pipelined_answers_are_kept_apart(either):
    server = either()
    with Connection(server) as connection:
        connection.send(b"".join(raw_request("GET", f"/fixed?n={n * 100}") for n in range(30)))
        counted = [connection.response().byte_count for _ in range(30)]
    stats = [hook["stats"] for hook in server.expect("hook", count=30)]
    assert [s["wire_out"] for s in stats] == counted
    assert [s["body_out"] for s in stats] == [n * 100 for n in range(30)]


def test_kept_alive_is_zero_when_the_connection_closes(serve):
    server = serve()
    with Connection(server) as connection:
        connection.get("/hello", "Connection: close")
    assert server.expect("hook")["stats"]["kept_alive"] == 0


def test_times_are_microseconds_from_the_complete_head(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(b"GET /slow?ms=60 HTTP/1.1\r\n")
        assert connection.silent(0.2)
        start = time.monotonic()
        connection.send(b"Host: x\r\n\r\n").response()
    stats = server.expect("hook")["stats"]
    assert 55_000 <= stats["us_first_byte"] <= stats["us_total"] <= microseconds_since(start)


def microseconds_since(start):
    """By this clock, which is the server's as well."""
    return (time.monotonic() - start) * 1e6


def test_first_byte_of_a_streamed_answer_comes_before_its_end(serve):
    server = serve()
    with Connection(server, rcvbuf=4096) as connection:
        start, before = time.monotonic(), connection.tcp_bytes_received()
        connection.send(raw_request("GET", "/streamed?n=10000000"))
        wait_until(lambda: connection.tcp_bytes_received() > before, "the first byte")
        first = microseconds_since(start)
        time.sleep(0.2)  # the client does not read yet
        connection.response()
    stats = server.expect("hook")["stats"]
    assert stats["us_first_byte"] <= first and stats["us_first_byte"] + 200_000 <= stats["us_total"]


def leave(server, connection, how):
    if how == "reset":
        connection.reset()
    else:
        turns = server.counters()["evy_loop_turns_total"]
        connection.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.counters()["evy_loop_turns_total"] > turns, "the server to see the FIN")
        connection.close()


@pytest.mark.parametrize(
    "how, ends", [("reset", ("client-reset",)), ("fin", ("client-closed", "client-reset"))]
)
def test_an_early_leaver_is_charged_what_its_tcp_received(either, how, ends):
    """25 MiB are promised; the client takes 1,000 bytes, looks at its own TCP and leaves."""
    server = either()
    connection = Connection(server, rcvbuf=4096)
    before = connection.tcp_bytes_received()
    connection.send(raw_request("GET", TARGET))
    taken = 0
    while taken < 1000:
        taken += len(connection.receive(1000 - taken))
    received = connection.wait_until_full()
    leave(server, connection, how)
    hook = server.expect("hook", name="figures")
    stats = hook["stats"]
    assert hook["end"] in ends and hook["gone"] == 1
    assert stats["content_length"] == TOTAL and stats["body_out"] < TOTAL
    assert 1000 <= stats["acked"] < 1 << 20 and stats["acked"] <= stats["wire_out"]
    if server.tls:
        assert abs(stats["acked"] - (received - before)) <= 65536 + 2 * 16384
    elif how == "reset":
        assert stats["acked"] == received, "acked is the client's own tcpi_bytes_received"
    else:
        assert abs(stats["acked"] - received) <= 65536
    with Connection(server) as full:
        answer = full.get(TARGET)
    done = server.expect("hook", count=2, name="figures")[1]
    assert (done["end"], done["stats"]["body_out"]) == ("complete", TOTAL)
    assert done["stats"]["wire_out"] == answer.byte_count
    lines = server.expect("access", count=2)
    assert [line["stats"]["wire_out"] for line in lines] == [stats["wire_out"], done["stats"]["wire_out"]]
    assert not [text for text in server.logged(worst=3) if "starting" not in text]


@pytest.mark.parametrize("rcvbuf", [4096, None])
def test_acked_is_exact_after_a_reset(serve, rcvbuf):
    server = serve()
    connection = Connection(server, rcvbuf=rcvbuf)
    connection.send(raw_request("GET", TARGET))
    received = connection.wait_until_full()
    connection.reset()
    assert server.expect("hook")["stats"]["acked"] == received


def test_acked_of_a_kept_connection_is_per_response(serve):
    """Earlier responses on the connection do not count into the aborted one."""
    server = serve()
    connection = Connection(server, rcvbuf=4096)
    for _ in range(5):
        assert len(connection.get("/fixed?n=20000").body) == 20000
    before = connection.tcp_bytes_received()
    connection.send(raw_request("GET", TARGET))
    received = connection.wait_until_full() - before
    connection.reset()
    hook = server.expect("hook", count=6)[5]
    assert hook["stats"]["acked"] == received and hook["stats"]["requests"] == 6


def test_acked_is_not_more_than_sent_after_a_complete_answer(either):
    server = either()
    with Connection(server) as connection:
        connection.get("/fixed?n=100000")
    stats = server.expect("hook")["stats"]
    assert 0 <= stats["acked"] <= stats["wire_out"]


def test_acked_is_unknown_on_a_unix_socket(serve, tmp_path):
    path = str(tmp_path / "evy.sock")
    server = serve(listen=[f"unix:{path}"])
    with Connection(address=path, family=socket.AF_UNIX) as connection:
        connection.get("/fixed?n=1000")
    assert server.expect("hook")["stats"]["acked"] == -1


def test_write_timeout_and_stop_are_accounted(either):
    server = either(write_timeout="300ms")
    connection = Connection(server, rcvbuf=4096)
    connection.send(raw_request("GET", TARGET))
    hook = server.expect("hook", name="figures")
    assert hook["end"] == "write-timeout"
    assert 0 < hook["stats"]["acked"] <= hook["stats"]["wire_out"] < TOTAL
    connection.close()


def test_sum_over_many_mixed_requests(serve):
    """500 requests, each fifth is abandoned: complete ones sum up to what the clients counted."""
    server = serve()
    counted = 0
    for i in range(100):
        with Connection(server) as connection:
            for target in ("/hello", f"/fixed?n={i * 100}", f"/chunked?n={i * 50}&piece=999", "/nosuch"):
                counted += connection.get(target).byte_count
        connection = Connection(server, rcvbuf=4096)
        connection.send(raw_request("GET", "/streamed?n=8000000"))
        connection.receive(500)
        connection.reset()
    lines = server.expect("access", count=500, patience=30)
    wait_until(lambda: len(server.select("access")) == 500, "exactly 500 lines")
    complete = [line for line in lines if line["end"] == "complete"]
    assert len(complete) == 400
    assert sum(line["stats"]["wire_out"] for line in complete) == counted
    assert {line["end"] for line in lines} == {"complete", "client-reset"}


@pytest.mark.parametrize("target", ["/fixed?n=5000", "/streamed?n=5000"])
def test_a_head_answer_tells_the_promised_length(serve, target):
    stats = measured(serve(), raw_request("HEAD", target), "HEAD")[0]["stats"]
    assert (stats["content_length"], stats["body_out"]) == (5000, 0)


@pytest.mark.parametrize(
    "target, status, end",
    [
        ("/abort?when=before", 0, "aborted"),
        ("/abort?when=body", 200, "aborted"),
        ("/unfinished", 200, "handler-error"),
        ("/promise?promise=10&send=3", 200, "handler-error"),
        ("/deferred?how=abort", 0, "aborted"),
    ],
)
def test_the_status_is_what_the_client_was_sent(either, target, status, end):
    """Zero where no head went out; a cut answer keeps the status that did, in hook and line alike."""
    server = either(access_log_format="%(status_code)s %(aborted)s %(wire_bytes)s")
    with Connection(server) as connection:
        connection.send(raw_request("GET", target))
        data, _ = connection.ending()
    hook = server.expect("hook", name="figures")
    assert (hook["stats"]["status"], hook["end"]) == (status, end)
    assert hook["stats"]["wire_out"] == len(data)
    line = server.expect("access")["line"]
    assert line == f"{status or '-'} {end} {len(data)}"


def test_a_request_cut_by_the_stop_before_its_head_has_no_status(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/deferred?gate=1"))
        server.expect("call", step="deferred")
        server.command("stop", 0, 0)
        assert connection.ending()[0] == b""
    hook = server.expect("hook", name="figures")
    assert (hook["end"], hook["stats"]["status"], hook["stats"]["wire_out"]) == ("shutdown", 0, 0)
    assert hook["stats"]["us_first_byte"] == -1
    server.command("open", 1)


def test_hooks_wait_for_the_last_byte_and_not_only_for_the_handler(serve):
    """The handler has handed over 20 MB and returned; the hook comes when the kernel has the last of them."""
    server = serve()
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/fixed?n=20000000"))
        assert server.call("respond") == "EVY_OK"
        time.sleep(0.3)  # the client does not read yet: us_total has to hold this time
        assert not server.select("hook") and not server.select("access")
        answer = connection.response()
        assert answer.body == pattern(20_000_000)
    hook = server.expect("hook", name="figures")
    assert (hook["end"], hook["stats"]["wire_out"]) == ("complete", answer.byte_count)
    assert hook["stats"]["us_total"] > 250_000 + hook["stats"]["us_first_byte"]


# ---- the access line's figures


def test_body_length_counts_the_whole_answer_and_not_100_continue(serve):
    server = serve(body="stream", access_log_format="%(body_length)s %(wire_bytes)s")
    with Connection(server) as connection:
        connection.send(
            b"POST /pull HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        interim = connection.response().byte_count
        answer = connection.send(b"abc").response()
    assert interim == 25
    line = server.expect("access")["line"]
    assert line == f"{answer.byte_count} {answer.byte_count + interim}"


def test_wall_seconds_ends_before_the_hooks(serve):
    server = serve(access_log_format="%(wall_seconds)s")
    with Connection(server) as connection:
        start = time.monotonic()
        connection.get("/hooks?n=1&gate=1")
        server.expect("call", step="hook-waits")
        most = microseconds_since(start)
        assert connection.silent(0.4)
        server.command("open", 1)
        line = server.expect("access")
    assert float(line["line"]) * 1e6 <= most and line["stats"]["us_total"] <= most


# ---- a body that the handler leaves unread


def test_an_unread_body_that_never_comes_is_not_waited_for_long(serve):
    """The answer was whole at once: hook, line and the connection's end are due soon, not at body_timeout."""
    server = serve(body="stream", body_timeout="600s")
    with Connection(server) as connection:
        connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert connection.response().body == b"Hello, World!\r\n"
        hook = server.expect("hook", name="figures")
        assert (hook["end"], hook["stats"]["kept_alive"]) == ("complete", 0)
        assert connection.ending() == (b"", "eof")
    assert server.expect("access")["end"] == "complete"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_who_leaves_with_a_whole_answer_and_sends_no_body_has_taken_all_of_it(either, how):
    """Every byte of the answer was taken: that is what complete means, whatever became of the body."""
    server = either(body="stream")
    connection = Connection(server)
    connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
    answer = connection.response()
    getattr(connection, how)()
    hook = server.expect("hook", name="figures")
    assert (hook["end"], hook["stats"]["wire_out"]) == ("complete", answer.byte_count)


def test_wall_seconds_holds_the_time_of_an_unread_body(serve):
    server = serve(body="stream")
    with Connection(server) as connection:
        connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n").response()
        assert connection.silent(0.3)
        assert not server.select("hook") and not server.select("access")
        connection.send(b"abc")
        assert server.expect("hook", name="figures")["stats"]["us_total"] > 250_000
        assert connection.alive()


def test_a_body_that_is_only_read_away_is_counted_like_any_other(serve):
    """Whether it comes with the head or after the answer."""
    server = serve(body="stream")
    start = b"POST /hello HTTP/1.1\r\nHost: x\r\n"
    whole = start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"a", b"bc")
    head = start + b"Content-Length: 3\r\n\r\n"
    with Connection(server) as connection:
        connection.send(whole).response()
        connection.send(head + b"abc").response()
        connection.send(head).response()
        assert connection.send(b"abc").alive()
    stats = [hook["stats"] for hook in server.expect("hook", count=4)][:3]
    assert [s["wire_in"] for s in stats] == [len(whole), len(head) + 3, len(head) + 3]
    assert [s["body_in"] for s in stats] == [3, 3, 3]
