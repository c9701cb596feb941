# SPDX-License-Identifier: MIT
# test_memory - memory that is limited or not to be had: large things are refused, the process lives on.

import itertools
import resource
import subprocess
import threading

import pytest
from faults import Faults
from support import PATIENCE, SANITIZED, Closed, Connection, Reset, pattern, raw_request, wait_until
from test_calls import ask, well

MIB = 1 << 20


@pytest.mark.parametrize("least", [2_000, 20_000, 100_000])
@pytest.mark.parametrize("every", [1, 3])
def test_what_does_not_fit_is_refused_and_nothing_is_garbled(faulty, least, every):
    """Allocations of so many bytes and more fail: bodies, answers, what a slow client leaves over."""
    server = faulty(max_header_size="64k", max_header_line="60000")
    with Connection(server) as first:
        assert first.alive()
    server.faults.set("memory", "ENOMEM", every=every, least=least)
    ask(server, 15, 3_000)
    ask(server, 10, 150_000)
    for size in (1_000, 30_000, 50_000):
        try:
            with Connection(server) as connection:
                connection.send(raw_request("GET", "/hello", [f"X-Long: {'y' * size}"]) * 3)
                for _ in range(3):
                    answer = connection.response()
                    assert answer.status in (200, 413, 431, 500, 503), answer
                    assert answer.status != 200 or answer.body == b"Hello, World!\r\n"
        except (Reset, Closed, ConnectionError):
            pass
    assert server.faults.hits("memory") > 0
    well(server)


def test_a_pipeline_that_cannot_be_kept_ends_its_connection(faulty):
    """Input that waits for the request before it, and output that a client does not take."""
    server = faulty()
    server.faults.set("memory", "ENOMEM", every=2, least=1_000)
    for round_ in range(10):
        requests = b"".join(raw_request("GET", f"/fixed?n={n * 37}") for n in range(300))
        with Connection(server, rcvbuf=8192) as connection:
            connection.send_lenient(requests)
            try:
                for n in range(300):
                    answer = connection.response()
                    if answer.status != 200:
                        break
                    assert answer.body == pattern(n * 37), f"answer {n} is another's"
            except (Reset, Closed, ConnectionError):
                pass
    well(server)


def said(data):
    """The body in what came of an answer, in chunks or not: none of it may be anything else."""
    head, _, rest = data.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return rest
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        body += rest[:count]
        assert rest[count : count + 2] in (b"", b"\r", b"\r\n"), "a chunk that does not end"
        rest = rest[count + 2 :]
    return body


@pytest.mark.parametrize("kind", ["lent", "mixed", "mixed?heedless=1&"])
def test_an_answer_of_lent_pieces_is_whole_or_cut(faulty, kind):
    """What frames a lent piece may find no memory, though the piece itself takes none. Each allocation of an
    answer fails once, and then some of them in turn."""
    server = faulty("--quiet", threads="4", write_high_water="16k", write_low_water="4k")
    size = 9_000
    count = size if kind == "lent" else 40 * size
    target = f"/{kind}{'' if '?' in kind else '?'}n={count}&piece={size}"
    request = raw_request("GET", target, ["Connection: close"])
    sizes = []
    failing = [(1000, 999 - place) for place in range(60)]
    failing += [(every, place) for every in (2, 3, 5, 7) for place in range(every)]
    for least, (every, seen) in itertools.product((0, 100, 1_000), failing):
        with Connection(server) as connection:
            assert connection.alive()
            server.faults.set("memory", "ENOMEM", every=every, least=least, seen=seen)
            data, _ = connection.send(request).ending()
            server.faults.clear()
            if data.startswith(b"HTTP/1.1 200"):
                # A host that is told that nothing was taken may end there, give its other answer, or go on
                # with what comes next; but where a piece was taken in part, nothing may follow.
                body = said(data)
                assert "heedless" in kind or pattern(count).startswith(body), (least, every, seen)
                sizes.append(len(body))
    assert count in sizes and (kind == "lent" or min(sizes) < count), sorted(sizes)
    well(server)


def test_a_client_never_passes_for_its_proxy_nor_a_part_of_environ_for_all(faulty):
    """What there is no memory for is not absent. Each allocation of a request fails once."""
    server = faulty("--quiet", trusted_proxies="127.0.0.1", forwarded_headers="forwarded")
    fields = ["Forwarded: for=192.0.2.1;host=a.example", *(f"X-{n}: {n}" for n in range(90))]
    with Connection(server) as connection:
        whole = dict(connection.get("/env", *fields).json()["at"])
    found = []
    for place in range(100):
        with Connection(server) as connection:
            server.faults.set("memory", "ENOMEM", every=1000, seen=999 - place)
            try:
                answer = connection.get("/env", *fields)
            except (Reset, Closed, ConnectionError):
                continue
            finally:
                server.faults.clear()
        if answer.status != 200:
            assert answer.status == 431 and answer.closes
            continue
        dump = answer.json()
        for part in (dict(dump["at"]), dict(dump["block"])):
            part.pop("REMOTE_PORT", None)
            assert not part or part == {key: whole[key] for key in part} and len(part) == len(whole) - 1
            found.append(len(part))
    assert 0 in found and len(whole) - 1 in found
    well(server)


def data_bytes(server):
    """Touched or not, as slabs that were not filled are not."""
    with open(f"/proc/{server.pid}/statm") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()


@pytest.mark.skipif(SANITIZED, reason="its allocator keeps what was given back")
def test_clients_for_whom_there_is_no_place_cost_nothing(faulty):
    """A loop makes room for more of them by the hundred, in steps; one or another finds no memory."""
    server = faulty("--quiet", loops="1", header_timeout="600s")
    with Connection(server) as first:
        assert first.alive()
        server.faults.set("memory", "ENOMEM", every=2)
        crowd = [Connection(server) for _ in range(400)]
        before = data_bytes(server)
        for seen in range(2):
            server.faults.set("memory", "ENOMEM", every=2, seen=seen)
            for _ in range(500):
                with Connection(server) as connection:
                    assert connection.ending()[0] == b""
        server.faults.clear()
        assert data_bytes(server) - before < 4 * MIB
    for connection in crowd:
        connection.close()
    well(server)


def limited(server, extra):
    """From here on the process may have only so much more address space; None: as much as it likes."""
    with open(f"/proc/{server.pid}/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    soft = resource.RLIM_INFINITY if extra is None else now + extra
    resource.prlimit(server.pid, resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))


def test_under_a_limit_of_address_space_large_bodies_are_refused(serve):
    """The limit is met by the largest blocks first, and those may fail."""
    server = serve("--quiet", max_body_size="64m", threads="4")
    with Connection(server) as small:
        assert small.alive()
        limited(server, 24 * MIB)
        statuses = []
        for _ in range(5):
            with Connection(server) as large:
                large.send_lenient(
                    raw_request("POST", "/buffered?answer=count", [f"Content-Length: {48 * MIB}"])
                )
                large.send_lenient(bytes(48 * MIB), MIB)
                try:
                    statuses.append(large.response().status)
                except (Reset, Closed, ConnectionError):
                    statuses.append(None)
            assert small.alive()
        assert set(statuses) <= {413, 503, None} and 413 in statuses, statuses
    limited(server, None)
    with Connection(server) as connection:
        body = pattern(2 * MIB)
        assert connection.request("POST", "/buffered", body=body).body == body


def test_many_bodies_at_once_stay_within_the_stated_bound(serve):
    """max_connections x max_body_size, and what a connection and its buffers take beside."""
    connections, size = 24, MIB
    server = serve("--quiet", max_connections=str(connections), max_body_size=str(size))
    with Connection(server) as connection:
        assert connection.alive()
    before = server.resident_bytes()
    clients = [Connection(server) for _ in range(connections)]
    for client in clients:
        client.send(raw_request("POST", "/buffered?answer=count", [f"Content-Length: {size}"]))
        client.send(bytes(size - 1))
    wait_until(
        lambda: server.counters()["evy_received_bytes_total"] >= connections * (size - 1), "all that was sent"
    )
    grown = server.resident_bytes() - before
    # A buffer grows by doubling, and the allocator keeps what was given back for the next one.
    assert SANITIZED or grown < connections * (2 * size + 64 * 1024), grown
    for client in clients:
        client.send(b"x")
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_a_lent_thread_without_memory_is_refused_unless_its_loop_has_none(programs, shim, tmp_path):
    """What the first thread of a loop needs was taken with the server: where clients are sent, one serves."""
    faults = Faults(tmp_path / "faults")
    with subprocess.Popen(
        [*faults.wrapper(shim), programs["lent"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        killer = threading.Timer(3 * PATIENCE, process.kill)
        killer.start()

        def lend():
            process.stdin.write("lend\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        port = int(process.stdout.readline())
        faults.set("memory", "ENOMEM", least=100_000)
        assert [lend(), lend(), lend()] == ["serves", "serves", "EVY_E_NOMEM"]
        clients = [Connection(port=port) for _ in range(12)]
        assert all(client.alive() for client in clients)
        faults.clear()
        assert lend() == "serves"
        for client in clients:
            assert client.alive()
            client.close()
        process.stdin.close()
        assert process.wait() == 0
        killer.cancel()
