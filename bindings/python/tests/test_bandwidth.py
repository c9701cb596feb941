# SPDX-License-Identifier: MIT
# test_bandwidth - what hooks and log say was sent is what clients counted, also of those who leave.

import socket

import pytest
from client import Connection, raw_request, wait_until

TOTAL, PIECE = 26_214_400, 65536
FIELDS = "%(status_code)s %(wire_bytes)s %(body_bytes)s %(acked_bytes)s %(aborted)s %(path)s"


class Download:
    """The application, and what its hooks saw."""

    def __init__(self):
        self.hooks, self.closed = [], 0

    def __call__(self, env, start_response):
        env["evy.posthooks"].append((self.hooks.append, (), {}))
        start_response("200 OK", [("Content-Length", str(TOTAL))])
        return self.pieces()

    def pieces(self):
        try:
            for _ in range(TOTAL // PIECE):
                yield bytes(PIECE)
        finally:
            self.closed += 1


def stalled_download(server):
    """A client with a tiny window that took 1,000 bytes, and what its TCP has received by then."""
    connection = Connection(server, rcvbuf=4096)
    base = connection.tcp_bytes_received()
    connection.send(raw_request("GET", "/"))
    taken = 0
    while taken < 1000:
        taken += len(connection.receive(1000 - taken))
    return connection, connection.wait_until_full() - base


@pytest.mark.parametrize("how", ["reset", "fin"])
def test_early_leaver_then_full_download(either, how):
    site = Download()
    server = either(site, log_format=FIELDS)
    connection, received = stalled_download(server)
    if how == "fin":
        connection.socket.shutdown(socket.SHUT_WR)
        connection.close()
    else:
        connection.reset()
    wait_until(lambda: site.hooks, "the hook")
    env = site.hooks[0]
    assert env["evy.aborted"] in (
        ("client-reset",) if how == "reset" else ("client-reset", "client-closed")
    )
    assert abs(env["evy.bytes_acked"] - received) <= 65536
    assert env["evy.bytes_acked"] < 1 << 20
    assert env["evy.body_bytes"] < env["evy.content_length"] == TOTAL

    with Connection(server) as full:
        answer = full.get("/")
    wait_until(lambda: len(site.hooks) == 2, "the second hook")
    env = site.hooks[1]
    assert (env["evy.aborted"], env["evy.body_bytes"]) == (None, TOTAL)
    assert env["evy.bytes_sent"] == answer.byte_count
    lines = server.log.expect("^200 ", 2)
    for line, env in zip(lines, site.hooks):
        _, wire, body, acked, aborted, path = line.split()
        assert (int(wire), int(body)) == (env["evy.bytes_sent"], env["evy.body_bytes"])
        assert aborted == (env["evy.aborted"] or "-")
        assert int(acked) >= env["evy.bytes_acked"]
    assert site.closed == 2
    assert not server.log.matching("Traceback")


def test_sum_of_the_log_is_what_clients_counted(serve):
    """500 requests, every fifth client resets in the middle of its answer."""

    def site(env, start_response):
        size = int(env["QUERY_STRING"])
        if env["PATH_INFO"] == "/list":
            start_response("200 OK", [])
            return [b"x" * size]
        start_response("200 OK", [("Content-Length", str(size))] if env["PATH_INFO"] == "/leave" else [])
        return (b"x" * min(8192, size - at) for at in range(0, size, 8192))

    server = serve(site, log_format=FIELDS)
    counted, kept = 0, Connection(server)
    for number in range(500):
        if number % 5 == 4:
            leaver = Connection(server, rcvbuf=4096)
            leaver.send(raw_request("GET", "/leave?10000000"))
            leaver.receive(1000)
            leaver.reset()
            continue
        path = ("/list", "/chunked", "/list", "/chunked")[number % 5]
        counted += kept.get(f"{path}?{number * 37}").byte_count
    kept.close()
    lines = [line.split() for line in server.log.expect("^200 ", 500)]
    assert len(lines) == 500
    complete = [line for line in lines if line[4] == "-"]
    assert sum(int(line[1]) for line in complete) == counted
    assert [line[4] for line in lines if line[5] == "/leave"] == ["client-reset"] * 100
    assert len(complete) == 400


def test_nobody_left_to_send_to_ends_the_application_quietly(serve):
    site = Download()
    server = serve(site)
    connection, _ = stalled_download(server)
    connection.reset()
    wait_until(lambda: site.closed, "close() of the generator")
    server.log.access()
    assert not server.log.matching("Traceback|rror")
