# SPDX-License-Identifier: MIT
# test_server - a server as a part of a program: threads, sockets, signals, ends, keywords.

import concurrent.futures
import gc
import logging
import os
import signal
import socket
import statistics
import threading
import time

import evy
import pytest
from client import Connection, raw_request, wait_until


def hello(env, start_response):
    start_response("200 OK", [])
    return [b"Hello"]


def get(port):
    with Connection(port=port) as connection:
        return connection.get("/").body


def listener():
    return evy.listen(("127.0.0.1", 0))


def dispositions():
    """What the process does on each signal, as the kernel knows it, and what Python makes of some."""
    with open("/proc/self/status") as file:
        masks = [line for line in file if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]
    assert len(masks) == 3
    return masks, [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]


def seconds_in_queue():
    """For how long this thread was ready and got no processor: that is no server's fault."""
    with open("/proc/thread-self/schedstat") as stat:
        return int(stat.read().split()[1]) / 1e9


def test_two_servers_beside_a_ticking_main_thread(serve):
    """The main thread ticks each 10 ms, as a rule; stopping one server leaves the other alone."""
    handlers = dispositions()
    descriptors, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    one, other = serve(hello), serve(hello)
    answered = {one.port: 0, other.port: 0}

    def load(port):
        with Connection(port=port) as connection:
            for _ in range(200):
                answered[port] += connection.get("/").body == b"Hello"

    loads = [threading.Thread(target=load, args=(port,)) for port in answered]
    for thread in loads:
        thread.start()
    ticks = [time.monotonic() - seconds_in_queue()]
    while any(thread.is_alive() for thread in loads):
        time.sleep(0.01)
        ticks.append(time.monotonic() - seconds_in_queue())
    assert list(answered.values()) == [200, 200]
    assert statistics.median(now - last for last, now in zip(ticks, ticks[1:])) < 0.15
    assert dispositions() == handlers, "also while they run"
    one.stop()
    assert one.join(5)
    with pytest.raises(ConnectionRefusedError):
        get(one.port)
    assert get(other.port) == b"Hello"
    other.stop()
    assert other.join(5)
    wait_until(lambda: len(os.listdir("/proc/self/task")) <= threads, "the threads to be gone")
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the descriptors to be closed")
    assert dispositions() == handlers


def test_servers_come_and_go_without_a_trace(serve):
    def once():
        with listener() as sock, evy.wsgi.Server(sock, hello, log_output=False) as server:
            assert get(server.port) == b"Hello"

    once()
    descriptors, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(30):
        once()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the descriptors to be closed")
    wait_until(lambda: len(os.listdir("/proc/self/task")) <= threads, "the threads to be gone")


def test_clients_of_a_made_server_wait_for_its_start(serve):
    with listener() as sock:
        server = evy.wsgi.Server(sock, hello, log_output=False)
    with Connection(port=server.port) as connection:
        connection.send(raw_request("GET", "/"))
        server.start()
        assert connection.response().body == b"Hello"
    server.stop(0)
    assert server.join(5) and not server.is_running


def test_a_server_that_is_never_started_gives_its_port_back():
    with listener() as sock:
        server = evy.wsgi.Server(sock, hello)
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        get(server.port)
    with pytest.raises(evy.StateError):
        server.start()
    with pytest.raises(evy.StateError):
        server.join()


def test_a_server_that_nobody_starts_or_keeps_gives_its_port_back():
    with listener() as sock:
        server = evy.wsgi.Server(sock, hello)
    port = server.port
    del server
    gc.collect()
    with pytest.raises(ConnectionRefusedError):
        get(port)


def test_double_start_and_waiting_for_oneself_are_refused(serve):
    def site(env, start_response):
        with pytest.raises(evy.StateError, match="handler"):
            server.join()
        server.stop()
        return hello(env, start_response)

    server = serve(site)
    with pytest.raises(evy.StateError):
        server.start()
    assert get(server.port) == b"Hello"
    assert server.join(5)


def test_stop_waits_for_requests_within_the_grace(serve):
    is_in, may_go = threading.Event(), threading.Event()

    def site(env, start_response):
        is_in.set()
        may_go.wait(10)
        return hello(env, start_response)

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        assert is_in.wait(5)
        server.stop(10)
        assert not server.join(0.05)
        may_go.set()
        answer = connection.response()
        assert answer.body == b"Hello" and answer.closes
    assert server.join(5)
    assert server.log.lines[-1].endswith("wsgi exiting")


def test_requests_run_side_by_side(serve):
    barrier = threading.Barrier(8, timeout=10)

    def site(env, start_response):
        barrier.wait()
        return hello(env, start_response)

    server = serve(site, threads=8)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(get, [server.port] * 8)) == [b"Hello"] * 8


def test_a_custom_pool_runs_the_application(serve):
    names = []

    def site(env, start_response):
        names.append(threading.current_thread().name)
        return hello(env, start_response)

    with concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
        server = serve(site, custom_pool=pool)
        assert [get(server.port) for _ in range(3)] == [b"Hello"] * 3
        server.stop(0)
        server.join(5)
    assert all(name.startswith("mine") for name in names)
    with listener() as sock, pytest.raises(TypeError, match="custom_pool"):
        evy.wsgi.Server(sock, hello, custom_pool=3)


def test_several_sockets(pairs):
    with listener() as plain, listener() as bare:
        secure = evy.wrap_ssl(bare, pairs / "private.key", pairs / "cert.crt", True)
        with evy.wsgi.Server([plain, secure], hello, log_output=False) as server:
            assert server.ports == [plain.getsockname()[1], bare.getsockname()[1]]
            assert get(server.ports[0]) == b"Hello"
            server.tls = True
            with Connection(server, port=server.ports[1]) as connection:
                assert connection.get("/").body == b"Hello"


def test_unix_socket(tmp_path):
    path = str(tmp_path / "evy.sock")
    with evy.listen(path, socket.AF_UNIX) as sock, evy.wsgi.Server(sock, hello, log_output=False) as server:
        assert server.port == 0
        with Connection(address=path, family=socket.AF_UNIX) as connection:
            assert connection.get("/").body == b"Hello"


DUP = """
import os, sys, threading
import evy
from evy.web import wsgi

def site(env, start_response):
    start_response('200 OK', [])
    return [b'served']

sock = evy.listen(('127.0.0.1', 0))
kept = sock.dup()
print(sock.getsockname()[1])
for _ in range(2):
    wsgi.server(sock, site)
    assert sock.fileno() == -1
    sock = kept.dup()
    print('returned', len(threading.enumerate()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_returns_on_signals_and_a_dup_of_its_socket_serves_again(program, number):
    run = program(DUP)
    port = int(run.out.expect(r"^\d+$"))
    run.err.expect("starting up")
    assert get(port) == b"served"
    run.process.send_signal(number)
    run.out.expect("^returned 1$")
    assert get(port) == b"served"
    assert run.end(number) == 0
    assert len(run.err.matching("wsgi exiting")) == 2
    assert not run.err.matching("Traceback")


# server() closes its socket when the drain begins.
TELLING = """
import evy, os, socket, time
class Socket(socket.socket):
    def close(self):
        super().close()
        print('drains')
sock = evy.listen(('127.0.0.1', 0))
print(sock.getsockname()[1])
sock = Socket(fileno=sock.detach())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_requests_finish_behind_a_signal(program, number):
    run = program(
        TELLING
        + """
def site(env, start_response):
    start_response('200 OK', [])
    yield b'begun '
    while not os.path.exists('go'):
        time.sleep(0.01)
    yield b'finished'
evy.wsgi.server(sock, site)
print('returned')
"""
    )
    port = int(run.out.expect(r"^\d+$"))
    with Connection(port=port) as connection:
        connection.send(raw_request("GET", "/"))
        while b"begun" not in connection.reader.buffer:
            connection.reader.more()
        run.process.send_signal(number)
        run.out.expect("^drains$")
        assert run.process.poll() is None and not run.out.matching("returned")
        (run.folder / "go").touch()
        assert connection.response().body == b"begun finished"
    assert run.end(None) == 0
    assert run.out.lines[-1] == "returned" and not run.err.matching("Traceback")


def test_a_second_signal_cuts_what_does_not_end(program):
    run = program(
        TELLING
        + """
def site(env, start_response):
    start_response('200 OK', [('Content-Length', '100000000')])
    return (bytes(100000) for _ in range(1000))
evy.wsgi.server(sock, site, log_format='%(aborted)s', grace=None)
"""
    )
    port = int(run.out.expect(r"^\d+$"))
    run.err.expect("starting up")
    with Connection(port=port, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/")).receive(1)
        run.process.send_signal(signal.SIGTERM)

        run.out.expect("^drains$")
        assert run.process.poll() is None
        assert run.end(signal.SIGTERM) == 0
    assert run.err.lines[-2:] == ["shutdown", f"({run.pid}) wsgi exiting"]


@pytest.mark.parametrize("raised, code", [("SystemExit(7)", 7), ("KeyboardInterrupt", 0)])
def test_the_application_may_end_its_server(program, raised, code):
    run = program(f"""
import evy
def site(env, start_response):
    raise {raised}
sock = evy.listen(('127.0.0.1', 0))
print(sock.getsockname()[1])
evy.wsgi.server(sock, site)
""")
    port = int(run.out.expect(r"^\d+$"))
    with Connection(port=port) as connection:
        assert connection.get("/").status == 500
    assert run.end(None) == code


def test_the_program_may_end_while_a_server_runs(program):
    run = program("""
import evy, http.client
def site(env, start_response):
    start_response('200 OK', [])
    return [b'x']
server = evy.wsgi.Server(evy.listen(('127.0.0.1', 0)), site).start()
client = http.client.HTTPConnection('127.0.0.1', server.port)
client.request('GET', '/')
print(client.getresponse().read())
""")
    assert run.end(None) == 0
    assert run.out.lines == ["b'x'"] and run.err.matching("wsgi exiting")


def test_server_in_a_thread_with_the_ancestors_event(recwarn):
    started = []
    sock = listener()

    class Event:
        def send(self, server):
            started.append(server)

    thread = threading.Thread(
        target=evy.wsgi.server, args=(sock, hello), kwargs={"server_event": Event(), "log_output": False}
    )
    thread.start()
    wait_until(lambda: started, "the server")
    assert get(started[0].port) == b"Hello"
    started[0].stop()
    thread.join(5)
    assert not thread.is_alive() and sock.fileno() == -1
    assert [w for w in recwarn if "server_event" in str(w.message)]


def test_a_logger_is_a_log(serve, caplog):
    caplog.set_level(logging.INFO, logger="evy.test")
    server = serve(hello, log=logging.getLogger("evy.test"))
    get(server.port)
    wait_until(lambda: len(caplog.records) == 2, "two records")
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert '"GET / HTTP/1.1" 200' in caplog.records[1].getMessage()
