# SPDX-License-Identifier: MIT
# test_stop - how servers end: by socket, flag or deadline, with idle requests, and what they leave behind.

import asyncio
import os
import threading
import types

import evy
import pytest
from client import Closed, Connection, Reset, raw_request, wait_until
from evy.web import wsgi


def hello(env, start_response):
    start_response("200 OK", [])
    return [b"Hello"]


class Blocking:
    """A site whose requests wait until they may go."""

    def __init__(self):
        self.inside, self.may_go, self.hooks = 0, threading.Event(), []

    def __call__(self, env, start_response):
        env["evy.posthooks"].append((self.hooks.append, (), {}))
        self.inside += 1
        self.may_go.wait(10)
        return hello(env, start_response)


def is_refused(server):
    try:
        Connection(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # the listener was closed over this very attempt: the next one tells
    return False


def test_with_a_drain_delay_idle_and_fresh_connections_may_still_ask(either):
    server = either(hello, drain_delay=60)
    with Connection(server) as idle, Connection(server) as fresh:
        assert not idle.get("/").closes
        server.stop()
        wait_until(lambda: is_refused(server), "an end of accepting")
        for connection in (idle, fresh):
            answer = connection.get("/")
            assert answer.body == b"Hello" and answer.closes
            assert connection.rest() == b""
        assert server.join(10)


def test_a_drain_delay_ends_with_the_grace(serve):
    server = serve(hello, drain_delay="60s")
    with Connection(server) as idle:
        assert not idle.get("/").closes
        server.stop(0.1)
        assert idle.rest() == b""
        assert server.join(10)


@pytest.fixture
def blocking_call():
    """blocking_call(site, **keywords) runs wsgi.server() in a thread; .sock and .port are its own."""
    threads = []

    def start(site=hello, **keywords):
        sock = evy.listen(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        keywords = {"log_output": False, **keywords}
        thread = threading.Thread(target=wsgi.server, args=(sock, site), kwargs=keywords)
        thread.sock, thread.port, thread.tls = sock, port, False
        thread.start()
        with Connection(thread) as connection:
            connection.send(b"nonsense\r\n\r\n").ending()
        threads.append(thread)
        return thread

    yield start
    for thread in threads:
        if thread.is_alive():
            wsgi.stop(thread.sock, grace=0)
        thread.join(10)
        assert not thread.is_alive()


def test_a_server_is_stopped_by_its_socket(blocking_call):
    one, other, third = blocking_call(), blocking_call(), blocking_call()
    copy = other.sock.dup()
    wsgi.stop(one.sock)
    one.join(10)
    wsgi.stop(copy, grace=1)
    other.join(10)
    assert not one.is_alive() and not other.is_alive() and third.is_alive()
    assert (one.sock.fileno(), other.sock.fileno()) == (-1, -1) and copy.fileno() >= 0
    for sock in (one.sock, copy):
        with pytest.raises(evy.StateError, match="no running server"):
            wsgi.stop(sock)
    copy.close()


@pytest.mark.parametrize("grace", [10, None])
def test_running_requests_end_within_the_grace(blocking_call, grace):
    site = Blocking()
    server = blocking_call(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        wait_until(lambda: site.inside, "the request")
        wsgi.stop(server.sock, grace)
        wait_until(lambda: is_refused(server), "an end of accepting")
        site.may_go.set()
        answer = connection.response()
        assert answer.body == b"Hello" and answer.closes
    server.join(10)
    assert site.hooks[0]["evy.aborted"] is None


def test_what_is_left_then_is_cut_and_its_hooks_run(serve):
    def site(env, start_response):
        env["evy.posthooks"].append((hooks.append, (), {}))
        start_response("200 OK", [("Content-Length", "100000000")])
        return (bytes(100_000) for _ in range(1000))

    hooks = []
    server = serve(site, grace=0.1)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/")).wait_until_full()
        server.stop()
        assert server.join(10)
    assert [env["evy.aborted"] for env in hooks] == ["shutdown"]


def test_a_stop_does_not_wait_for_idle_requests(serve):
    """An event stream and a taken socket are marked; a stop with all the time there is ends them at once."""
    seen = []

    def site(env, start_response):
        env["evy.set_idle"]()
        if env["PATH_INFO"] == "/socket":
            with env["evy.take_socket"]() as sock:
                sock.sendall(b"taken")
                seen.append(("socket", sock.recv(1)))
            return wsgi.ALREADY_HANDLED
        return events(env, start_response)

    def events(env, start_response):
        start_response("200 OK", [])
        yield b"event\n"
        wait_until(env["evy.client_disconnected"], "the end")
        seen.append(("events", True))
        yield b"nobody hears"
        seen.append("not reached")

    server = serve(site, grace=None)
    with Connection(server) as stream, Connection(server) as taken:
        taken.send(raw_request("GET", "/socket"))
        assert taken.reader.fill() == b"taken"
        stream.send(raw_request("GET", "/"))
        while b"event" not in stream.reader.buffer:
            stream.reader.more()
        server.stop()
        assert server.join(10)
        with pytest.raises((Closed, Reset)):
            stream.response()
        assert taken.ending()[0] == b""
    assert sorted(seen) == [("events", True), ("socket", b"")]
    assert not server.log.matching("Traceback")


def test_idle_requests_that_ended_before_are_forgotten(serve):
    def site(env, start_response):
        env["evy.set_idle"]()
        env["evy.set_idle"]()
        return hello(env, start_response)

    server = serve(site)
    with Connection(server) as connection:
        for _ in range(3):
            assert connection.get("/").body == b"Hello"
        server.log.access(3)
        assert not server._application.idle._members


def test_is_accepting(blocking_call):
    one, other = blocking_call(), blocking_call()
    assert wsgi.is_accepting is True
    try:
        wsgi.is_accepting = False
        one.join(10)
        other.join(10)
        assert not one.is_alive() and not other.is_alive()
        sock = evy.listen(("127.0.0.1", 0))
        wsgi.server(sock, hello, log_output=False)
        assert sock.fileno() == -1
    finally:
        wsgi.is_accepting = True
    with evy.wsgi.Server(evy.listen(("127.0.0.1", 0)), hello, log_output=False):
        assert evy.wsgi.is_accepting


def test_counters(serve):
    site = Blocking()
    server = serve(site)
    stats = server.stats()
    assert stats == wsgi.Stats(threads_total=stats.threads_total, **lag(stats))
    with Connection(server) as one, Connection(server) as other:
        one.send(raw_request("GET", "/"))
        wait_until(lambda: site.inside, "the request")
        wait_until(lambda: server.stats().connections_open == 2, "the other connection")
        stats = server.stats()
        assert (stats.requests_active, stats.requests_total) == (1, 1)
        assert server.outstanding_requests == 1
        assert "evy_connections_open 2\n" in server.metrics()
        site.may_go.set()
        one.response()
        assert other.send(b"nonsense\r\n\r\n").response().status == 400
        server.log.access(2)
        wait_until(lambda: server.outstanding_requests == 0, "the end of both")
    server.stop()
    assert server.join(10)
    stats = server.stats()
    assert (stats.status_2xx, stats.status_4xx, stats.connections_open) == (1, 1, 0)
    assert stats.end_complete + stats.end_protocol == stats.requests_total == 2
    assert stats._asdict()["refused_malformed"] == 1
    assert server.metrics() == ""


def lag(stats):
    return {key: value for key, value in stats._asdict().items() if key.startswith("loop_")}


def test_beside_asyncio(serve):
    """The server has its own threads; a coroutine is called from one of them, and the loop goes on."""

    async def program():
        loop = asyncio.get_running_loop()

        async def double(number):
            await asyncio.sleep(0)
            return number * 2

        def site(env, start_response):
            number = int(env["QUERY_STRING"])
            result = asyncio.run_coroutine_threadsafe(double(number), loop).result(10)
            start_response("200 OK", [])
            return [str(result).encode()]

        with evy.listen(("127.0.0.1", 0)) as sock:
            server = wsgi.Server(sock, site, log_output=False).start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw_request("GET", "/?21", ["Connection: close"]))
        answer = await reader.read()
        writer.close()
        server.stop()
        assert await asyncio.to_thread(server.join, 10)
        return answer

    assert asyncio.run(program()).endswith(b"\r\n\r\n42")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_knows_that_the_server_is_not_its_own(program):
    run = program("""
import evy, os, sys
def site(env, start_response):
    start_response('200 OK', [])
    return [b'x']
sock = evy.listen(('127.0.0.1', 0))
server = evy.wsgi.Server(sock, site, log_output=False).start()
child = os.fork()
if child == 0:
    server.stop()
    assert server.join(10) and not server.is_running and server.metrics() == ''
    with evy.wsgi.Server(sock, site, log_output=False) as own:
        assert own.is_running
    print('child')
    sys.stdout.flush()
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0 and server.is_running
server.stop()
assert server.join(10)
print('parent')
""")
    assert run.end(None) == 0, run.err.lines
    assert run.out.lines == ["child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_cannot_start_the_server_of_its_parent(program):
    """It says so at once, and does not wait for threads that the library sends home."""
    run = program("""
import evy, os
from evy.web import _server
_server._LENT_SECONDS = 3600
server = evy.wsgi.Server('127.0.0.1:0', lambda env, start_response: [], log_output=False)
child = os.fork()
if child == 0:
    try:
        server.start()
    except evy.StateError as error:
        print(error, flush=True)
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
with server:
    assert server.is_running
""")
    assert run.end(None) == 0, run.err.lines
    assert run.out.lines == ["the server was started by a parent process"]


@pytest.mark.parametrize(
    "raised, code", [("SystemExit(3)", 3), ("KeyboardInterrupt", 0), ("ValueError", 1)]
)
def test_a_signal_handler_of_the_programs_own_may_raise(program, raised, code):
    """What runs is let finish first."""
    run = program(f"""
import evy, os, signal
def handler(number, frame):
    raise {raised}
signal.signal(signal.SIGTERM, handler)
def site(env, start_response):
    start_response('200 OK', [])
    yield b'begun '
    while not os.path.exists('go'):
        pass
    yield b'finished'
sock = evy.listen(('127.0.0.1', 0))
print(sock.getsockname()[1])
evy.wsgi.server(sock, site)
assert signal.getsignal(signal.SIGTERM) is handler
""")
    port = int(run.out.expect(r"^\d+$"))
    with Connection(port=port) as connection:
        connection.send(raw_request("GET", "/"))
        while b"begun" not in connection.reader.buffer:
            connection.reader.more()
        run.process.send_signal(15)
        wait_until(lambda: is_refused(run_server(port)), "an end of accepting")
        (run.folder / "go").touch()
        assert connection.response().body == b"begun finished"
    assert run.end(None) == code
    run.err.expect("wsgi exiting")


def run_server(port):
    return types.SimpleNamespace(port=port, tls=False)
