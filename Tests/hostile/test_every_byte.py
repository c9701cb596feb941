# SPDX-License-Identifier: MIT
# test_every_byte - clients that leave after every single byte: each end has its right name, every hook runs.
"""All clients of a test first come to their byte, the server has it, and then all leave: no race decides."""

import collections

import pytest
from crowd import HELLO, Pipe, raw_socket, reset
from figures import size
from support import Connection, chunks, raw_request, wait_until
from test_counters import ENDS, answered, ended

LENGTH_BODY = raw_request("POST", "/pull", body=b"0123456789")
CHUNKED_BODY = b"POST /push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(
    b"abc", b"de", last=b"0\r\nT: u\r\n\r\n"
)
RELAY = b"POST /relay?length=%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
ENDINGS = {"close": "client-closed", "reset": "client-reset"}


def leave(sockets, how):
    for sock in sockets:
        sock.close() if how == "close" else reset(sock)


def come_to_every_byte(server, raw):
    """One client for each number of bytes, the whole of it included; the server has read them all."""
    clients = []
    for count in range(len(raw) + 1):
        clients.append(raw_socket(server.port))
        clients[-1].sendall(raw[:count])
    sent = len(raw) * (len(raw) + 1) // 2
    server.settled(evy_received_bytes_total=sent, evy_connections_open=len(clients))
    return clients


@pytest.mark.parametrize("how", ["close", "reset"])
def test_of_a_request_with_a_body_that_is_waited_for(serve, how):
    server = serve()
    raw = LENGTH_BODY.replace(b"/pull", b"/buffered")
    head = raw.index(b"\r\n\r\n") + 4
    clients = come_to_every_byte(server, raw)
    server.settled(evy_requests_active=len(raw) - head)
    leave(clients, how)
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert found["evy_requests_total"] == ended(found) == answered(found) == len(raw) - head + 1
    assert found[ENDS % ENDINGS[how]] == len(raw) - head and found[ENDS % "complete"] == 1
    assert len(server.select("request")) == 1, "only the whole one is handled"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("raw", [LENGTH_BODY, CHUNKED_BODY], ids=["length", "chunked"])
def test_of_a_streamed_upload(serve, raw, how):
    server = serve(body="stream", threads="64")
    head = raw.index(b"\r\n\r\n") + 4
    clients = come_to_every_byte(server, raw)
    server.expect("request", count=len(raw) - head + 1)
    server.settled(evy_requests_active=len(raw) - head)
    leave(clients, how)
    hooks = server.expect("hook", count=len(raw) - head + 1, name="figures")
    assert collections.Counter(hook["end"] for hook in hooks) == {
        ENDINGS[how]: len(raw) - head,
        "complete": 1,
    }
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert found[ENDS % ENDINGS[how]] == len(raw) - head


class Cut(Exception):
    """The client has sent as many bytes as it may."""


class CutPipe(Pipe):
    """Sends only the first `budget` bytes of its side of the connection."""

    def __init__(self, sock, budget):
        super().__init__(sock)
        self.budget = budget

    def flush(self):
        data = self.outgoing.read()
        part = data[: self.budget - self.sent]
        self.sent += len(part)
        self.socket.sendall(part)
        if len(part) < len(data):
            raise Cut


def tls_client(server, budget):
    """(its socket, bytes sent): it may send no more than budget bytes of handshake and request."""
    pipe = CutPipe(raw_socket(server.port), budget)
    try:
        pipe.handshake().request(HELLO)
        assert b"Hello" in pipe.read()
    except Cut:
        pass
    return pipe.socket, pipe.sent


@pytest.mark.parametrize("how", ["close", "reset"])
def test_of_a_tls_connection(serve, how):
    """Hello, Finished, request. A short run has every byte too, but each of them leaves in one way only."""
    server = serve(tls=True, backlog="2000")
    whole = tls_client(server, 1 << 20)
    before = server.settled(evy_received_bytes_total=whole[1], evy_requests_total=1)
    step, first = size((2, how == "close"), (1, 0))
    clients = [tls_client(server, budget) for budget in range(first, whole[1], step)]
    server.settled(evy_received_bytes_total=whole[1] + sum(sent for _, sent in clients))
    leave([client for client, _ in clients], how)
    whole[0].close()
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert found["evy_requests_total"] == before["evy_requests_total"] == 1
    shaken = found["evy_tls_handshakes_total"]
    assert 1 < shaken < len(clients) and shaken + found["evy_tls_failures_total"] == len(clients) + 1
    assert not [text for text in server.logged(worst=3) if "starting" not in text]


def answer_clients(server, target, counts):
    """One client for each count: it has read so many bytes of its answer, and no more."""
    clients = []
    for count in counts:
        client = Connection(server, rcvbuf=4096)
        client.send(raw_request("GET", target))
        while client.received < count:
            client.receive(count - client.received)
        clients.append(client)
    return clients


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("tls", [None, True], ids=["plain", "tls"])
def test_of_an_answer_that_is_still_being_sent(serve, tls, how):
    """Of its head, of its chunks' framing; it is far too long for any buffer."""
    server = serve(tls=tls, threads="64", backlog="2000")
    counts = [*range(200), *range(4080, 4120)][:: size(8, 1)]
    clients = answer_clients(server, "/deferred?how=stream&n=20000000", counts)
    server.settled(evy_requests_active=len(counts))
    for client in clients:
        client.close() if how == "close" else client.reset()
    hooks = server.expect("hook", count=len(counts), name="figures")
    ends = {hook["end"] for hook in hooks}
    # What a close leaves unread is told by TCP as a reset.
    assert ends <= ({"client-reset"} if how == "reset" else {"client-reset", "client-closed"}), ends
    assert all(hook["gone"] == 1 and hook["stats"]["body_out"] < 20_000_000 for hook in hooks)
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert sum(found[ENDS % end] for end in ends) == len(counts) == ended(found)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_of_an_answer_that_has_come_so_far(serve, how):
    """The handler has written exactly this much of its body, the client has read it, and leaves."""
    total = 40
    server = serve(body="stream", threads="64")
    clients = []
    for count in range(total):
        client = Connection(server)
        client.send(RELAY % (total, total))
        client.send(b"r" * count)
        while not client.reader.buffer.endswith(b"\r\n\r\n" + b"r" * count):
            client.reader.more()
        clients.append(client)
    for client in clients:
        client.close() if how == "close" else client.reset()
    hooks = server.expect("hook", count=total, name="figures")
    assert {hook["end"] for hook in hooks} == {ENDINGS[how]}
    assert sorted(hook["stats"]["body_out"] for hook in hooks) == list(range(total))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_of_an_answer_that_the_kernel_has(serve, how):
    """Whoever leaves in the middle of it, the server has sent all of it: complete, by definition."""
    server = serve()
    with Connection(server) as client:
        whole = client.get("/hello").byte_count
    server.expect("hook", name="figures")
    clients = answer_clients(server, "/hello", range(whole))
    server.expect("hook", count=whole + 1, name="figures")
    for client in clients:
        client.close() if how == "close" else client.reset()
    wait_until(lambda: server.counters()["evy_connections_open"] == 0, "their end")
    assert {hook["end"] for hook in server.select("hook", name="figures")} == {"complete"}
    assert server.counters()[ENDS % "complete"] == whole + 1
