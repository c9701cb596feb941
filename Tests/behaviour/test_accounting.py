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
        time.sleep(0.2)
        connection.send(b"Host: x\r\n\r\n").response()
    stats = server.expect("hook")["stats"]
    assert 55_000 <= stats["us_first_byte"] <= stats["us_total"] < 190_000


def test_first_byte_of_a_streamed_answer_comes_before_its_end(serve):
    server = serve()
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/streamed?n=10000000"))
        time.sleep(0.2)
        connection.response()
    stats = server.expect("hook")["stats"]
    assert stats["us_first_byte"] < 150_000 < stats["us_total"]


def leave(connection, how):
    if how == "reset":
        connection.reset()
    else:
        connection.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
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
    time.sleep(0.3)
    received = connection.tcp_bytes_received()
    leave(connection, how)
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
    previous = -1
    while (received := connection.tcp_bytes_received()) != previous or received == 0:
        previous = received
        time.sleep(0.15)
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
    time.sleep(0.3)
    received = connection.tcp_bytes_received() - before
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
