# SPDX-License-Identifier: MIT
# test_quiet - clients that vanish at any byte leave nothing: no log line, no descriptor, no missing hook.

import pytest
from support import SANITIZED, Connection, raw_request, wait_until


def settled(server, before):
    """The server serves, has its descriptors back, and has logged nothing above debug."""
    with Connection(server) as connection:
        assert connection.alive()
    wait_until(lambda: server.descriptors() <= before, "descriptors to return")
    assert not [text for text in server.logged(worst=3) if "starting" not in text]


def descriptors_at_rest(server):
    with Connection(server) as connection:
        assert connection.alive()
    server.expect("access")
    return wait_until(server.descriptors, "descriptors")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_at_any_byte_of_a_request(serve, how):
    server = serve()
    before = descriptors_at_rest(server)
    raw = raw_request("POST", "/buffered", body=b"0123456789")
    for count in range(len(raw) + 1):
        connection = Connection(server).send(raw[:count])
        getattr(connection, how)()
    settled(server, before)
    assert len(server.select("request", path="/buffered")) <= 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_at_any_byte_of_a_streamed_upload(serve, how):
    server = serve(body="stream")
    before = descriptors_at_rest(server)
    raw = b"POST /pull HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw += b"5\r\nhello\r\n3;x\r\nabc\r\n0\r\nT: u\r\n\r\n"
    for count in range(len(raw) + 1):
        connection = Connection(server).send(raw[:count])
        getattr(connection, how)()
    settled(server, before)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("target", ["/fixed?n=300000", "/chunked?n=300000", "/deferred?how=stream&n=300000"])
def test_at_many_bytes_of_an_answer(either, how, target):
    server = either()
    before = descriptors_at_rest(server)
    sizes = [1, 2, 15, 16, 17, 100, 150, 151, 200, 1000, 4096, 16384, 65536, 100000, 250000]
    for count in sizes:
        connection = Connection(server, rcvbuf=4096)
        connection.send(raw_request("GET", target))
        while connection.received < count:
            connection.receive(count - connection.received)
        getattr(connection, how)()
    hooks = server.expect("hook", count=len(sizes) + 1, name="figures")
    assert {hook["end"] for hook in hooks} <= {"complete", "client-reset", "client-closed"}
    settled(server, before)


def test_in_a_pipeline(serve):
    server = serve()
    before = descriptors_at_rest(server)
    for count in (0, 1, 100, 1000):
        connection = Connection(server, rcvbuf=4096)
        connection.send(raw_request("GET", "/fixed?n=100000") * 50)
        while connection.received < count:
            connection.receive(count - connection.received)
        connection.reset()
    settled(server, before)


def test_memory_returns_after_many_vanished_clients(serve):
    server = serve("--quiet", callbacks=False, access=False)
    raw = raw_request("POST", "/buffered", ["X-A: " + "b" * 5000], b"x" * 100_000)

    def vanish(count):
        for i in range(count):
            connection = Connection(server).send_lenient(raw[: (i * 997) % len(raw)])
            connection.reset()
        with Connection(server) as connection:
            assert connection.alive()

    vanish(300)
    growths = []
    # On a busy machine a thread may take its first turn late, and with it memory of its own, once.
    while len(growths) < 5 and (not growths or growths[-1] >= 8 << 20):
        before = server.resident_bytes()
        vanish(1500)
        growths.append(server.resident_bytes() - before)
    assert SANITIZED or growths[-1] < 8 << 20, growths


@pytest.mark.parametrize("level, most", [("error", 1), ("warn", 2), ("info", 3), ("debug", 4)])
def test_log_level_hides_what_is_below_it(serve, level, most):
    server = serve(log_level=level)
    with Connection(server) as connection:
        connection.get("/promise?promise=2&send=5")
        connection.send(b"BROKEN\r\n\r\n")
        connection.ending()
    server.expect("access", count=2)
    server.finish()
    assert all(event["level"] <= most for event in server.select("log"))


def test_without_a_callback_the_log_goes_where_error_log_says(serve, tmp_path):
    path = tmp_path / "error.log"
    server = serve(callbacks=False, error_log=str(path), log_level="debug")
    with Connection(server) as connection:
        connection.get("/promise?promise=2&send=5")
    server.finish()
    text = path.read_text()
    assert text.endswith("dropped\n") and "longer than its Content-Length" in text, text
