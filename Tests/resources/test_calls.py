# SPDX-License-Identifier: MIT
# test_calls - system calls that fail now and then: what a client gets is right, or ends with an error.

import pytest
from support import Closed, Connection, Reset, pattern, raw_request, wait_until


def ask(server, count=40, size=3000):
    """Requests on connections of their own; how many were answered. An answer that comes is right."""
    answered = 0
    for number in range(count):
        body = pattern(size + number, number)
        try:
            with Connection(server) as connection:
                for target in ("/buffered", f"/fixed?n={size}", f"/streamed?n={size}&piece=700"):
                    sends = target == "/buffered"
                    method, sent = ("POST", body) if sends else ("GET", None)
                    answer = connection.request(method, target, body=sent)
                    if answer.status == 200:
                        assert answer.body == (body if sends else pattern(size)), "wrong bytes"
                        answered += 1
                    else:
                        assert answer.status in (413, 500, 503), answer
                    if answer.closes:
                        break
        except (Reset, Closed, ConnectionError):
            pass
    return answered


def well(server):
    server.faults.clear()
    with Connection(server) as connection:
        assert connection.alive()
    server.settled(evy_requests_active=0, evy_connections_open=0)


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_accept_without_means_waits_and_goes_on(faulty, name):
    server = faulty()
    with Connection(server) as first:
        assert first.alive()
        server.faults.set("accept", name)
        clients = [Connection(server).send(raw_request("GET", "/hello")) for _ in range(5)]
        wait_until(lambda: server.faults.hits("accept") >= 3, "three attempts")
        assert first.alive()
        server.faults.clear()
        for client in clients:
            assert client.response().status == 200
            client.close()
    wait_until(lambda: len(server.logged(2)) >= 2, "both lines of the log")
    lines = server.logged(2)
    assert len(lines) == 2 and "cannot accept" in lines[0] and "accepting again" in lines[1], lines


@pytest.mark.parametrize("name", ["ECONNABORTED", "EINTR", "EPROTO", "EPERM", "EAGAIN", "ETIMEDOUT"])
def test_accept_that_fails_for_one_client_is_no_pause(faulty, name):
    server = faulty()
    server.faults.set("accept", name, every=2)
    assert ask(server, 20) == 60
    assert server.faults.hits("accept") > 0 and not server.logged(2)
    well(server)


@pytest.mark.parametrize("kind, name", [("wait", "EINTR"), ("receive", "EINTR"), ("send", "EINTR")])
def test_interrupted_calls_are_made_again(faulty, kind, name):
    server = faulty()
    server.faults.set(kind, name, every=2)
    assert ask(server, 20) == 60
    assert server.faults.hits(kind) > 0
    well(server)


@pytest.mark.parametrize("kind", ["receive", "send"])
def test_calls_that_would_have_to_wait_are_tried_later(faulty, kind):
    server = faulty()
    server.faults.set(kind, "EAGAIN", every=3)
    assert ask(server, 20) == 60
    assert server.faults.hits(kind) > 0
    well(server)


@pytest.mark.parametrize("kind", ["receive", "send"])
@pytest.mark.parametrize("name", ["ENOBUFS", "ENOMEM", "EIO", "ECONNRESET", "EPIPE"])
def test_a_connection_whose_socket_fails_is_ended_alone(faulty, kind, name):
    server = faulty()
    with Connection(server) as other:
        assert other.alive()
        server.faults.set(kind, name, every=7)
        answered = ask(server, 30)
        assert 0 < answered < 90 and server.faults.hits(kind) > 0
        server.faults.clear()
    well(server)
    ends = {hook["end"] for hook in server.select("hook", name="figures")}
    assert ends <= {"complete", "io", "client-reset", "client-closed", "protocol"}, ends


@pytest.mark.parametrize("tls", [None, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ["ENOMEM", "EIO", "EPROTO", "EINTR", "EAGAIN"])
def test_a_file_that_cannot_be_sent_cuts_its_answer(faulty, tmp_path, name, tls):
    """Under TLS it has to be read, in clear text the kernel does both. EPROTO comes of a file system whose
    own protocol was broken: the client has broken none."""
    if tls and name == "EAGAIN":
        pytest.skip("reading a regular file never says so")
    path = tmp_path / "file"
    path.write_bytes(pattern(200_000))
    server = faulty(tls=tls)
    server.faults.set("file_out", name, every=2)
    whole = 0
    for _ in range(10):
        try:
            with Connection(server) as connection:
                assert connection.get(f"/file?path={path}").body == pattern(200_000)
                whole += 1
        except (Reset, Closed):
            pass
    assert server.faults.hits("file_out") > 0
    assert whole == 10 or name in ("ENOMEM", "EIO", "EPROTO")
    well(server)
    ends = [hook["end"] for hook in server.select("hook", name="figures", path="/file")]
    assert ends.count("complete") == whole and set(ends) <= {"complete", "io"}, ends


@pytest.mark.parametrize("name", ["ENOMEM", "ENOSPC"])
def test_a_socket_the_loop_cannot_watch_is_closed_and_counted(faulty, name):
    """ENOSPC: fs.epoll.max_user_watches."""
    server = faulty()
    with Connection(server) as first:
        assert first.alive()
        server.faults.set("add", name)
        with Connection(server) as refused:
            assert refused.ending()[0] == b""
        assert first.alive()
        assert server.counters()["evy_connections_refused_total"] >= 1
    well(server)


def test_listeners_the_loop_cannot_watch_are_tried_again(faulty):
    """After a pause for descriptors they are put back into the set, which can fail as well."""
    server = faulty("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")
    with Connection(port=server.ports[0]) as first:
        assert first.alive()
        server.faults.set("accept", "EMFILE")
        waiting = [Connection(port=port).send(raw_request("GET", "/hello")) for port in server.ports]
        wait_until(lambda: server.faults.hits("accept") >= 1, "a pause")
        server.faults.set("add", "ENOMEM")
        wait_until(lambda: server.faults.hits("add") >= 3, "three attempts")
        server.faults.clear()
        for client in waiting:
            assert client.response().status == 200
            client.close()
        assert first.alive()
    lines = wait_until(lambda: [line for line in server.logged(2) if "cannot accept" in line], "the line")
    assert len(lines) == 1, lines
    well(server)
