# SPDX-License-Identifier: MIT
# test_deadlines - handshake, head, idle, body, write: each is cut at its time, others are unharmed.

import socket
import threading
import time

import pytest
from support import FACTOR, PATIENCE, Connection, all_responses, pattern, raw_request, wait_until

"""For clients that only wait; the deadlines of a server that are not set are ten seconds and more."""
SHORT = 0.4 * FACTOR
SHORT_TEXT = f"{int(SHORT * 1000)}ms"
"""For clients that have to do something ahead of it: a busy machine may keep them from it for a while."""
LONG = 2.5 * FACTOR
LONG_TEXT = f"{int(LONG * 1000)}ms"


def cut_after(connection, start, expected=SHORT):
    """Waits for the end. It must come at the deadline: not before it, and ahead of any other.

    start: ahead of what the deadline counts from.
    """
    data, _ = connection.ending()
    took = time.monotonic() - start
    assert 0.95 * expected <= took <= expected + 5 * FACTOR, took
    return data


def only_timeouts(data):
    """Nothing, or one 408."""
    assert [answer.status for answer in all_responses(data)] in ([], [408])


def drip(connection, data, pause=0.05):
    """Sends data byte by byte from a thread until it is sent or the connection ends."""

    def run():
        for i in range(len(data)):
            try:
                connection.socket.send(data[i : i + 1])
            except OSError:
                return
            time.sleep(pause)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("started", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b"])
def test_half_a_head_is_cut_at_header_timeout(serve, started):
    server = serve(header_timeout=SHORT_TEXT)
    start = time.monotonic()
    with Connection(server) as connection:
        connection.send(started)
        only_timeouts(cut_after(connection, start))
    assert not server.select("request")


def test_a_dripping_head_does_not_renew_header_timeout(serve):
    server = serve(header_timeout=SHORT_TEXT)
    start = time.monotonic()
    with Connection(server) as connection:
        drip(connection, raw_request("GET", "/hello") * 3)
        only_timeouts(cut_after(connection, start))


def test_half_a_second_head_on_a_kept_connection_is_cut_too(serve):
    server = serve(header_timeout=LONG_TEXT, idle_timeout="30s")
    with Connection(server) as connection:
        assert connection.alive()
        start = time.monotonic()
        connection.send(b"GET /")
        only_timeouts(cut_after(connection, start, LONG))


def test_a_connection_that_never_speaks_is_closed_silently(serve):
    server = serve(header_timeout=SHORT_TEXT, idle_timeout=SHORT_TEXT)
    start = time.monotonic()
    with Connection(server) as connection:
        assert cut_after(connection, start) == b""


def test_idle_kept_connection_is_closed_silently_at_idle_timeout(serve):
    server = serve(idle_timeout=SHORT_TEXT)
    with Connection(server) as connection:
        start = time.monotonic()
        assert connection.alive()
        assert cut_after(connection, start) == b""


@pytest.mark.parametrize("now, later", [(b"\r\n", b""), (b"\r", b"\n"), (b"\n", b"")])
def test_a_line_end_behind_a_body_is_no_begun_head(serve, now, later):
    """Old clients send one; an answer to it would pass for that to the next request."""
    server = serve(header_timeout=LONG_TEXT, idle_timeout="30s", allow_bare_lf="true")
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/buffered", body=b"x") + now)
        assert connection.response().status == 200
        connection.send(later)
        assert connection.silent(1.3 * LONG), "header_timeout"
        assert connection.alive()
        connection.send(b"\r\n")
        assert connection.alive()
        start = time.monotonic()
        connection.send(b"\r\n\r\n")
        only_timeouts(cut_after(connection, start, LONG))


def test_requests_renew_the_idle_deadline(serve):
    server = serve(idle_timeout=LONG_TEXT)
    with Connection(server) as connection:
        start = time.monotonic()
        while time.monotonic() - start < 1.2 * LONG:
            assert connection.alive()
            assert connection.silent(0.3 * LONG)
        assert connection.alive()


def test_a_slow_handler_is_not_idleness(serve):
    server = serve(
        idle_timeout=LONG_TEXT, header_timeout=LONG_TEXT, body_timeout=LONG_TEXT, write_timeout=LONG_TEXT
    )
    with Connection(server) as slow, Connection(server) as deferred:
        slow.send(raw_request("GET", f"/slow?ms={int(LONG * 1500)}"))
        deferred.send(raw_request("GET", f"/deferred?ms={int(LONG * 1500)}"))
        assert slow.response().body == b"slow"
        assert deferred.response().body == b"deferred"


def test_minus_one_is_no_deadline(serve):
    server = serve(idle_timeout="-1", header_timeout="-1", write_timeout="-1", body_timeout="-1")
    with Connection(server) as connection:
        assert connection.silent(SHORT)
        connection.send(b"GET /hello HTTP/1.1\r\n")
        assert connection.silent(SHORT)
        assert connection.send(b"Host: x\r\n\r\n").response().status == 200


def test_a_stalled_buffered_body_is_cut_and_never_handled(serve):
    server = serve(body_timeout=SHORT_TEXT)
    with Connection(server) as connection:
        start = time.monotonic()
        connection.send(b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        only_timeouts(cut_after(connection, start))
    assert not server.select("request")


def test_a_stalled_streamed_body_times_out_in_the_handler_and_the_hook(serve):
    server = serve(body_timeout=SHORT_TEXT, body="stream")
    with Connection(server) as connection:
        start = time.monotonic()
        connection.send(b"POST /pull HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        data = cut_after(connection, start)
        assert all(answer.status >= 400 for answer in all_responses(data))
    assert server.call("body-error") == "EVY_E_TIMEOUT"
    hook = server.expect("hook")
    assert hook["end"] == "read-timeout" and hook["stats"]["body_in"] == 3


def test_each_arriving_piece_renews_body_timeout_when_no_rate_is_asked(serve):
    server = serve(body_timeout=LONG_TEXT, body_min_rate="0")
    with Connection(server) as connection:
        connection.send(b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        drip(connection, b"123456", LONG / 4)
        assert connection.response().body == b"123456"


def test_a_body_below_the_minimum_rate_is_cut(serve):
    server = serve(body_timeout=SHORT_TEXT, body_min_rate="10000")
    with Connection(server) as connection:
        start = time.monotonic()
        connection.send(b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        drip(connection, b"x" * 10000, 0.02)
        only_timeouts(cut_after(connection, start))
    assert not server.select("request")


def test_a_body_behind_another_has_a_window_of_its_own(serve):
    window = 3 * SHORT
    server = serve(body_timeout=f"{int(window * 1000)}ms")
    with Connection(server) as connection:
        whole = raw_request("POST", "/buffered", body=b"one piece")
        connection.send(whole[:-1])
        assert connection.silent(0.7 * window)
        connection.send(whole[-1:] + whole[:-1])
        assert connection.response().body == b"one piece"
        assert connection.silent(0.6 * window), "what was left to the first one is over"
        connection.send(whole[-1:])
        assert connection.response().body == b"one piece"


@pytest.mark.parametrize("sent", [0, 500], ids=["nothing", "enough"])
def test_a_wait_for_room_begins_no_new_window_of_a_body(serve, sent):
    """Who lets an answer wait again and again would never have to send; what comes meanwhile counts."""
    window = 3 * SHORT
    server = serve(body="stream", body_timeout=f"{int(window * 1000)}ms", body_min_rate="200")
    size, bursts, length = 8 << 20, 3, 9999
    with Connection(server, rcvbuf=4096) as connection:
        head = raw_request("POST", f"/bursts?n={size}&count={bursts}", [f"Content-Length: {length}"])
        connection.send(head)
        for burst in range(1, bursts + 1):
            server.command("open", burst)
            wait_until(server.waits_for_room, "a full socket")
            connection.send(bytes(sent))
            if sent:
                server.settled(evy_received_bytes_total=len(head) + burst * sent)
            while burst == 1 and connection.reader.line():
                pass
            connection.reader.take(size)
            assert connection.silent(0.6 * window) or burst == bursts
        connection.send_lenient(bytes(length - bursts * sent))
        assert server.call("read") == (length if sent else "EVY_E_TIMEOUT")


@pytest.mark.parametrize(
    "target", ["/streamed?n=50000000&piece=65536", "/fixed?n=50000000", "/deferred?how=stream&n=50000000"]
)
def test_a_client_that_does_not_read_is_cut_at_write_timeout(either, target):
    server = either(write_timeout=SHORT_TEXT)
    with Connection(server, rcvbuf=4096) as connection:
        start = time.monotonic()
        connection.send(raw_request("GET", target))
        hook = server.expect("hook", name="figures")
        took = time.monotonic() - start
    assert hook["end"] == "write-timeout" and hook["gone"] == 1
    assert hook["stats"]["body_out"] < 50000000
    assert 0.95 * SHORT <= took
    if "/streamed" in target:
        assert server.call("write") == "EVY_E_TIMEOUT"


def test_a_slow_reader_that_keeps_reading_is_served_to_the_end(serve):
    server = serve(write_timeout=LONG_TEXT)
    total = 20_000_000
    with Connection(server, rcvbuf=65536) as connection:
        connection.send(raw_request("GET", f"/streamed?n={total}"))
        time.sleep(LONG / 3)  # the client does not read, for less than write_timeout
        taken = 0
        while taken < 2_000_000:
            taken += len(connection.receive(65536))
            time.sleep(0.01)  # slowly
        while taken < total:
            piece = connection.receive()
            assert piece, "cut although it was reading"
            taken += len(piece)
    assert server.expect("hook")["end"] == "complete"


def test_stalled_handshakes_are_cut_and_harm_nobody(serve):
    server = serve(tls=True, handshake_timeout=LONG_TEXT)
    start = time.monotonic()
    stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for i, sock in enumerate(stalled):
        sock.settimeout(10 * FACTOR)
        if i % 2:
            sock.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    with Connection(server) as connection:
        assert connection.alive()
    for sock in stalled:
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
        sock.close()
    took = time.monotonic() - start
    assert 0.95 * LONG <= took <= LONG + 5 * FACTOR, took
    assert not server.logged(worst=3) or all("starting" in text for text in server.logged(worst=3))


def test_slow_classes_side_by_side_do_not_slow_a_normal_client(serve):
    """Three of four of its requests; how the others fare is measured in Tests/hostile, on a quiet machine."""
    server = serve(header_timeout="2s", idle_timeout="2s", threads="8")
    slow = [Connection(server) for _ in range(100)]
    for connection in slow[:50]:
        connection.send(b"GET / HT")
    stuck = [Connection(server, rcvbuf=4096).send(raw_request("GET", "/fixed?n=8000000")) for _ in range(10)]
    times = []
    with Connection(server) as connection:
        for _ in range(200):
            start = time.monotonic()
            assert connection.alive()
            times.append(time.monotonic() - start)
    assert sorted(times)[150] < 0.05 * FACTOR, sorted(times)[-50:]
    for connection in slow + stuck:
        connection.close()


def test_linger_timeout_ends_a_client_that_never_stops_sending(serve):
    server = serve(linger_timeout="4s", linger_bytes="100m")
    with Connection(server) as connection:
        connection.send(b"BROKEN\r\n\r\n")
        assert connection.response().status == 400
        start = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - start < PATIENCE:
                connection.socket.send(b"x" * 10)
                time.sleep(0.02)  # so slowly that linger_bytes does not end it
        assert time.monotonic() - start > 3, "which is more than the default"


def test_pattern_is_what_a_client_that_waits_before_reading_gets(serve):
    server = serve(write_timeout="20s")
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/streamed?n=1000000&piece=777"))
        time.sleep(SHORT)  # the wait before reading
        assert connection.response().body == pattern(1000000)


def test_who_reads_a_unix_socket_slowly_gets_it_all(serve, tmp_path):
    """Its kernel tells of room when most of the queue is free, and acknowledges nothing."""
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}"], write_timeout=LONG_TEXT)
    with Connection(address=str(path), family=socket.AF_UNIX) as connection:
        connection.send(raw_request("GET", "/streamed?n=400000", ["Connection: close"]))
        received, until = b"", time.monotonic() + 3 * LONG
        while time.monotonic() < until:
            received += connection.socket.recv(4000)
            time.sleep(LONG / 20)
        assert (received + connection.rest()).endswith(pattern(400_000))
    assert server.counters()['evy_timeouts_total{deadline="write"}'] == 0


def test_a_request_that_came_just_before_the_idle_deadline_is_answered(serve):
    """Its connection is not idle any more, though its handler may have the loop when the deadline passes."""
    idle = 0.2 * FACTOR
    server = serve(idle_timeout=f"{int(idle * 1000)}ms", threads="64", body="stream")
    ever = time.monotonic() + 3 * PATIENCE
    begun_in_all = 0
    while begun_in_all < 20:
        assert time.monotonic() < ever, f"only {begun_in_all} came before their deadline"
        connections, answered_at = [Connection(server) for _ in range(60)], []
        before = server.counters()["evy_requests_total"]
        for connection in connections:
            connection.get("/hello")
            answered_at.append(time.monotonic())
        for number, connection in enumerate(connections):
            time.sleep(max(0, answered_at[number] + idle - 0.010 + number % 20 * 0.001 - time.monotonic()))
            connection.send_lenient(raw_request("GET", "/slow?ms=12"))
        answered = 0
        for connection in connections:
            data, _ = connection.ending()
            answered += [answer.status for answer in all_responses(data)] == [200]
            connection.close()
        begun = server.counters()["evy_requests_total"] - before - len(connections)
        assert answered == begun, f"{begun - answered} of {begun} were cut"
        begun_in_all += begun
