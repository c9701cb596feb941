# SPDX-License-Identifier: MIT
# test_answers - the further ways to answer: informational answers, trailers, lent memory, files, notices.

import socket

import pytest
from support import SANITIZED, Connection, chunks, pattern, raw_request, wait_until


def figures(server):
    return server.expect("hook", name="figures")


# ---- informational answers


def test_informational_answers_come_first_and_count_as_framing(either):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/inform?times=2&name=Link&value=%3C/a%3E"))
        for _ in range(2):
            hint = connection.response()
            assert hint.status == 103 and hint.reason == "Early Hints" and hint.fields == [("Link", "</a>")]
        answer = connection.response()
        assert answer.status == 200 and answer.body == b"informed"
        counted = connection.reader.taken
        assert server.call("inform-late") == "EVY_E_STATE"
        assert connection.alive()
    stats = server.expect("hook", name="figures", path="/inform")["stats"]
    assert stats["wire_out"] == counted and stats["body_out"] == 8 and stats["status"] == 200


def test_a_hint_leaves_while_the_handler_works(either):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/inform?flush=1&gate=1"))
        assert connection.response().status == 103
        server.tell("open", 1)
        assert connection.response().body == b"informed"
    assert server.call("flush") == "EVY_OK"


def test_flush_sends_at_once_where_the_loop_never_moves(either):
    server = either(threads=1)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/flush?gate=1"))
        while b"first" not in connection.reader.buffer:
            connection.reader.more()
        server.tell("open", 1)
        while b"\r\n0\r\n\r\n" not in connection.reader.buffer:
            connection.reader.more()
    stats = figures(server)["stats"]
    assert stats["body_out"] == 11 and stats["end"] == 0


def test_http_1_0_clients_get_no_informational_answer(serve):
    server = serve()
    with Connection(server) as connection:
        answer = connection.get("/inform?times=3", version="1.0")
        assert answer.status == 200 and answer.body == b"informed"
    assert server.call("inform") == "EVY_OK"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("status=101", "EVY_E_ARG"),
        ("status=99", "EVY_E_ARG"),
        ("status=200", "EVY_E_ARG"),
        ("name=Bad%20Name&value=x", "EVY_E_FIELD"),
        ("name=A&value=x%0d%0aB:%20y", "EVY_E_FIELD"),
    ],
)
def test_a_bad_informational_answer_is_refused_and_the_real_one_goes_out(serve, query, name):
    server = serve()
    with Connection(server) as connection:
        assert connection.get(f"/inform?{query}").body == b"informed"
        assert connection.alive()
    assert server.call("inform") == name


def test_100_by_hand_lets_the_client_send_and_is_not_sent_twice(serve):
    server = serve(body="stream")
    with Connection(server) as connection:
        connection.send(
            b"POST /inform?status=100 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Length: 3\r\n\r\n"
        )
        assert connection.response().status == 100
        connection.send(b"abc")
        assert connection.response().status == 200
        assert connection.alive()


# ---- trailers


def chunked_with_trailers(connection):
    """The raw bytes of one chunked answer behind its head."""
    while b"\r\n\r\n" not in connection.reader.buffer:
        connection.reader.buffer += connection.receive()
    head, _, rest = connection.reader.buffer.partition(b"\r\n\r\n")
    while not (rest.startswith(b"5\r\nhello\r\n0\r\n") and rest.endswith(b"\r\n\r\n")):
        rest += connection.receive()
    connection.reader.buffer = b""
    return head, rest


def test_trailers_follow_a_chunked_answer(either):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/trailers?name=X-Sum&value=a%20b&announce=1"))
        head, rest = chunked_with_trailers(connection)
        assert rest == b"5\r\nhello\r\n0\r\nX-Sum: a b\r\n\r\n"
        assert b"\r\nTrailer: X-Sum" in head
        assert connection.alive()
    stats = server.expect("hook", name="figures", path="/trailers")["stats"]
    assert stats["body_out"] == 5 and stats["head_out"] == len(head) + 4 + len(rest) - 5


def test_trailers_need_chunks(serve):
    server = serve()
    with Connection(server) as connection:
        assert connection.get("/trailers?name=X-Sum&value=1&length=5").body == b"hello"
        assert connection.request("HEAD", "/trailers?name=X-Sum&value=1").status == 200
        assert connection.alive()
        connection.send(raw_request("GET", "/trailers?name=X-Sum&value=1", version="1.0"))
        assert connection.rest().endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "field",
    ["Content-Length", "transfer-encoding", "Host", "Trailer", "Authorization", "Set-Cookie", "Content-Type",
     "Cache-Control", "If-Match", "Connection", "Bad%20Name", "A%0d%0aB"],
)  # fmt: skip
def test_fields_that_may_not_trail_are_refused(serve, field):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", f"/trailers?name={field}&value=1"))
        assert chunked_with_trailers(connection)[1] == b"5\r\nhello\r\n0\r\n\r\n"
        assert connection.alive()
    assert server.call("end") == "EVY_E_FIELD" and server.call("end-again") == "EVY_OK"


@pytest.mark.parametrize("mode", ["buffer", "stream"])
def test_trailers_of_a_request_are_read_behind_its_body(serve, mode):
    server = serve(body=mode)
    trailers = b"0\r\nX-Sum:  a b \r\nContent-Length: 7\r\nX-Two: 2\r\nX-None:\r\n\r\n"
    with Connection(server) as connection:
        for at in range(1, len(trailers), 9):
            connection.send(
                b"POST /body-trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunks(b"abc", last=trailers[:at])
            )
            connection.send(trailers[at:])
            assert connection.response().body == b"X-Sum=a b\nX-Two=2\nX-None=\n"
    assert server.call("terminated") == 1 and server.call("among-headers") == "EVY_OK"


@pytest.mark.parametrize("last", [b"0\r\n\r\n", b"0\r\nHost: b\r\n\r\n"])
def test_there_may_be_no_trailers(serve, last):
    server = serve()
    with Connection(server) as connection:
        connection.send(
            b"POST /body-trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks(b"abc", last=last)
        )
        assert connection.response().body == b""
        assert connection.request("POST", "/body-trailers", body=b"abc").body == b""


# ---- lent memory and files


@pytest.fixture
def pattern_file(tmp_path):
    path = tmp_path / "pattern"
    path.write_bytes(pattern(3_000_000))
    return path


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 100_000, 5_000_000])
def test_a_lent_body_arrives_whole_and_is_given_back(either, count):
    server = either()
    with Connection(server) as connection:
        for _ in range(3):
            answer = connection.get(f"/lent?n={count}")
            assert answer.body == pattern(count) and answer["Content-Length"] == str(count)
        assert connection.request("HEAD", f"/lent?n={count}").status == 200
        assert connection.alive()
    hook = server.expect("hook", 4, name="figures", path="/lent")[0]
    assert hook["stats"]["body_out"] == count and hook["end"] == "complete"
    assert server.call("respond-again") == "EVY_E_STATE"


@pytest.mark.parametrize("declared", [0, 1])
@pytest.mark.parametrize("piece", [1, 5000, 70_000, 1_000_000])
def test_copied_lent_and_file_pieces_keep_their_order(either, pattern_file, declared, piece):
    server = either()
    count = min(3_000_000, piece * 400)
    with Connection(server) as connection:
        answer = connection.get(f"/mixed?n={count}&piece={piece}&declared={declared}&file={pattern_file}")
        assert answer.body == pattern(count)
        counted = answer.byte_count
        assert connection.alive()
    stats = server.expect("hook", name="figures", path="/mixed")["stats"]
    assert stats["body_out"] == count and stats["wire_out"] == counted and stats["end"] == 0
    assert server.call("write-after") == "EVY_E_STATE"


def test_pipelined_answers_of_all_kinds_keep_their_order(either, pattern_file):
    server = either()
    targets = ["/hello", "/lent?n=200000", "/hello", f"/mixed?n=90000&piece=9000&file={pattern_file}",
               "/lent?n=10", f"/file?path={pattern_file}&declared=3000000", "/hello"]  # fmt: skip
    with Connection(server) as connection:
        connection.send(b"".join(raw_request("GET", target) for target in targets))
        sizes = [len(connection.response().body) for _ in targets]
    assert sizes == [15, 200_000, 15, 90_000, 10, 3_000_000, 15]


@pytest.mark.parametrize("congestion", ["reno", "bbr"])
def test_large_answers_under_each_congestion_control(serve, pattern_file, congestion):
    """Connections inherit it from their listener; under bbr the head is sent ahead of the body."""
    with socket.socket() as mine:
        try:
            mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
        except OSError as missing:
            pytest.skip(f"{congestion}: {missing.strerror}")
        mine.bind(("127.0.0.1", 0))
        server = serve("--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),))
        with Connection(port=mine.getsockname()[1]) as connection:
            for target in (f"/file?path={pattern_file}&declared=3000000", "/lent?n=3000000", "/lent?n=65535",
                           f"/mixed?n=900000&piece=90000&file={pattern_file}"):  # fmt: skip
                answer = connection.get(target)
                assert answer.body == pattern(len(answer.body)) and len(answer.body) >= 65535
                path = target.partition("?")[0]
                stats = server.expect("hook", name="figures", path=path)["stats"]
                assert stats["end"] == 0
            assert connection.alive()
        event = server.expect("hook", name="figures", path="/file")
        assert event["stats"]["wire_out"] > event["stats"]["body_out"] == 3_000_000


@pytest.mark.parametrize(
    ("offset", "length"), [(0, -1), (1, 2_999_999), (2_999_999, 1), (3_000_000, -1), (77, 5)]
)
def test_a_part_of_a_file(either, pattern_file, offset, length):
    server = either()
    expected = pattern(3_000_000)[offset:][: length if length >= 0 else None]
    with Connection(server) as connection:
        for declared in (-1, len(expected)):
            target = f"/file?path={pattern_file}&offset={offset}&length={length}&declared={declared}"
            assert connection.get(target).body == expected
        assert connection.alive()
    assert server.expect("hook", 2, name="figures", path="/file")[0]["stats"]["body_out"] == len(expected)


@pytest.mark.parametrize(
    "query",
    ["path=/no/such", "path=/", "path=/dev/zero", "path={}&offset=3000001", "path={}&length=3000001",
     "path={}&offset=-1", "path={}&length=-2", "path={}&offset=2&length=2999999",
     "path={}&offset=9223372036854775807&length=1"],
)  # fmt: skip
def test_what_is_no_part_of_a_regular_file_is_refused(serve, pattern_file, query):
    server = serve()
    with Connection(server) as connection:
        assert connection.get(f"/file?{query.format(pattern_file)}").body == b"EVY_E_ARG"
    assert server.call("file") == "EVY_E_ARG"


def test_a_file_that_became_shorter_cuts_the_connection(either, tmp_path):
    server = either()
    path = tmp_path / "shrinking"
    with path.open("wb") as out:
        out.truncate(64 << 20)
    with Connection(server, rcvbuf=8192) as connection:
        connection.send(raw_request("GET", f"/file?path={path}&declared={64 << 20}"))
        server.expect("call", step="file")
        path.write_bytes(b"")
        body, _ = connection.ending()
        assert len(body) < 64 << 20
    hook = figures(server)
    assert hook["end"] == "handler-error" and hook["stats"]["body_out"] < 64 << 20
    wait_until(lambda: any("too early" in line for line in server.logged()), "a line about it")


@pytest.mark.parametrize("target", ["/lent?n=60000000", "/mixed?n=60000000&piece=20000000", "/file"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_who_leaves_in_the_middle_is_charged_what_went_out(either, tmp_path, target, how):
    server = either()
    if target == "/file":
        path = tmp_path / "large"
        with path.open("wb") as out:
            out.truncate(60_000_000)
        target = f"/file?path={path}&declared=60000000"
    with Connection(server, rcvbuf=8192) as connection:
        connection.send(raw_request("GET", target))
        connection.reader.take(5000)
        getattr(connection, how)()
    hook = figures(server)
    assert hook["end"] in ("client-reset", "client-closed")
    assert 0 < hook["stats"]["body_out"] < 60_000_000


def test_a_large_file_lets_others_through(serve, tmp_path):
    server = serve()
    path = tmp_path / "large"
    with path.open("wb") as out:
        out.truncate(300 << 20)
    with Connection(server) as large, Connection(server) as small:
        large.send(raw_request("GET", f"/file?path={path}&declared={300 << 20}"))
        large.reader.more()
        for _ in range(20):
            assert small.alive()
        assert len(large.response().body) == 300 << 20


@pytest.mark.parametrize(
    ("query", "body"), [("", b"onetwothree"), ("?length=11", b"onetwothree"), ("?length=5", b"onetw")]
)
def test_a_vector_is_one_piece(serve, query, body):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/writev" + query))
        answer = connection.response()
        assert answer.body == body
    assert server.call("bad") == "EVY_E_ARG" and server.call("none") == "EVY_OK"
    assert server.call("writev") == "EVY_OK"


# ---- notices


def test_a_writer_goes_on_when_there_is_room(either):
    server = either(write_high_water="100k", write_low_water="10k")
    with Connection(server, rcvbuf=8192) as connection:
        answer = connection.get("/flow?n=20000000&piece=50000")
        assert answer.body == pattern(20_000_000)
        assert connection.alive()
    # A handler that a sanitizer makes slow loses the loop, and a loop of its own keeps up with it.
    assert server.call("turns") > (0 if SANITIZED else 3) and server.call("end") == "EVY_OK"
    waited = server.call("waited")  # the least numbers are names of a status
    assert isinstance(waited, str) or waited <= 10 << 10, "it was called above the low-water mark"
    assert server.call("on-writable-again") == "EVY_E_STATE" and server.call("on-gone-again") == "EVY_E_STATE"


@pytest.mark.parametrize("threads", [1, 4])
def test_a_writer_goes_on_with_any_number_of_threads(serve, threads):
    server = serve(threads=threads)
    with Connection(server) as first, Connection(server) as second:
        for connection in (first, second):
            connection.send(raw_request("GET", "/flow?n=30000000"))
        assert [len(c.response().body) for c in (first, second)] == [30_015_488] * 2


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_writer_hears_that_its_client_left(either, how):
    server = either()
    with Connection(server, rcvbuf=8192) as connection:
        connection.send(raw_request("GET", "/flow?n=60000000"))
        connection.receive()
        getattr(connection, how)()
    assert server.call("gone") == 1
    assert figures(server)["end"] in ("client-reset", "client-closed")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_handler_at_work_hears_that_its_client_left(either, how):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/watched?gate=1"))
        server.expect("call", step="on-gone")
        getattr(connection, how)()
    assert server.call("gone") == 1 and server.call("let-go") == "EVY_OK"
    assert server.call("on-gone-late") == "EVY_E_GONE"
    # Who has closed may only have said all; to who has reset nothing can be written.
    assert how == "close" or server.call("on-writable-gone") == "EVY_E_GONE"


def test_a_client_that_stays_is_not_told_of(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/watched?gate=2"))
        server.expect("call", step="on-gone")
        server.tell("open", 2)
        assert connection.response().body == b"unheard"
        assert connection.alive()
    assert server.call("on-gone-late") == "EVY_E_STATE"
    figures(server)
    assert not server.select("call", step="gone")
