# SPDX-License-Identifier: MIT
# test_descriptors - a process without descriptors: what is open is served, the rest waits, nobody is lost.

import json
import socket
import subprocess
import time

import pytest
from support import FACTOR, PATIENCE, SANITIZED, SANITIZER, Connection, one_loop, raw_request, wait_until

SIXTY_FOUR = ["prlimit", "--nofile=64:64"]


def told(server):
    """Lines about descriptors, at warning or worse."""
    return [text for text in server.logged(worst=2) if "open files" in text]


def crowd(server, count=100):
    """Clients that have asked, more than the server has descriptors for."""
    waiting = [Connection(server) for _ in range(count)]
    for client in waiting:
        client.send(raw_request("GET", "/hello"))
    return waiting


def serve_all(clients):
    """Each is answered, and its end makes room for another. The order is the kernel's."""
    for client in clients:
        assert client.response().status == 200
        client.close()


@one_loop
def test_with_64_descriptors_it_pauses_says_so_once_and_recovers(serve):
    server = serve(wrapper=SIXTY_FOUR)
    with Connection(server) as first:
        assert first.alive()
        clients = crowd(server)
        wait_until(lambda: told(server), "a line that names the cause")
        pauses = server.counters()["evy_accept_pauses_total"]
        # Several pauses long: those with a connection are served, and the log stays as it is.
        wait_until(lambda: server.counters()["evy_accept_pauses_total"] >= pauses + 5, "five further pauses")
        assert first.alive()
        assert len(told(server)) == 1, told(server)
        serve_all(clients)
        assert first.alive()
        with Connection(server) as fresh:
            assert fresh.alive(), "it accepts again"
        wait_until(lambda: any("accepting again" in line for line in server.logged(2)), "the end of it")
        # One at the edge, of whom the limit takes turns to refuse and to let in: no line each.
        for _ in range(3):
            serve_all(crowd(server))
        assert len(told(server)) == 1, told(server)
    server.settled(evy_connections_open=0)


def test_a_stop_needs_no_descriptor(serve):
    server = serve(wrapper=SIXTY_FOUR)
    clients = crowd(server)
    wait_until(lambda: server.counters()["evy_accept_pauses_total"] > 0, "a pause")
    assert server.command("stop", ms=5000) == "EVY_OK"
    assert server.command("wait", ms=8000) == "EVY_OK"
    for client in clients:
        client.close()


@one_loop
def test_logs_and_certificates_stay_as_they_are(serve, pair, tmp_path):
    """Opening them anew fails with a reason, and what is open goes on."""
    log = tmp_path / "access.log"
    server = serve("--keep-tls", wrapper=SIXTY_FOUR, tls=pair, access_log=str(log))
    with Connection(server) as first:
        assert first.alive()
        held = [Connection(server, tls=False) for _ in range(100)]
        wait_until(lambda: told(server), "the line")
        assert server.command("reopen") == "EVY_E_IO"
        server.tell("reload")
        found = server.expect("reload")
        assert found["status"] == "EVY_E_TLS" and "open files" in found["text"], found
        assert first.get("/hello?after").status == 200
        wait_until(lambda: "?after " in log.read_text(), "the line in the old file")
        for one in held:
            one.close()
        wait_until(lambda: server.command("reopen") == "EVY_OK", "descriptors")
        with Connection(server) as fresh:
            assert fresh.alive()


@one_loop
def test_answers_that_need_a_descriptor_are_refused_with_a_status(serve, tmp_path):
    """A file to be sent, and a pair of sockets for a connection with bytes read ahead."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    server = serve(wrapper=SIXTY_FOUR)
    with Connection(server) as first, Connection(server) as second:
        assert first.alive() and second.alive()
        held = [Connection(server) for _ in range(100)]
        wait_until(lambda: told(server), "the line")
        # One descriptor for the program's own open(2), so the library's duplicate is one too many.
        open_ones = server.descriptors()
        held.pop(0).close()
        wait_until(lambda: server.descriptors() < open_ones or held, "a descriptor")
        first.send(raw_request("GET", f"/file?path={path}"))
        assert first.response().status == 200
        second.send(raw_request("GET", "/take?how=inline") + b"ahead")
        server.expect("call", step="take")
        assert server.call("take") in ("EVY_E_NOMEM", "EVY_OK")
        assert first.alive()
        for one in held:
            one.close()


@one_loop
def test_a_half_closed_connection_that_cannot_be_taken_is_still_answered(serve):
    server = serve(wrapper=SIXTY_FOUR)
    with Connection(server) as connection:
        assert connection.alive()
        held = [Connection(server) for _ in range(100)]
        wait_until(lambda: told(server), "the line")
        connection.send(raw_request("GET", "/take?how=inline&at=1") + b"ahead")
        connection.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: connection.peer()[3] == "08", "CLOSE_WAIT")
        server.command("open", 1)
        assert server.call("take") == "EVY_E_NOMEM"
        assert connection.response().status == 200
        for one in held:
            one.close()


@one_loop
def test_a_request_behind_one_whose_connection_cannot_be_taken_is_served(faulty):
    """Another thread asks for the connection while the handler runs: it is tried when that returns."""
    server = faulty(threads=1)
    with Connection(server) as connection:
        assert connection.alive()
        server.faults.set("add", "ENOSPC")
        connection.send(raw_request("GET", "/take?how=asked") + raw_request("GET", "/hello"))
        while (answer := connection.response()).status == 103:
            pass
        assert answer.status == 200 and server.call("take") == "EVY_E_NOMEM"
        assert connection.response().body == b"Hello, World!\r\n"


@pytest.mark.parametrize("loops", ["1", "2"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_too_few_to_start_is_a_status_and_a_text(programs, pair, tmp_path, loops, tls):
    """From plenty down to none; and whatever was opened on the way is closed again."""
    command = [programs["start"], tmp_path, loops, *(pair if tls else ())]
    run = subprocess.run(command, capture_output=True, text=True, timeout=6 * PATIENCE)
    assert run.returncode == 0 and not SANITIZER.search(run.stderr.encode()), run.stderr
    attempts = [json.loads(line) for line in run.stdout.splitlines()]
    assert attempts[0]["status"] == "EVY_OK" and len(attempts) == 26, attempts
    refused = [one for one in attempts if one["status"] != "EVY_OK"]
    assert len(refused) > 5, "there were always enough"
    for one in refused:
        assert one["status"] in ("EVY_E_NOMEM", "EVY_E_BIND", "EVY_E_VALUE", "EVY_E_TLS", "EVY_E_IO"), one
        assert "Too many open files" in one["text"], one
    assert not [one for one in attempts if one["leaked"]], attempts
    assert not (tmp_path / "socket").exists()
