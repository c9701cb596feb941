# SPDX-License-Identifier: MIT
# test_clock - the time of day jumps, and the process stands still: deadlines hold, nobody is lost.

import email.utils
import signal
import ssl
import subprocess
import time

import pytest
from certificates import Authority
from support import FACTOR, Connection, Reset, client_context, raw_request, wait_until

YEAR = 365 * 86400


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["ahead", "back"])
def test_a_jump_of_the_time_of_day_moves_no_deadline(faulty, jump):
    server = faulty(idle_timeout="5s", header_timeout="5s")
    with Connection(server) as idle, Connection(server) as slow, Connection(server) as busy:
        start = time.monotonic()
        assert idle.alive() and busy.alive()
        slow.send(b"GET / HT")
        busy.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        server.faults.jump(jump)
        with Connection(server) as fresh:
            date = email.utils.mktime_tz(email.utils.parsedate_tz(fresh.get("/hello")["Date"]))
            assert abs(date - time.time() - jump) < 60, "the shim moves the clock the library reads"
        assert idle.silent(0.5) and slow.silent(0.5), "nothing is cut early"
        assert idle.ending() == (b"", "eof")
        assert 4.5 < time.monotonic() - start
        assert slow.response().status == 408
        assert server.command("open", 1) == "EVY_OK"
        assert busy.response().body == b"opened"
    taken = server.expect("hook", name="figures", path="/gate")["stats"]["us_total"]
    assert 0 < taken < 60e6, "figures are of the other clock"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_has_expired_is_no_better_for_a_ticket(faulty, tmp_path, version):
    """The verdict in the ticket is of an earlier moment; who asks for certificates asks for good ones."""
    root = Authority(tmp_path)
    alice = root.issue("alice")
    server = faulty("--client-ca", "2", str(root.certificate), tls=root.issue("server", "localhost"))
    context = client_context(minimum_version=version, maximum_version=version)
    context.load_cert_chain(*alice)
    left = ssl.cert_time_to_seconds(text_of_end(alice[0])) - time.time()

    def ask(session=None):
        with Connection(server, tls=context, session=session) as connection:
            assert connection.alive()
            return connection.socket.session, connection.socket.session_reused

    server.faults.jump(int(left) - 600)
    session, _ = ask()
    session, is_reused = ask(session)
    assert is_reused
    server.faults.jump(int(left) + 600)
    for tried in (None, session):
        with pytest.raises((ssl.SSLError, Reset)):
            ask(tried)


def text_of_end(certificate):
    """As OpenSSL tells it: "Dec 29 01:20:00 2026 GMT"."""
    command = ["openssl", "x509", "-in", certificate, "-noout", "-enddate"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("=")[1]


def stopped(server, seconds):
    """The process stands still for so long. What is tested passes without a look at it."""
    server.signal(signal.SIGSTOP)
    time.sleep(seconds * FACTOR)
    server.signal(signal.SIGCONT)


def milliseconds(seconds):
    return f"{int(seconds * FACTOR * 1000)}ms"


def test_whoever_has_sent_in_time_is_served_after_a_standstill(serve):
    """More clients than one look at the sockets shows: the deadlines of all have passed meanwhile."""
    count = 600
    deadline = milliseconds(3)
    server = serve("--quiet", idle_timeout=deadline, header_timeout=deadline, backlog="1000")
    idle = [Connection(server) for _ in range(count)]
    for client in idle:
        client.send(raw_request("GET", "/hello"))
    for client in idle:
        assert client.response().status == 200
    server.signal(signal.SIGSTOP)
    start = time.monotonic()
    for client in idle:
        client.send(raw_request("GET", "/hello?again"))
    fresh = [Connection(server) for _ in range(100)]  # which nobody accepts now
    for client in fresh:
        client.send(raw_request("GET", "/hello"))
    while time.monotonic() - start < 4 * FACTOR:
        time.sleep(0.05)
    server.signal(signal.SIGCONT)
    for client in idle + fresh:
        assert client.response().status == 200, "what was sent before the deadline was looked at counts"
        client.close()
    server.settled(evy_connections_open=0)


def test_whoever_has_sent_nothing_is_cut_after_a_standstill(serve):
    deadline = milliseconds(2.5)
    server = serve(idle_timeout=deadline, header_timeout=deadline, body_timeout=deadline)
    with Connection(server) as idle, Connection(server) as head, Connection(server) as body:
        assert idle.alive()
        head.send(b"GET / HTTP/1.1\r\n")
        body.send(raw_request("POST", "/buffered", ["Content-Length: 10"]) + b"123")
        wait_until(lambda: server.counters()["evy_connections_open"] == 3, "all three")
        stopped(server, 3)
        assert idle.ending() == (b"", "eof")
        assert head.response().status == 408
        assert body.response().status == 408
    with Connection(server) as fresh:
        assert fresh.alive()


def test_a_transfer_survives_a_standstill_of_either_side(serve):
    """Longer than the deadlines of reading and of writing; the kernel's buffers held what was on its way."""
    server = serve(body_timeout=milliseconds(2.5), write_timeout=milliseconds(2.5))
    size = 8 << 20
    with Connection(server, rcvbuf=65536) as down, Connection(server) as up:
        down.send(raw_request("GET", f"/fixed?n={size}"))
        down.wait_until_full()
        up.send(raw_request("POST", "/buffered?answer=count", ["Content-Length: 200000"]) + bytes(100000))
        server.signal(signal.SIGSTOP)
        start = time.monotonic()
        up.send(bytes(100000))
        taken = b""
        while time.monotonic() - start < 3.5 * FACTOR:
            if len(taken) < size // 2 and not down.silent(0.05):
                taken += b"x"
        server.signal(signal.SIGCONT)
        assert down.response().status == 200
        assert up.response().status == 200


def test_a_request_in_its_handler_survives_a_standstill(serve):
    server = serve(idle_timeout=milliseconds(2.5), header_timeout=milliseconds(2.5))
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        stopped(server, 3)
        assert server.command("open", 1) == "EVY_OK"
        assert connection.response().body == b"opened"
        assert connection.alive()
