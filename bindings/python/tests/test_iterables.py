# SPDX-License-Identifier: MIT
# test_iterables - what an application returns is asked for its iterator once, and that until its end, once.

import pytest
from client import Connection


class Iterator:
    """asked_late: how often it was asked for more behind its end, where others wait for ever."""

    def __init__(self, pieces):
        self.pieces, self.has_ended, self.asked_late = list(pieces), False, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.asked_late += self.has_ended
        if self.pieces:
            piece = self.pieces.pop(0)
            return piece() if callable(piece) else piece
        self.has_ended = True
        raise StopIteration


@pytest.mark.parametrize("threads", [4, 1])
@pytest.mark.parametrize("kind", ["nothing", "empty", "asks", "exact", "pieces", "unstarted"])
def test_an_iterator_that_has_ended_is_not_asked_again(serve, kind, threads):
    iterators = []

    def site(env, start_response):
        def asking():
            return b"x" if not env["evy.client_disconnected"]() else b""

        pieces = {"nothing": [], "empty": [b"", b""], "asks": [b"x", asking], "exact": [b"xx"]}
        if kind != "unstarted":
            start_response("200 OK", [("Content-Length", "2")] if kind == "exact" else [])
        iterators.append(Iterator(pieces.get(kind, [b"x", b"x"] if kind == "pieces" else [])))
        return iterators[0]

    server = serve(site, threads=threads)
    with Connection(server) as connection:
        response = connection.get("/")
    assert response.status == (500 if kind == "unstarted" else 200)
    if kind != "unstarted":
        assert response.body == (b"" if kind in ("nothing", "empty") else b"xx")
    server.log.access()
    assert iterators[0].has_ended and iterators[0].asked_late == 0


class Unready:
    """Says each time why it has no iterator, and notes that it was closed."""

    def __init__(self, error):
        self.error, self.asked, self.closed = error, 0, 0

    def __iter__(self):
        self.asked += 1
        raise self.error(f"asked {self.asked} times")

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("threads", [4, 1])
@pytest.mark.parametrize("error", [ValueError, TypeError])
@pytest.mark.parametrize("fields", [[], [("Content-Length", "3")]])
def test_an_iterable_is_asked_once_for_its_iterator(serve, fields, error, threads):
    results = []

    def site(env, start_response):
        start_response("200 OK", fields)
        results.append(Unready(error))
        return results[0]

    server = serve(site, threads=threads)
    with Connection(server) as connection:
        assert connection.get("/").status == 500
    server.log.access()
    assert (results[0].asked, results[0].closed) == (1, 1)
    assert server.log.matching(f"^{error.__name__}: asked") == [f"{error.__name__}: asked 1 times"]
    assert not server.log.matching("During handling of")
