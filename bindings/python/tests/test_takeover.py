# SPDX-License-Identifier: MIT
# test_takeover - connections that become the application's, and ALREADY_HANDLED.

import socket
import threading

import evy
import pytest
from client import Connection, raw_request, wait_until
from evy.web import wsgi

UPGRADE = raw_request("GET", "/", ["Connection: Upgrade", "Upgrade: echo"])
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"


def echo_site(take, ends, result=wsgi.ALREADY_HANDLED):
    """Echoes a line on the connection that take(env) gives."""

    def site(env, start_response):
        env["evy.posthooks"].append((ends.append, (), {}))
        with take(env) as sock:
            sock.sendall(SWITCH)
            data = b""
            while not data.endswith(b"\n"):
                data += sock.recv(100)
            sock.sendall(data)
        return result

    return site


@pytest.mark.parametrize("name", ["take_socket", "get_socket"])
def test_an_application_takes_the_connection(either, name):
    def take(env):
        return env["evy.take_socket"]() if name == "take_socket" else env["wsgi.input"].get_socket()

    ends = []
    server = either(echo_site(take, ends))
    with Connection(server) as connection:
        connection.send(UPGRADE + b"sent along ")
        assert connection.response().status == 101
        connection.send(b"and later\n")
        assert connection.ending() == (b"sent along and later\n", "eof")
    server.log.access()
    assert (ends[0]["evy.aborted"], ends[0]["evy.status"]) == ("upgraded", 0)
    assert not server.log.matching("Traceback|rror")


def test_it_is_the_same_socket_when_asked_again(serve):
    same = []

    def take(env):
        same.append(env["evy.take_socket"]() is env["evy.take_socket"]())
        assert isinstance(env["evy.take_socket"](), socket.socket)
        return env["evy.take_socket"]()

    with Connection(serve(echo_site(take, []))) as connection:
        connection.send(UPGRADE).response()
        assert connection.send(b"x\n").ending()[0] == b"x\n"
    assert same == [True]


@pytest.mark.parametrize("result", [[], [b"not sent"], iter([b"not sent"]), None])
def test_whatever_is_returned_then_is_not_sent(serve, result):
    server = serve(echo_site(lambda env: env["evy.take_socket"](), [], result))
    with Connection(server) as connection:
        connection.send(UPGRADE).response()
        assert connection.send(b"x\n").ending() == (b"x\n", "eof")
    server.log.access()
    assert not server.log.matching("Traceback")


def test_no_answer_is_possible_then(serve):
    errors = []

    def site(env, start_response):
        with env["evy.take_socket"]() as sock:
            try:
                start_response("200 OK", [])
            except RuntimeError as error:
                errors.append(error)
            sock.sendall(b"mine")
        raise ValueError("after that")

    server = serve(site)
    with Connection(server) as connection:
        assert connection.send(raw_request("GET", "/")).ending() == (b"mine", "eof")
    server.log.expect("ValueError: after that")
    assert isinstance(errors[0], evy.StateError)


def test_too_late_or_elsewhere_it_cannot_be_taken(serve):
    errors = []

    def attempt(take):
        try:
            take()
        except evy.StateError as error:
            errors.append(str(error))

    def site(env, start_response):
        thread = threading.Thread(target=attempt, args=(env["evy.take_socket"],))
        thread.start()
        thread.join()
        start_response("200 OK", [])
        yield b"x"
        attempt(env["evy.take_socket"])

    with Connection(serve(site)) as connection:
        assert connection.get("/").body == b"x"
    assert len(errors) == 2 and "thread" in errors[0] and "begun" in errors[1]


def test_an_unread_body_has_to_be_read_first(serve):
    was_refused = threading.Event()

    def site(env, start_response):
        with pytest.raises(evy.StateError, match="body"):
            env["evy.take_socket"]()
        was_refused.set()
        env["wsgi.input"].read()
        with env["evy.take_socket"]() as sock:
            sock.sendall(b"taken")
        return wsgi.ALREADY_HANDLED

    with Connection(serve(site, body="stream")) as connection:
        connection.send(raw_request("POST", "/", ["Content-Length: 4"]))
        assert was_refused.wait(10)
        connection.send(b"body")
        assert connection.ending() == (b"taken", "eof")


@pytest.mark.parametrize("how", ["marker", "flag"])
def test_already_handled_sends_nothing_and_closes(serve, how):
    def site(env, start_response):
        if how == "marker":
            return wsgi.ALREADY_HANDLED
        wsgi.WSGI_LOCAL.already_handled = True
        return []

    server = serve(site)
    with Connection(server) as connection:
        assert connection.send(raw_request("GET", "/")).ending()[0] == b""
    server.log.access()
    assert not server.log.matching("Traceback|rror")
    with Connection(serve(lambda env, start_response: [])) as connection:
        assert connection.get("/").status == 500, "the flag is for one request"


HOWS = ["taken", "marker", "answered", "failed", "paused", "whole", "late", "hook", "posted"]


@pytest.mark.parametrize("how", HOWS)
def test_the_flag_is_for_the_request_that_set_it(serve, how):
    """Whatever became of that one: with one thread the next request meets what it left behind."""

    is_set = threading.Event()

    def set_flag(env=None):
        wsgi.WSGI_LOCAL.already_handled = True
        is_set.set()

    def pieces():
        yield from [bytes(65536)] * 200
        set_flag()

    def late():
        yield b"x"
        set_flag()

    def site(env, start_response):
        if env["PATH_INFO"] == "/next":
            return []
        if how == "taken":
            env["evy.take_socket"]().close()
        elif how in ("answered", "paused", "whole", "hook", "posted"):
            start_response("200 OK", [])
        elif how == "late":
            start_response("200 OK", [("Content-Length", "1")])
        if how in ("paused", "late"):
            return pieces() if how == "paused" else late()
        if how in ("hook", "posted"):
            if how == "hook":
                env["evy.posthooks"].append((set_flag, (), {}))
            else:
                server.post(set_flag)
            return [b"x"]
        set_flag()
        if how == "failed":
            raise ValueError("after the flag")
        return wsgi.ALREADY_HANDLED if how == "marker" else [b"x"] * (how == "whole")

    server = serve(site, threads=1)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/", ["Connection: close"]))
        if how == "paused":
            connection.wait_until_full()
        data, _ = connection.ending()
    assert data[9:12] == {"taken": b"", "marker": b"", "failed": b"500"}.get(how, b"200")
    assert is_set.wait(10)
    with Connection(server) as connection:
        assert connection.get("/next").status == 500
    server.log.expect("AssertionError: the end of the body before start_response")


def test_a_taken_connection_may_outlive_its_request(serve):
    taken = []

    def site(env, start_response):
        taken.append(env["evy.take_socket"]())
        return wsgi.ALREADY_HANDLED

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        wait_until(lambda: taken, "the socket")
        server.log.access()
        taken[0].sendall(b"later")
        assert connection.reader.fill() == b"later"
        taken.pop().close()
        assert connection.ending() == (b"", "eof")


def test_it_can_be_taken_by_handlers_that_always_block(serve):
    """After a few of them the library runs handlers elsewhere from their begin on."""
    may_go = threading.Semaphore(0)

    def site(env, start_response):
        if env["PATH_INFO"] == "/quick":
            start_response("200 OK", [])
            return [b"quick"]
        may_go.acquire(timeout=10)
        with env["evy.take_socket"]() as sock:
            sock.sendall(b"taken")
        return wsgi.ALREADY_HANDLED

    server = serve(site, threads=4)
    for _ in range(8):
        with Connection(server) as connection, Connection(server) as other:
            connection.send(raw_request("GET", "/"))
            assert other.get("/quick").body == b"quick", "the loop has gone on elsewhere"
            may_go.release()
            assert connection.ending() == (b"taken", "eof")


def test_a_client_that_has_left_leaves_no_socket_to_take(serve):
    is_in, errors = threading.Event(), []

    def site(env, start_response):
        is_in.set()
        wait_until(env["evy.client_disconnected"], "the client's end")
        try:
            env["evy.take_socket"]()
        except ConnectionError as error:
            errors.append(error)
            raise

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        assert is_in.wait(10)
        connection.reset()
    server.log.access()
    assert isinstance(errors[0], evy.ClientGone)
    assert not server.log.matching("Traceback")
