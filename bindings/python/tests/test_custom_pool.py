# SPDX-License-Identifier: MIT
# test_custom_pool - applications in threads of their host's: long answers, bodies, and what is refused.

import concurrent.futures
import threading

import evy
import pytest
from client import Closed, Connection, Reset, raw_request, wait_until

PIECE = bytes(range(256)) * 256
"""So many of them as no kernel takes of a client that does not read."""
MANY = 600


class Pool:
    """An executor whose threads end with the process: one that hangs fails its test, not the whole run."""

    is_over = False

    def submit(self, function, *arguments):
        if self.is_over:
            raise RuntimeError("the pool is over")
        future = concurrent.futures.Future()
        work = future, function, arguments
        threading.Thread(target=self._run, args=work, name="mine", daemon=True).start()
        return future

    def _run(self, future, function, arguments):
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)


class Pieces:
    """A body of so many pieces that notes in which threads it was made, and how often it was closed."""

    def __init__(self, count):
        self.count, self.names, self.closed = count, [], 0

    def __iter__(self):
        return self

    def __next__(self):
        if len(self.names) == self.count:
            raise StopIteration
        self.names.append(threading.current_thread().name)
        return PIECE

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("way", ["yield", "list", "write"])
def test_a_long_answer_reaches_its_client(serve, threads, way):
    """More than write_high_water; with one thread nobody sends while the application runs in the pool."""
    results, ends = [], []

    def site(env, start_response):
        env["evy.posthooks"].append((lambda env: ends.append(env["evy.aborted"]), (), {}))
        write = start_response("200 OK", [])
        results.append(Pieces(8))
        if way == "yield":
            return results[-1]
        pieces = list(results[-1])
        if way == "list":
            return pieces
        for piece in pieces:
            write(piece)
        return []

    server = serve(site, threads=threads, custom_pool=Pool())
    with Connection(server) as connection:
        for _ in range(2):
            assert connection.get("/").body == PIECE * 8
    server.log.access(2)
    assert ends == [None, None]
    assert [result.names for result in results] == [["mine"] * 8] * 2
    assert [result.closed for result in results] == [1 if way == "yield" else 0] * 2
    assert not server.log.matching("Traceback|rror")


def test_with_one_thread_a_slow_client_holds_up_neither_the_server_nor_the_pool(serve):
    results = {}

    def site(env, start_response):
        start_response("200 OK", [("Content-Length", str(MANY * len(PIECE)))])
        return results.setdefault(env["PATH_INFO"], Pieces(MANY))

    server = serve(site, threads=1, custom_pool=Pool())
    slow = Connection(server, rcvbuf=4096).send(raw_request("GET", "/slow"))
    leaver = Connection(server, rcvbuf=4096).send(raw_request("GET", "/leaver"))
    slow.wait_until_full()
    leaver.wait_until_full()
    with Connection(server) as quick:
        assert quick.get("/quick").body == PIECE * MANY
    # Neither has been asked for all it has, nor is asked for more while its client does not read.
    assert all(0 < len(results[path].names) < MANY for path in ("/slow", "/leaver"))
    leaver.reset()
    wait_until(lambda: results["/leaver"].closed, "the end of who left")
    assert slow.response().body == PIECE * MANY
    server.log.access(3)
    assert [result.closed for result in results.values()] == [1, 1, 1]
    assert {name for result in results.values() for name in result.names} == {"mine"}
    slow.close()


def test_with_one_thread_a_paused_answer_is_cut_where_the_pool_takes_no_more(serve):
    pool, result = Pool(), Pieces(MANY)

    def site(env, start_response):
        start_response("200 OK", [])
        return result

    server = serve(site, threads=1, custom_pool=pool)
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/")).wait_until_full()
        pool.is_over = True
        with pytest.raises((Closed, Reset)):
            connection.response()
    server.log.expect("the pool is over")
    assert '"GET / HTTP/1.1" 200' in server.log.access()
    assert result.closed == 1 and len(result.names) < MANY


def test_with_one_thread_nobody_waits_for_the_rest_of_a_body(serve):
    """body=buffer, the default, has it ahead; without that the loop would wait for whom it keeps waiting."""

    def site(env, start_response):
        body = env["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    head = raw_request("POST", "/", ["Content-Length: 4"])
    with Connection(serve(site, threads=1, body="stream", custom_pool=Pool())) as connection:
        assert connection.send(head).response().status == 503
    with Connection(serve(site, threads=1, custom_pool=Pool())) as connection:
        assert connection.send(head).send(b"body").response().body == b"body"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", ["take_socket", "get_socket"])
def test_a_pool_cannot_take_the_connection(serve, threads, name):
    errors = []

    def site(env, start_response):
        try:
            env["evy.take_socket"]() if name == "take_socket" else env["wsgi.input"].get_socket()
        except evy.StateError as error:
            errors.append(str(error))
        if env["PATH_INFO"] == "/again":
            env["evy.take_socket"]()
        start_response("200 OK", [])
        return [b"answered"]

    server = serve(site, threads=threads, custom_pool=Pool())
    with Connection(server) as connection:
        assert connection.get("/").body == b"answered"
        assert connection.get("/again").status == 500
    assert len(errors) == 2 and all("custom_pool" in text for text in errors)
    server.log.expect("StateError.*custom_pool")
