# SPDX-License-Identifier: MIT
# test_handover - servers of several processes on one listening socket, replaced under load: nobody notices.

import contextlib
import socket
import threading
import time

import pytest
from support import PATIENCE, Closed, Connection, Reset, pattern, raw_request

REPLACEMENTS = 5
GRACE = 600_000
LONG = 3000


class Load:
    """Clients that go on until told to stop. An answer is right and whole, or it is a fault.

    It may be missing where a client was kept from asking within the drain_delay of a second.
    """

    def __init__(self, port, keeps, count):
        self.port, self.keeps = port, keeps
        self.answers, self.faults = 0, []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            while not self.is_over.is_set():
                self.one_connection(number)
        except Exception as fault:
            self.faults.append(fault)

    def one_connection(self, number):
        begun = time.monotonic()
        with Connection(port=self.port) as connection:
            for turn in range(200 if self.keeps else 1):
                size = (number * 977 + turn * 131) % 20_000
                # Behind this moment it was let in, or got the answer before.
                asks_at, before, sent_at = time.monotonic(), connection.received, None
                try:
                    connection.send(raw_request("GET", f"/fixed?n={size}"))
                    sent_at = time.monotonic()
                    answer = connection.response()
                except (Closed, Reset, ConnectionError):
                    if connection.received > before or (sent_at or time.monotonic()) - begun < 1:
                        raise
                    return
                begun = asks_at
                assert answer.status == 200 and answer.body == pattern(size)
                self.answers += 1
                if answer.closes or self.is_over.is_set():
                    return

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults[:3]
        return self.answers


@contextlib.contextmanager
def loads(port):
    running = [Load(port, keeps=False, count=2), Load(port, keeps=True, count=4)]
    try:
        yield running
    finally:
        for one in running:
            one.is_over.set()


def ask_long(port, answers):
    """Returns with the request on its way."""
    is_sent = threading.Event()

    def ask():
        with Connection(port=port) as connection:
            connection.send(raw_request("GET", f"/slow?ms={LONG}", ["Connection: close"]))
            is_sent.set()
            answers.append(connection.response().body)

    thread = threading.Thread(target=ask)
    thread.start()
    assert is_sent.wait(PATIENCE)
    return thread


@pytest.mark.parametrize("loops", [1, 2])
def test_children_are_replaced_under_load(serve, loops):
    """Every three seconds or so, with a request of three seconds in flight in the one that goes, by an
    address of its own: nothing refused, reset or cut."""
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.bind(("127.0.0.1", 0))
        mine.listen(1024)
        port = mine.getsockname()[1]

        def child():
            return serve(
                "--listen-fd", str(mine.fileno()), "--listen", "127.0.0.1:0", pass_fds=(mine.fileno(),),
                loops=loops, drain_delay="1s", callbacks=False, access=False, error_log="off",
            )  # fmt: skip

        children = [child(), child()]
        long_answers, long_threads = [], []
        with loads(port) as running:
            for _ in range(REPLACEMENTS):
                old = children.pop(0)
                long_threads.append(ask_long(old.ports[1], long_answers))
                children.append(child())
                assert old.command("stop", 0, GRACE) == "EVY_OK"
                # For the request, and not for the end of its grace.
                assert old.command("wait", 0, PATIENCE * 1000, 2 * PATIENCE) == "EVY_OK"
            counts = [one.end() for one in running]
        for thread in long_threads:
            thread.join()
        assert long_answers == [b"slow"] * REPLACEMENTS
        assert min(counts) > 50, counts


def test_a_stuck_request_is_cut_at_the_deadline_and_its_hooks_run(serve):
    server = serve()
    with Connection(server) as stuck:
        stuck.send(raw_request("GET", "/deferred?gate=1"))
        server.expect("call", step="deferred")
        begin = time.monotonic()
        assert server.command("stop", 0, 300) == "EVY_OK"
        data, _ = stuck.ending()
        assert data == b"" and 0.28 <= time.monotonic() - begin
        assert server.expect("hook", path="/deferred")["end"] == "shutdown"
        server.command("open", 1)
    assert server.command("wait", 0, 5000) == "EVY_OK"
