# SPDX-License-Identifier: MIT
# test_moments - calls at inconvenient moments: an answer ahead of its body, an end beside a writer, a client
# that goes while a handler holds the loop.

from support import FACTOR, Connection, chunks, one_loop, raw_request, wait_until

SIZE = 4 << 20


def test_a_body_that_is_thrown_away_does_not_read_as_whole(serve):
    """Once answered, what comes of it is nobody's: a reader is told, and does not wait for more."""
    server = serve(body="stream")
    head = b"POST /accepted?gate=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    part, rest = chunks(b"some", last=b""), chunks(b"of it")
    with Connection(server) as connection:
        connection.send(head).send(part)
        server.expect("call", step="accepted")
        assert connection.response().status == 202
        server.settled(evy_received_bytes_total=len(head + part))
        connection.send(rest)
        server.settled(evy_received_bytes_total=len(head + part + rest))
        server.command("open", 1)
        assert server.call("read") == "EVY_E_STATE"
    with Connection(server) as connection:
        connection.send(b"POST /accepted?gate=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        assert connection.response().status == 202
        wait_until(lambda: len(server.select("call", step="read")) == 2, "the reader")
        assert server.select("call", step="read")[-1]["name"] == "EVY_E_STATE"


def test_a_callback_that_paused_hears_of_the_end(serve):
    server = serve(body="stream")
    connection = Connection(server)
    connection.send(b"POST /push?pause=3&gate=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome")
    server.expect("call", step="pause")
    connection.reset()
    assert server.call("body-error") == "EVY_E_GONE"
    server.command("open", 1)
    server.settled(evy_requests_active=0)


@one_loop
def test_a_loop_rests_while_a_handler_that_wanted_room_blocks(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", f"/stuffed?n={SIZE}&gate=1"))
        assert server.call("stuffed") == 1, "EVY_FULL"
        assert len(connection.response().body) == SIZE
        before = server.settled(evy_threads_busy=1)["evy_loop_turns_total"]
        assert connection.silent(0.5)
        assert server.counters()["evy_loop_turns_total"] - before < 100
        server.command("open", 1)


def test_a_writer_that_waits_for_room_gets_it_though_another_ends_the_answer(serve):
    server = serve("--no-hooks", callbacks=False, access=False)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/end-elsewhere?gate=1"))
        assert server.call("full") == 1, "EVY_FULL"
        server.command("open", 1)
        server.expect("call", step="end")
        assert connection.response().status == 200
        assert server.call("writer") in ("EVY_OK", 1)


def test_figures_can_be_asked_for_at_any_moment(serve):
    """ThreadSanitizer sees whether the loop changes them beside the question: of so many, one meets it."""
    server = serve("--no-hooks", callbacks=False, access=False)
    with Connection(server) as connection:
        for _ in range(1000):
            connection.send(raw_request("GET", f"/end-seen?n={SIZE // 8}&gate=-1"))
            answer = connection.response()
            assert len(answer.body) == SIZE // 8
            assert server.expect("call", step="ended")["result"] == answer.byte_count


@one_loop
def test_what_came_behind_a_request_is_not_the_next_clients(serve):
    """Its hooks are queued, for as many run as may; its connection is closed, and its place another's."""
    server = serve(threads="2", body="stream")
    head = f"POST /reading?ms={int(4000 * FACTOR)}&gate=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
    waiting = Connection(server).send(head.encode())
    server.expect("call", step="reading")
    gated = Connection(server).send(raw_request("GET", "/gate?id=1"))
    server.expect("call", step="at-gate")
    gone = Connection(server).send(raw_request("GET", "/drip") + raw_request("GET", "/status?code=299"))
    server.expect("call", step="dripping")
    assert server.call("waited") == "EVY_E_TIMEOUT"
    gone.reset()
    server.settled(evy_connections_open=2)
    with Connection(server) as late:
        late.send(raw_request("GET", "/hello"))
        server.settled(evy_connections_open=3)
        server.command("open", 1)
        assert late.response().status == 200
        assert late.alive()
    for connection in (waiting, gated):
        assert connection.response().status == 200
        connection.close()
    assert server.expect("hook", path="/drip")["end"] in ("client-reset", "client-closed")
