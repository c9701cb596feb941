# SPDX-License-Identifier: MIT
# test_threads - where applications, hooks and logs run: on threads that Python made, so many and no more.

import gc
import sys
import threading
import types
import weakref

import evy
import pytest
from client import Connection, raw_request, wait_until


def hello(env, start_response):
    start_response("200 OK", [])
    return [b"Hello"]


def names():
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("evy-"))


@pytest.mark.parametrize("threads, lent", [(1, 1), (2, 4), (8, 10)])
def test_everything_runs_on_lent_threads(serve, threads, lent):
    seen = set()

    class NotingLog:
        def write(self, text):
            seen.add(threading.current_thread().name)
            lines.append(text)

    def hook(env):
        seen.add(threading.current_thread().name)

    def site(env, start_response):
        env["evy.posthooks"].append((hook, (), {}))
        hook(env)
        start_response("200 OK", [])
        return iter([env["wsgi.input"].read()])

    lines = []
    server = serve(site, threads=threads, log=NotingLog())
    lenders = ["evy-lender"] if threads > 1 else []
    assert names() == sorted(lenders + [f"evy-{number}" for number in range(lent)])
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("evy-"))
    for _ in range(3):
        with Connection(server) as connection:
            assert connection.request("POST", "/", body=b"body").body == b"body"
    wait_until(lambda: len([line for line in lines if "POST" in line]) == 3, "the access lines")
    server.stop()
    assert server.join(10)
    assert names() == []
    # The first line is written by the thread that starts the server, and the last by the one that ended last.
    assert all(name.startswith("evy-") for name in seen - {"MainThread"})


def test_as_many_handlers_side_by_side_as_threads(serve):
    inside, most, may_go = [], [], threading.Event()

    def site(env, start_response):
        inside.append(1)
        most.append(len(inside))
        may_go.wait(10)
        inside.pop()
        start_response("200 OK", [])
        return [b"x"]

    server = serve(site, threads=3)
    clients = [Connection(server).send(raw_request("GET", "/")) for _ in range(6)]
    wait_until(lambda: len(most) >= 3, "three handlers")
    wait_until(lambda: server.stats().requests_active == 6, "all requests")
    may_go.set()
    for client in clients:
        assert client.response().body == b"x"
        client.close()
    assert max(most) <= 4, "the one that turns the loop may be in a handler too, for a moment"


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="its first calls are not quick")
def test_quick_handlers_stay_on_one_thread(serve):
    """Which saves them the way from thread to thread. Where they are kept from running, as on a busy machine,
    the loop is taken over by another, and only some time later they are known to be quick again."""
    names = []

    def site(env, start_response):
        names.append(threading.current_thread().name)
        return hello(env, start_response)

    server = serve(site, threads=8)
    with Connection(server) as one, Connection(server) as other:

        def stay():
            names.clear()
            for _ in range(200):
                assert one.get("/").body == other.get("/").body == b"Hello"
            return max(map(names.count, set(names))) > 300

        wait_until(stay, lambda: f"one thread: {({name: names.count(name) for name in names})}")


def test_all_handlers_may_read_bodies_and_write_at_the_same_time(serve):
    """No thread is missing where each of them waits for its client."""

    def site(env, start_response):
        start_response("200 OK", [])
        yield b"go on"
        while piece := env["wsgi.input"].read(4):
            yield piece

    server = serve(site, body="stream", threads=4)
    clients = [Connection(server) for _ in range(4)]
    for client in clients:
        client.send(raw_request("POST", "/", ["Content-Length: 8"]))
        while b"go on" not in client.reader.buffer:
            client.reader.more()
    for client in clients:
        client.send(b"12345678")
        assert client.response().body == b"go on12345678"
        client.close()


def test_clients_that_were_there_before_the_threads():
    """No thread is alone with an upload, for which it could not wait."""

    def site(env, start_response):
        start_response("200 OK", [])
        return [b"%d" % len(env["wsgi.input"].read())]

    for _ in range(10):
        server = evy.wsgi.Server("127.0.0.1:0", site, log_output=False, threads=4)
        head = raw_request("POST", "/", ["Content-Length: 70000"])
        uploads = [Connection(server, tls=False).send(head) for _ in range(3)]
        with server:
            for upload in uploads:
                upload.send(bytes(70000))
                assert upload.response().body == b"70000"
                upload.close()


@pytest.mark.parametrize("raises", [False, True])
def test_a_stop_that_comes_ahead_of_the_start(monkeypatch, raises):
    """All threads are there and wait for it, the one that lends more as well."""

    def stop(self, handle):
        if raises:
            raise KeyboardInterrupt
        self.stop()

    monkeypatch.setattr(evy.wsgi.Server, "_await_lent", stop)
    server = evy.wsgi.Server("127.0.0.1:0", hello, log_output=False, threads=4)
    if raises:
        with pytest.raises(KeyboardInterrupt):
            server.start()
    else:
        assert server.start() is server
    assert server.join(10) and not server.is_running
    with pytest.raises(ConnectionRefusedError):
        Connection(server, tls=False)


def test_no_thread_can_be_made(serve, monkeypatch):
    """What was begun is ended, and the error is Python's own."""
    start, started = threading.Thread.start, []

    def limited(thread):
        if thread.name.startswith("evy-") and len(started) >= limit:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    for limit in (0, 2):
        started.clear()
        with evy.listen(("127.0.0.1", 0)) as sock:
            server = evy.wsgi.Server(sock, lambda env, start_response: [], log_output=False)
        with pytest.raises(RuntimeError, match="new thread"):
            server.start()
        wait_until(lambda server=server: not server.is_running, "the end of it")
        assert server.join(10)
        with pytest.raises(ConnectionRefusedError):
            Connection(server, tls=False)
    assert names() == []


@pytest.mark.parametrize("module", ["gevent.monkey", "eventlet.patcher"])
def test_green_threads_are_refused(monkeypatch, module):
    library = module.split(".")[0]
    question = {"gevent": "is_module_patched", "eventlet": "is_monkey_patched"}[library]
    answers = {"threading": library == "gevent", "thread": library == "eventlet"}
    patched = types.SimpleNamespace(**{question: answers.get})
    with evy.listen(("127.0.0.1", 0)) as sock:
        server = evy.wsgi.Server(sock, lambda env, start_response: [], log_output=False)
    monkeypatch.setitem(sys.modules, module, patched)
    with pytest.raises(evy.StateError, match=f"{library} has replaced"):
        server.start()
    monkeypatch.undo()
    with server:
        assert server.is_running


def test_applications_that_wait_for_their_clients_get_more_threads(serve):
    def site(env, start_response):
        body = env["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"%d" % len(body)]

    server = serve(site, threads=2)
    before = len(names())
    uploads = [Connection(server).send(raw_request("POST", "/", ["Content-Length: 70000"])) for _ in range(8)]
    # While they wait for the first byte of theirs.
    with Connection(server) as other:
        assert other.request("GET", "/").body == b"0"
    for upload in uploads:
        upload.send(bytes(70000))
        assert upload.response().body == b"70000"
        upload.close()
    assert before < len(names()) <= before + 24
    server.stop()
    assert server.join(10) and names() == []


@pytest.mark.parametrize("threads, lent", [(4, 12), (1, 2)])
def test_several_loops_have_threads_each(serve, threads, lent):
    """Handlers of different loops run at the same time, also with one thread each."""
    inside, has_met, multithread = [], threading.Event(), set()

    def site(env, start_response):
        multithread.add(env["wsgi.multithread"])
        inside.append(threading.current_thread().name)
        wait_until(lambda: has_met.is_set() or len(inside) > 1, "a handler on the other loop")
        has_met.set()
        start_response("200 OK", [])
        return iter([b"x" * 100_000] * 20)

    server = serve(site, threads=threads, loops=2)
    assert len([name for name in names() if name != "evy-lender"]) == lent
    clients = [Connection(server).send(raw_request("GET", "/")) for _ in range(8)]
    for client in clients:
        assert client.response().body == b"x" * 2_000_000
        client.close()
    assert multithread == {True} and len(set(inside[:2])) == 2


def test_posted_functions_run_where_the_application_does(serve):
    def site(env, start_response):
        start_response("200 OK", [])
        return [threading.current_thread().name.encode()]

    server, ran = serve(site), []
    for number in range(20):
        server.post(lambda *given: ran.append((given, threading.current_thread().name)), number, "x")
    wait_until(lambda: len(ran) == 20, "20 calls")
    # One that waits for a processor is passed by those behind it, as if it blocked.
    assert sorted(given for given, _ in ran) == [(number, "x") for number in range(20)]
    assert all(name.startswith("evy-") for _, name in ran)


def test_a_posted_function_that_fails_or_blocks_is_nobody_elses_trouble(serve):
    def fail():
        raise SystemExit("mine")

    may_go = threading.Event()
    server = serve(hello)
    server.post(fail)
    server.post(may_go.wait, 10)
    with Connection(server) as connection:
        assert connection.get("/").body == b"Hello"
    may_go.set()
    server.log.expect("exception in a posted function")
    server.log.expect("SystemExit: mine")


def test_functions_posted_to_a_server_that_ends_are_let_go(serve):
    class Thing:
        def method(self):
            calls.append(1)

    calls = []
    server = evy.wsgi.Server(evy.listen(("127.0.0.1", 0)), hello, log_output=False)
    thing = Thing()
    server.post(thing.method)
    seen = weakref.ref(thing)
    del thing
    server.stop()
    gc.collect()
    assert seen() is None and not calls
    with pytest.raises(evy.StateError, match="the server has ended"):
        server.post(print)
