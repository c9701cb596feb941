# SPDX-License-Identifier: MIT
# test_counters - what evy_server_counters and evy_server_metrics tell, against what a client saw.

import re
import socket
import threading

import pytest
from support import FACTOR, Connection, one_loop, raw_request, wait_until

ENDS = 'evy_requests_ended_total{end="%s"}'
STATUS = 'evy_responses_total{status="%s"}'
REFUSED = 'evy_requests_refused_total{reason="%s"}'
TIMEOUT = 'evy_timeouts_total{deadline="%s"}'


def ended(found):
    return sum(value for name, value in found.items() if name.startswith("evy_requests_ended"))


def answered(found):
    return sum(value for name, value in found.items() if name.startswith("evy_responses"))


@pytest.fixture(params=["silent", "hooks", "log"])
def watched(request, serve):
    """The same figures whether anybody watches single requests or not."""
    arguments = [] if request.param == "hooks" else ["--no-hooks"]
    return lambda **options: serve(*arguments, access=request.param == "log", **options)


def test_every_request_and_every_byte_is_counted_once(watched):
    server = watched()
    assert set(server.counters().values()) == {0} or server.counters()["evy_requests_total"] == 0
    sent = received = 0
    connection = Connection(server)
    for target, _ in (("/hello", 200), ("/nope", 404), ("/hello", 200), ("/chunked?n=70000", 200)):
        data = raw_request("GET", target)
        sent += len(data)
        connection.send(data)
        received += connection.response().byte_count
    found = server.settled(evy_requests_active=0, evy_requests_total=4)
    assert found[ENDS % "complete"] == ended(found) == answered(found) == 4
    assert (found[STATUS % "2xx"], found[STATUS % "4xx"]) == (3, 1)
    assert (found["evy_received_bytes_total"], found["evy_sent_bytes_total"]) == (sent, received)
    assert (found["evy_connections_open"], found["evy_connections_total"]) == (1, 1)
    connection.close()
    server.settled(evy_connections_open=0, evy_connections_total=1)


def test_pipelined_requests_are_counted_each(watched):
    server = watched()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/hello") * 200 + raw_request("GET", "/nope") * 50)
        received = sum(connection.response().byte_count for _ in range(250))
        found = server.settled(evy_requests_active=0, evy_requests_total=250)
    assert (found[STATUS % "2xx"], found[STATUS % "4xx"], found[ENDS % "complete"]) == (200, 50, 250)
    assert found["evy_sent_bytes_total"] == received


def test_a_request_being_served_is_active_and_its_thread_busy(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/gate?id=1"))
        server.expect("request", path="/gate")
        found = server.settled(evy_requests_active=1, evy_threads_busy=1)
        assert found["evy_requests_total"] == 1 and ended(found) == 0
        assert 1 <= found["evy_threads"] <= 3
        server.command("open", 1)
        assert connection.response().status == 200
        server.settled(evy_requests_active=0, evy_threads_busy=0)


@one_loop
def test_callbacks_that_wait_for_a_thread_are_queued(serve):
    server = serve(threads="2")
    connections = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(5)]
    server.settled(evy_requests_queued=3, evy_threads_busy=2, evy_requests_active=5)
    server.command("open", 1)
    for connection in connections:
        assert connection.response().status == 200
        connection.close()
    server.settled(evy_requests_queued=0, evy_requests_active=0)


@pytest.mark.parametrize(
    "target, end",
    [
        ("/abort?when=head", "aborted"),
        ("/nothing", "handler-error"),
        ("/streamed?n=30000000", "client-reset"),
    ],
)
def test_the_end_of_a_request_has_its_counter(watched, target, end):
    server = watched()
    connection = Connection(server, rcvbuf=4096)
    connection.send(raw_request("GET", target))
    if end == "client-reset":
        connection.receive(100)
        connection.reset()
    else:
        connection.ending()
    found = server.settled(evy_requests_active=0, evy_requests_total=1)
    assert found[ENDS % end] == ended(found) == answered(found) == 1


def half_a_body(connection):
    connection.send(raw_request("POST", "/buffered", ["Content-Length: 10"]) + b"12345")


@pytest.mark.parametrize(
    "end, ask",
    [
        ("client-closed", lambda c: (half_a_body(c), c.close())),
        ("write-timeout", lambda c: c.send(raw_request("GET", "/streamed?n=30000000"))),
        ("read-timeout", half_a_body),
        ("limit", lambda c: c.send(raw_request("POST", "/buffered", ["Content-Length: 2000000"]))),
        ("protocol", lambda c: c.send(raw_request("POST", "/", ["Transfer-Encoding: chunked"]) + b"x\r\n")),
        ("upgraded", lambda c: c.send(raw_request("GET", "/take?how=inline") + b".")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_further_end_has_its_counter(watched, end, ask):
    short = {"write-timeout": "write_timeout", "read-timeout": "body_timeout"}
    server = watched(max_body_size="1m", **({short[end]: "300ms"} if end in short else {}))
    connection = Connection(server, rcvbuf=4096)
    ask(connection)
    found = server.settled(**{ENDS % end: 1, "evy_requests_active": 0})
    assert ended(found) == answered(found) == found["evy_requests_total"] == 1
    connection.close()


@pytest.mark.parametrize("code", [204, 302, 404, 503])
def test_each_class_of_status_has_its_counter(watched, code):
    server = watched()
    with Connection(server) as connection:
        assert connection.get(f"/status?code={code}").status == code
        found = server.settled(evy_requests_active=0, evy_requests_total=1)
    assert found[STATUS % f"{code // 100}xx"] == answered(found) == 1


def test_an_answer_a_client_never_takes_is_not_complete(serve):
    """One that nobody observes too: it is known by its bytes alone."""
    server = serve("--no-hooks", access=False)
    connection = Connection(server, rcvbuf=4096)
    connection.send(raw_request("GET", "/fixed?n=30000000") * 2)
    connection.receive(1000)
    assert server.counters()[ENDS % "complete"] == 0
    connection.reset()
    found = server.settled(evy_requests_active=0)
    assert found[ENDS % "complete"] == 0 and found[ENDS % "client-reset"] == ended(found) >= 1
    assert found["evy_sent_bytes_total"] < 30_000_000


@pytest.mark.parametrize(
    "raw, reason, status",
    [
        (b"BROKEN\r\n\r\n", "malformed", "4xx"),
        (raw_request("GET", "/" + "a" * 9000), "limit", "4xx"),
        (raw_request("GET", "/", ["Transfer-Encoding: zip"]), "unsupported", "5xx"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX", "timeout", "4xx"),
    ],
)
def test_refused_requests_are_counted_by_kind(serve, raw, reason, status):
    server = serve(**({"header_timeout": "300ms"} if reason == "timeout" else {}))
    with Connection(server) as connection:
        connection.send_lenient(raw)
        connection.ending()
    found = server.settled(evy_requests_active=0, evy_requests_total=1)
    assert found[REFUSED % reason] == 1 and found[STATUS % status] == answered(found) == ended(found) == 1
    assert sum(v for n, v in found.items() if n.startswith("evy_requests_refused")) == 1
    assert found[TIMEOUT % "header"] == (reason == "timeout")


def test_each_deadline_has_its_counter(serve):
    short = {name: "300ms" for name in ("idle_timeout", "body_timeout", "linger_timeout", "write_timeout")}
    server = serve(header_timeout="2500ms", linger_bytes="1m", **short)
    silent = Connection(server)
    slow = Connection(server, rcvbuf=4096).send(raw_request("GET", "/streamed?n=30000000"))
    idle = Connection(server)
    idle.get("/hello")
    body = Connection(server)
    body.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
    lingering = Connection(server).send(b"BROKEN\r\n\r\nand more")
    found = server.settled(**{TIMEOUT % name: 1 for name in ("header", "idle", "body", "write")})
    lingers = server.settled(evy_connections_open=0)[TIMEOUT % "linger"]
    assert lingers >= 1 and found[TIMEOUT % "handshake"] == 0
    for connection in (silent, idle, body, lingering, slow):
        connection.close()


def test_handshakes_and_bytes_under_tls(serve):
    server = serve(tls=True, handshake_timeout="2500ms")
    with Connection(server) as connection:
        answer = connection.get("/hello")
        found = server.settled(evy_tls_handshakes_total=1, evy_requests_active=0)
        assert found["evy_tls_failures_total"] == 0
        assert found["evy_sent_bytes_total"] > answer.byte_count + 500, "the handshake counts too"
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.settled(evy_tls_failures_total=1)
    with socket.create_connection(("127.0.0.1", server.port)):
        server.settled(**{"evy_tls_failures_total": 2, TIMEOUT % "handshake": 1})


@one_loop
def test_full_servers_count_their_pauses_and_evictions(serve):
    server = serve(max_connections="2")
    first = Connection(server)
    first.get("/hello")
    busy = Connection(server).send(raw_request("GET", "/gate?id=1"))
    server.settled(evy_requests_active=1, evy_requests_total=2)
    third = Connection(server)
    assert third.alive(), "the idle one made room"
    assert server.settled(evy_connections_evicted_total=1)["evy_connections_total"] == 3
    third.send(raw_request("GET", "/gate?id=1"))
    server.settled(evy_requests_active=2, evy_requests_total=4)
    with Connection(server) as fourth:
        server.settled(evy_accept_pauses_total=1, evy_connections_open=2)
        server.command("open", 1)
        assert busy.response().status == third.response().status == 200
        busy.close()
        assert fourth.alive()


def test_the_lag_of_the_loop_is_the_length_of_its_turn(serve):
    server = serve(threads="1")
    with Connection(server) as connection:
        connection.get("/slow?ms=80")

        def slow_turn():
            found = server.counters()
            return found if found["evy_loop_lag_max_microseconds"] >= 80_000 else None

        found = wait_until(slow_turn, "the end of the turn")
        connection.get("/hello")
    later = server.settled(evy_connections_open=0)
    assert later["evy_loop_lag_microseconds"] <= later["evy_loop_lag_max_microseconds"]
    assert later["evy_loop_turns_total"] > found["evy_loop_turns_total"] > 0
    assert later["evy_loop_busy_microseconds_total"] >= 80_000


def test_a_handler_that_blocks_does_not_lag_the_loop_that_moves_on(serve):
    server = serve()
    with Connection(server) as connection:
        connection.get("/slow?ms=3000")
    assert server.settled(evy_connections_open=0)["evy_loop_lag_max_microseconds"] < 2_500_000


def test_snapshots_are_never_torn_and_counters_never_shrink(serve):
    """A thread that does nothing but look, while connections come and go and requests of all ends run."""
    server = serve("--quiet", "--no-hooks", access=False)
    server.tell("watch", 0, 1500)
    over = threading.Event()

    def load(targets):
        while not over.is_set():
            with Connection(server) as connection:
                connection.send(b"".join(raw_request("GET", target) for target in targets))
                for _ in targets:
                    connection.response()

    mixes = [["/hello"] * 50, ["/hello", "/nope", "/chunked?n=50000"], ["/slow?ms=5"]]
    threads = [threading.Thread(target=load, args=(mix,)) for mix in mixes]
    for thread in threads:
        thread.start()
    seen = server.expect("watched", patience=20 * FACTOR)
    over.set()
    for thread in threads:
        thread.join()
    assert seen["looks"] > 100 and seen["torn"] == 0 and seen["shrunk"] == 0, seen
    found = server.settled(evy_requests_active=0, evy_connections_open=0)
    assert found["evy_requests_total"] == found[ENDS % "complete"] == answered(found) > 100


def test_servers_count_apart_and_keep_their_figures_when_stopped(serve):
    server = serve("--second")
    with Connection(server) as connection:
        connection.get("/hello")
    server.settled(evy_requests_active=0, evy_requests_total=1, evy_connections_open=0)
    assert server.counters(1)["evy_requests_total"] == 0
    assert server.command("stop", 0) == "EVY_OK" and server.command("wait", 0, 5000) == "EVY_OK"
    found = server.counters()
    assert found["evy_requests_total"] == 1 and found["evy_connections_open"] == found["evy_threads"] == 0


def test_what_is_cut_at_the_end_of_the_grace_is_counted(serve):
    server = serve("--no-hooks", access=False)
    connection = Connection(server, rcvbuf=4096).send(raw_request("GET", "/streamed?n=30000000"))
    connection.receive(100)
    server.command("stop", 0, 0)
    server.command("wait", 0, 5000)
    found = server.counters()
    assert found["evy_requests_active"] == 0 and found[ENDS % "shutdown"] == ended(found) == 1
    connection.close()


# ---- the text of Prometheus

LINE = re.compile(
    r"# HELP (evy_[a-z_]+) \S.*"
    r"|# TYPE (evy_[a-z_]+) (counter|gauge)"
    r'|(evy_[a-z_]+)(?:\{[a-z]+="[a-z0-9-]+"\})? (-?\d+)'
)


def parsed(text):
    """{series: value}, by the rules of the text format: HELP, TYPE, then the family's own series."""
    assert text.endswith("\n")
    found, kinds, family = {}, {}, None
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        if match[1]:
            assert match[1] not in kinds, f"{match[1]} comes twice"
            family = match[1]
        elif match[2]:
            assert match[2] == family
            kinds[family] = match[3]
        else:
            series, value = line.rsplit(" ", 1)
            assert match[4] == family and series not in found
            assert (kinds[family] == "counter") == family.endswith("_total"), family
            found[series] = int(value)
    return found, kinds


def test_the_metrics_are_the_counters(shared):
    with Connection(shared) as connection:
        told = connection.get("/counters").json()
        answer = connection.get("/metrics")
    assert answer["Content-Type"] == "text/plain; version=0.0.4"
    found, kinds = parsed(answer.body.decode())
    assert set(found) == set(told["counters"])
    assert {name: kinds[name.split("{")[0]] for name in found} == told["types"]
    assert found["evy_requests_total"] == told["counters"]["evy_requests_total"] + 1
    assert found["evy_requests_active"] >= 1, "the scrape itself"
    assert len(answer.body) < 16384 - 20 * len(found), "digits may still grow"


def test_a_scraper_reads_the_metrics(shared):
    parser = pytest.importorskip("prometheus_client.parser")
    with Connection(shared) as connection:
        families = list(parser.text_string_to_metric_families(connection.get("/metrics").body.decode()))
    kinds = {family.name: family.type for family in families}
    assert kinds["evy_requests"] == "counter" and kinds["evy_connections_open"] == "gauge"
    statuses = {
        sample.labels["status"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "evy_responses_total"
    }
    assert set(statuses) == {"none", "1xx", "2xx", "3xx", "4xx", "5xx"}


def test_a_buffer_too_small_gets_the_length_and_no_half_text(shared):
    with Connection(shared) as connection:
        for cap in (0, 1, 100):
            answer = connection.get(f"/metrics?cap={cap}")
            assert answer.status == 507 and 2000 < int(answer.body) < 16384
