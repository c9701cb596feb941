# SPDX-License-Identifier: MIT
# test_streaming - answers that come bit by bit: each piece at once, bounded, cut when they fail, closed once.

import threading

import pytest
from client import PATIENCE, Closed, Connection, Reset, raw_request, wait_until

PIECE = bytes(100_000)


def received(connection, end):
    """Waits until what came ends with these bytes."""
    while not connection.reader.buffer.endswith(end):
        connection.reader.more()


class Result:
    """An iterable that notes how often it was closed."""

    def __init__(self, pieces, fails_at_close=False):
        self.pieces, self.closed, self.fails_at_close = pieces, 0, fails_at_close

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        self.closed += 1
        if self.fails_at_close:
            raise RuntimeError("close() fails")


@pytest.mark.parametrize("threads", [8, 1])
@pytest.mark.parametrize("way", ["yield", "write"])
def test_a_piece_leaves_before_the_next_is_asked_for(either, way, threads):
    """No piece waits for a piece, a handler's end, or a thread: the client answers each before the next."""
    may_go_on = threading.Semaphore(0)

    def pieces(write=None):
        for piece in (b"a", b"b", b"c"):
            yield write(piece) if write else piece
            assert may_go_on.acquire(timeout=10)

    def site(env, start_response):
        write = start_response("200 OK", [("Content-Length", "3")])
        if way == "yield":
            return pieces()
        for _ in pieces(write):
            pass
        return []

    with Connection(either(site, threads=threads)) as connection:
        connection.send(raw_request("GET", "/"))
        for end in (b"\r\n\r\na", b"ab", b"abc"):
            received(connection, end)
            may_go_on.release()
        assert connection.response().body == b"abc"


@pytest.mark.parametrize("threads", [8, 1])
def test_a_whole_answer_in_the_first_piece_leaves_before_the_iterable_ends(either, threads):
    """PEP 3333: the transmission of no block is delayed, that of the last one neither."""
    has_arrived, in_time = threading.Event(), []

    def pieces():
        yield b"abc"
        in_time.append(has_arrived.wait(timeout=PATIENCE / 2))

    def site(env, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return pieces()

    with Connection(either(site, threads=threads)) as connection:
        connection.send(raw_request("GET", "/"))
        received(connection, b"\r\n\r\nabc")
        has_arrived.set()
        assert connection.response().body == b"abc"
    wait_until(lambda: in_time, "the end of the iterable")
    assert in_time == [True]


def test_environ_may_ask_for_larger_pieces(serve):
    def site(env, start_response):
        env["evy.minimum_write_chunk_size"] = 25
        start_response("200 OK", [])
        return (b"x" * 10 for _ in range(7))

    with Connection(serve(site)) as connection:
        data, _ = connection.send(raw_request("GET", "/", ["Connection: close"])).ending()
    assert data.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[0::2] == [b"1e", b"1e", b"a", b"0", b""]


def test_write_does_not_gather(serve):
    """Not even where pieces that are yielded do."""

    def site(env, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"")
        write(b"b")
        return (b"x" for _ in range(3))

    with Connection(serve(site, minimum_chunk_size=100)) as connection:
        data, _ = connection.send(raw_request("GET", "/", ["Connection: close"])).ending()
    assert data.split(b"\r\n\r\n", 1)[1] == b"1\r\na\r\n1\r\nb\r\n3\r\nxxx\r\n0\r\n\r\n"


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_an_error_in_mid_body_cuts_the_connection(either, framing):
    may_fail = threading.Event()
    result = Result(None)

    def pieces():
        yield b"first"
        may_fail.wait(10)
        raise ValueError("in mid-body")

    def site(env, start_response):
        start_response("200 OK", [("Content-Length", "10")] if framing == "length" else [])
        result.pieces = pieces()
        return result

    server = either(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        received(connection, b"first" if framing == "length" else b"first\r\n")
        may_fail.set()
        with pytest.raises((Closed, Reset)):
            connection.response()
        assert not connection.reader.buffer.endswith(b"0\r\n\r\n")
    server.log.expect("ValueError: in mid-body")
    server.log.access()
    assert result.closed == 1
    with Connection(server) as connection:
        assert connection.send(raw_request("GET", "/")).reader.fill()


@pytest.mark.parametrize(
    "where", ["start_response", "first piece", "iter", "next", "close", "nothing", "type"]
)
def test_close_is_called_exactly_once_whatever_fails(serve, where):
    result = Result([b"x"], fails_at_close=where == "close")

    class Iterator:
        def __iter__(self):
            if where == "iter":
                raise RuntimeError("iter() fails")
            return self

        def __next__(self):
            raise RuntimeError("next() fails")

    def site(env, start_response):
        if where == "start_response":
            result.pieces = (start_response("bad", []) for _ in range(1))
        if where in ("iter", "next"):
            result.pieces = Iterator()
        if where == "type":
            result.pieces = [b"x", 7]
        if where not in ("first piece", "start_response"):
            start_response("200 OK", [("Content-Length", "1")])
        return result

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        if where == "type":
            connection.ending()
        else:
            assert connection.response().status == (200 if where in ("close", "nothing") else 500)
    server.log.access()
    assert result.closed == 1
    assert len(server.log.matching("^Traceback")) == (0 if where == "nothing" else 1)


def test_head_and_bodiless_answers_have_no_body_on_the_wire(either):
    def site(env, start_response):
        status = env["QUERY_STRING"] or "200"
        start_response(f"{status} Text", [("X-A", "b")])
        kinds = {"/list": [b"body"], "/generator": iter([b"bo", b"dy"]), "/write": []}
        if env["PATH_INFO"] == "/write":
            start_response(f"{status} Text", [], (ValueError, ValueError(), None))(b"body")
        return kinds[env["PATH_INFO"]]

    server = either(site)
    with Connection(server) as connection:
        for path in ("/list", "/generator", "/write"):
            for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)):
                answer = connection.request(method, f"{path}?{status}")
                assert (answer.status, answer.body, answer.framing) == (status, b"", "none")
        assert connection.get("/list").body == b"body"


def test_too_long_a_body_is_cut_and_too_short_a_one_closes(serve):
    def site(env, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        kind, _, size = env["QUERY_STRING"].partition("=")
        pieces = [b"x"] * int(size)
        return pieces if kind == "list" else iter(pieces)

    server = serve(site)
    with Connection(server) as connection:
        for kind in ("list", "generator"):
            assert connection.get(f"/?{kind}=6").body == b"xxxx"
            assert connection.get(f"/?{kind}=4").body == b"xxxx"
    server.log.expect("longer than its Content-Length; the rest was dropped", 2)
    assert len(server.log.matching("longer than")) == 2
    for kind in ("list", "generator"):
        with Connection(server) as connection:
            data, _ = connection.send(raw_request("GET", f"/?{kind}=3")).ending()
            assert not data or data.endswith(b"\r\n\r\nxxx")
    server.log.expect("1 bytes short of its Content-Length", 2)


def test_a_server_lets_an_application_wait_for_a_slow_client(serve):
    """Memory is bounded: while nothing is taken, little is asked for."""
    asked = []

    def site(env, start_response):
        start_response("200 OK", [])
        for number in range(500):
            asked.append(number)
            yield PIECE

    server = serve(site)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/"))
        connection.wait_until_full()
        with Connection(server) as other:
            assert other.send(raw_request("HEAD", "/")).response("HEAD").status == 200
        assert len(asked) < 550
        connection.reset()
    server.log.access(2)


def test_with_one_thread_a_slow_client_holds_up_nobody(serve):
    """Long answers pause while their clients take nothing; others are served, and memory is bounded."""
    asked, ends = {}, []

    def site(env, start_response):
        path = env["PATH_INFO"]
        env["evy.posthooks"].append((lambda env: ends.append((path, env["evy.aborted"])), (), {}))
        start_response("200 OK", [("Content-Length", str(200 * len(PIECE)))])
        result = Result(asks(path))
        results[path] = result
        return result

    def asks(path):
        for number in range(200):
            asked[path] = number + 1
            yield PIECE

    results = {}
    server = serve(site, threads=1)
    slow = Connection(server, rcvbuf=4096).send(raw_request("GET", "/slow"))
    leaver = Connection(server, rcvbuf=4096).send(raw_request("GET", "/leaver"))
    slow.wait_until_full()
    leaver.wait_until_full()
    assert asked["/slow"] < 150 and asked["/leaver"] < 150
    with Connection(server) as quick:
        assert quick.get("/quick").body == PIECE * 200
    leaver.reset()
    wait_until(lambda: ("/leaver", "client-reset") in ends, "the hook of who left")
    assert asked["/leaver"] < 150 and results["/leaver"].closed == 1
    assert slow.response().body == PIECE * 200
    wait_until(lambda: ("/slow", None) in ends, "the hook of who was slow")
    assert [result.closed for result in results.values()] == [1, 1, 1]
    assert sorted(ends) == [("/leaver", "client-reset"), ("/quick", None), ("/slow", None)]
    assert slow.get("/again").body == PIECE * 200
    slow.close()


def test_with_one_thread_a_paused_answer_may_fail(serve):
    is_full = threading.Event()

    def site(env, start_response):
        start_response("200 OK", [])
        for number in range(200):
            if is_full.is_set():
                raise ValueError("after a pause")
            yield PIECE

    server = serve(site, threads=1)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/")).wait_until_full()
        is_full.set()
        with pytest.raises((Closed, Reset)):
            connection.response()
    server.log.expect("ValueError: after a pause")
    server.log.access()


def test_a_long_list_is_not_copied_as_a_whole(serve):
    pieces = [bytes([number]) * 50_000 for number in range(40)]

    def site(env, start_response):
        start_response("200 OK", [])
        return pieces

    for threads in (8, 1):
        with Connection(serve(site, threads=threads)) as connection:
            answer = connection.get("/")
            assert (answer.body, answer["Content-Length"]) == (b"".join(pieces), "2000000")


def test_one_item_tells_the_length(serve):
    class One:
        def __len__(self):
            return 1

        def __iter__(self):
            return iter([b"only one"])

    def site(env, start_response):
        start_response("200 OK", [])
        return One()

    with Connection(serve(site)) as connection:
        answer = connection.get("/")
    assert (answer.body, answer["Content-Length"]) == (b"only one", "8")


def test_hop_by_hop_headers_are_the_servers(serve):
    def site(env, start_response):
        start_response(
            "200 OK",
            [
                ("Transfer-Encoding", "gzip"),
                ("Keep-Alive", "timeout=1"),
                ("Upgrade", "none"),
                ("Connection", "close" if env["QUERY_STRING"] else "keep-alive"),
            ],
        )
        return [b"x"]

    with Connection(serve(site)) as connection:
        answer = connection.get("/")
        assert not answer.closes
        assert {name for name, _ in answer.fields} == {"Content-Length", "Date"}
        assert connection.get("/?close").closes
        assert connection.ending() == (b"", "eof")
