# SPDX-License-Identifier: MIT
# test_bodies - request bodies: buffered, pulled, pushed with pause; declared, chunked, empty, broken off.

import socket
import zlib

import pytest
from support import Connection, chunks, pattern, raw_request, wait_until

POST = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, 4095, 65536, 1_000_000])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize(
    "mode, path",
    [
        ("buffer", "/buffered"),
        ("stream", "/pull"),
        ("stream", "/pull?cap=1000"),
        ("stream", "/push"),
        ("stream", "/relay"),
        ("stream", "/pull-then-push"),
    ],
)
def test_echo(shared, shared_stream, mode, path, coding, size):
    """An answer that begins before the body has come need not keep the connection: its head cannot know."""
    server, body = shared if mode == "buffer" else shared_stream, pattern(size)
    with Connection(server) as connection:
        if coding == "length":
            connection.send(raw_request("POST", path, body=body))
        else:
            pieces = [body[i : i + 30000] for i in range(0, size, 30000)]
            connection.send(POST % path.encode() + chunks(*pieces))
        answer = connection.response()
        assert answer.body == body and (path == "/relay" or not answer.closes)
        assert connection.rest() == b"" if answer.closes else connection.alive()


@pytest.mark.parametrize("mode, path", [("buffer", "/buffered"), ("stream", "/pull"), ("stream", "/push")])
def test_a_chunked_body_in_single_bytes(shared, shared_stream, mode, path):
    server = shared if mode == "buffer" else shared_stream
    raw = POST % path.encode() + chunks(b"a", b"bc" * 20, b"def") + raw_request("GET", "/hello")
    with Connection(server) as connection:
        for i in range(len(raw)):
            connection.send(raw[i : i + 1])
        assert connection.response().body == b"a" + b"bc" * 20 + b"def"
        assert connection.response().body == b"Hello, World!\r\n"


@pytest.mark.parametrize("mode, path", [("buffer", "/buffered"), ("stream", "/pull"), ("stream", "/push")])
def test_a_large_upload_arrives_unchanged(either, mode, path):
    server = either(body=mode, max_body_size="0")
    body = pattern(24_000_000)
    with Connection(server) as connection:
        connection.send(raw_request("POST", path + "?answer=count", body=body))
        assert connection.response().body == b"%d %d" % (len(body), zlib.adler32(body))


def test_a_body_that_was_lent_whole_is_not_pushed_as_well(serve):
    server, body = serve(), pattern(400_000)
    with Connection(server) as connection:
        assert connection.request("POST", "/buffer-then-push", body=body).body == body
        assert server.call("on-data") == "EVY_E_STATE"


def test_lengths_that_are_told(serve):
    server = serve()
    with Connection(server) as connection:
        for path, raw, length, got in [
            ("a", raw_request("POST", "/buffered?a", body=b"abc"), 3, 3),
            ("b", raw_request("GET", "/buffered?b"), 0, 0),
            ("c", POST % b"/buffered?c" + chunks(b"abcd"), 4, 4),
        ]:
            connection.send(raw).response()
            assert server.expect("call", step="length", query=path)["result"] == length
            assert server.expect("call", step="buffered", query=path)["result"] == got


def test_stream_mode_has_no_buffer(serve):
    server = serve(body="stream")
    with Connection(server) as connection:
        assert connection.request("POST", "/buffered", body=b"abc").body == b""
    assert server.expect("call", step="buffered")["result"] == 0


def test_auto_takes_what_is_known_to_be_small_and_leaves_the_rest(serve):
    server = serve(body="auto")

    def taken(query, raw, *pieces):
        with Connection(server) as connection:
            connection.send(raw)
            for piece in pieces:
                connection.send(piece)
            answer = connection.response()
            while answer.status == 100:
                answer = connection.response()
        return server.expect("call", step="buffered", query=query)["result"]

    assert taken("small", raw_request("POST", "/buffered?small", body=b"abc")) == 3
    assert taken("most", raw_request("POST", "/buffered?most", body=b"x" * 65536)) == 65536
    assert taken("long", raw_request("POST", "/buffered?long", body=b"x" * 65537)) == 0
    assert taken("chunked", POST % b"/buffered?chunked" + chunks(b"abcd")) == 0
    asks = raw_request("POST", "/buffered?asks", ["Content-Length: 3", "Expect: 100-continue"])
    assert taken("asks", asks) == 0


def test_auto_calls_nobody_before_a_small_body_is_whole(serve):
    server = serve(body="auto")
    with Connection(server) as slow, Connection(server) as other:
        slow.send(raw_request("POST", "/buffered?slow", ["Content-Length: 3"])).send(b"ab")
        assert other.alive()
        assert not server.select("request", path="/buffered")
        slow.send(b"c")
        assert slow.response().body == b"abc"


def test_reading_after_the_end_gives_the_end_again(shared_stream):
    with Connection(shared_stream) as connection:
        connection.request("POST", "/pull?end", body=b"abc")
    assert shared_stream.expect("call", step="after-end", query="end")["result"] == 0


def test_a_read_that_may_not_wait_says_again(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /pull?wait=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert shared_stream.call("would-wait", query="wait=0") == "EVY_E_AGAIN"
        assert connection.send(b"abc").response().body == b"abc"


def test_a_read_with_a_wait_times_out_and_can_be_repeated(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /pull?wait=50&patient=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert shared_stream.call("would-wait", query="wait=50&patient=1") == "EVY_E_TIMEOUT"
        assert connection.send(b"abc").response().body == b"abc"


def test_a_blocked_read_does_not_stall_other_connections(shared_stream):
    with Connection(shared_stream) as waiting, Connection(shared_stream) as other:
        waiting.send(b"POST /pull?blocked HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        shared_stream.expect("request", query="blocked")
        assert other.alive() and other.alive()
        assert waiting.send(b"abc").response().body == b"abc"


def test_second_registration_and_mixed_reading_are_refused(shared_stream):
    with Connection(shared_stream) as connection:
        assert connection.request("POST", "/push?twice", body=b"abc").body == b"abc"
        steps = {
            step: shared_stream.call(step, query="twice") for step in ("on-data", "on-data-again", "read-too")
        }
        assert steps == {"on-data": "EVY_OK", "on-data-again": "EVY_E_STATE", "read-too": "EVY_E_STATE"}
        assert connection.request("POST", "/pull-then-push?mixed", body=b"abc").body == b"abc"
        assert shared_stream.call("on-data", query="mixed") == "EVY_E_STATE"


def send_until_stuck(connection, total, quiet=0.5):
    """Sends pattern bytes until none is taken for `quiet` seconds; how many were taken."""
    connection.socket.settimeout(quiet)
    sent, block = 0, pattern(251 * 1000)
    try:
        while sent < total:
            sent += connection.socket.send(block[sent % 251 :][: min(100_000, total - sent)])
    except TimeoutError:
        pass
    connection.socket.settimeout(20)
    return sent


def test_pause_stops_the_client_and_resume_lets_the_rest_through(serve):
    server = serve(body="stream", max_body_size="0", body_timeout="20s", body_min_rate="0")
    total = 60_000_000
    with Connection(server) as connection:
        connection.send(
            b"POST /push?answer=count&pause=100000&gate=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            % total
        )
        sent = send_until_stuck(connection, total)
        assert server.call("pause") == "EVY_OK"
        assert 100_000 <= sent < 40_000_000, "a paused body did not hold the client back"
        server.command("open", 1)
        body = pattern(total)
        connection.send(memoryview(body)[sent:])
        assert connection.response().body == b"%d %d" % (total, zlib.adler32(body))
    assert server.call("resume") == "EVY_OK"


def test_a_handler_that_does_not_read_holds_the_client_back(serve):
    server = serve(body="stream", max_body_size="0", body_timeout="20s", body_min_rate="0")
    total = 60_000_000
    with Connection(server) as connection:
        connection.send(b"POST /gate?id=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % total)
        assert send_until_stuck(connection, total) < 40_000_000
        server.command("open", 1)
        assert connection.response().body == b"opened"


@pytest.mark.parametrize("path", ["/pull", "/push", "/relay"])
@pytest.mark.parametrize(
    "how, names", [("reset", ("client-reset",)), ("close", ("client-closed", "client-reset"))]
)
def test_a_client_that_leaves_in_mid_body(serve, path, how, names):
    server = serve(body="stream")
    connection = Connection(server)
    sent = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode()
    connection.send(sent)
    server.expect("request")
    server.settled(evy_received_bytes_total=len(sent))
    getattr(connection, how)()
    hook = server.expect("hook", name="figures")
    assert hook["end"] in names and hook["gone"] == 1, hook
    assert hook["stats"]["body_in"] == 3
    if path != "/relay":
        assert server.call("body-error") == "EVY_E_GONE"


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_leaves_in_a_buffered_body_never_reaches_the_handler(serve, how):
    server = serve()
    connection = Connection(server)
    connection.send(b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    getattr(connection, how)()
    with Connection(server) as other:
        assert other.alive()
    server.expect("access", path="/hello")
    assert len(server.select("request")) == 1


def test_an_early_answer_while_the_body_still_comes(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /hello?early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert connection.response().body == b"Hello, World!\r\n"


def test_both_directions_at_once(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(POST % b"/relay")
        for piece in (b"one", b"two", b"three"):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            while piece not in connection.reader.buffer:
                connection.reader.more()
        connection.send(b"0\r\n\r\n")
        answer = connection.response()
        assert answer.body == b"onetwothree" and answer.closes
        assert connection.rest() == b""


def test_with_one_thread_a_read_in_the_handler_never_waits(serve):
    server = serve(body="stream", threads="1")
    with Connection(server) as connection:
        connection.send(b"POST /pull?own=1&wait=5000 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        answer = connection.response()
        assert answer.status == 422 and answer.body == b"EVY_E_AGAIN"
        assert connection.send(b"abc").alive()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_body_that_was_sent_is_had_whole_though_its_client_has_gone(serve, tmp_path, missing):
    """A unix socket keeps what was sent: more than the library reads ahead of a host that has paused."""
    path, count = str(tmp_path / "evy.sock"), 400_000
    server = serve(body="stream", listen=[f"unix:{path}", "127.0.0.1:0"])
    with Connection(port=server.ports[1]) as other:
        with Connection(address=path, family=socket.AF_UNIX) as client:
            target = "/push?answer=count&pause=1&gate=1"
            client.send(raw_request("POST", target, [f"Content-Length: {count + missing}"]) + bytes(1))
            # Else a first piece that was late would be larger, and the end be here before the pause is over.
            assert server.call("pause") == "EVY_OK"
            client.send(bytes(count - 1))
        assert other.alive() and other.alive()
        before = server.counters()["evy_loop_turns_total"]
        assert other.silent(0.2)
        assert server.counters()["evy_loop_turns_total"] - before < 100, "the loop does not spin"
        server.command("open", 1)
        hook = server.expect("hook", name="figures", path="/push")
    assert hook["end"] == "client-closed" and hook["stats"]["body_in"] == count
    assert [call["name"] for call in server.select("call", step="body-error")] == ["EVY_E_GONE"] * missing


def test_a_writer_hears_of_a_client_that_has_hung_up_with_a_body_unread(serve, tmp_path):
    """Of a unix socket, whose body is kept for a host that may yet read it."""
    path, count = str(tmp_path / "evy.sock"), 400_000
    server = serve(body="stream", listen=[f"unix:{path}"], write_timeout="600s")
    with Connection(address=path, family=socket.AF_UNIX) as client:
        client.send(raw_request("POST", "/streamed?n=10000000", body=bytes(count)))
        wait_until(lambda: server.waits_for_room(reads=False), "a full socket, and a full library")
        client.socket.shutdown(socket.SHUT_RDWR)
        assert server.call("write") == "EVY_E_GONE"
        assert server.expect("hook", name="figures")["end"] == "client-closed"
        server.settled(evy_connections_open=0)
