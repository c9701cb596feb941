# SPDX-License-Identifier: MIT
# bridge_site - applications that go to the edges of PEP 3333, by the first part of the path.
"""As a program: serves them at the sockets it is given, and prints the ports. What it answers must not depend
on the way to the application (EVY_BRIDGE)."""

import signal
import sys
import threading

import evy
from bridge_tables import BODIES, HEADS, Closing, List, Str

SITES = {}
KEPT = {}


def site(function):
    SITES[function.__name__] = function
    return function


def told(error):
    return f"{type(error).__name__}: {error}".encode()


@site
def environ(env, start_response):
    """All of environ; objects by their type, and values of handlers before are seen if they were to stay."""
    lines = []
    for key, value in sorted(env.items()):
        plain = isinstance(value, (str, int, tuple, list))
        lines.append(f"{key}={value!r}" if plain else f"{key} {key in HIDDEN or type(value).__name__}")
    lines.append(f"body={env['wsgi.input'].read()!r} same={env['wsgi.input'] is env['evy.input']}")
    for key in env.keys() - {"evy.minimum_write_chunk_size", "evy.posthooks"}:
        env[key] = "left by the request before"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(lines).encode("latin-1")]


# Bound methods there, objects of the library here.
HIDDEN = ("evy.client_disconnected", "evy.set_idle", "evy.take_socket", "wsgi.early_hints")


@site
def sizes(env, start_response):
    """?reason,name,value: start_response with so many characters."""
    reason, name, value = map(int, env["QUERY_STRING"].split(","))
    headers = [("N" * name, "v" * value)] if name else []
    start_response("200" + (" " + "r" * (reason - 1) if reason else ""), headers)
    return [b"x"]


@site
def heads(env, start_response):
    """?name: HEADS; an exception is told in the answer."""
    status, headers = HEADS[env["QUERY_STRING"]]
    try:
        start_response(status, headers)
    except Exception as error:
        start_response("200 OK", [("X-Failed", "yes")])
        return [told(error)]
    return [b"abc"]


@site
def raw_heads(env, start_response):
    """?name: HEADS; exceptions go to the server."""
    start_response(*HEADS[env["QUERY_STRING"]])
    return [b"abc"]


@site
def bodies(env, start_response):
    start_response("200 OK", [])
    return BODIES[env["QUERY_STRING"]]()


@site
def lengths(env, start_response):
    """With the length that a body of "abc" has."""
    start_response("200 OK", [("Content-Length", "3"), ("X-Closed", str(Closing.closed))])
    return BODIES[env["QUERY_STRING"]]()


@site
def late_bodies(env, start_response):
    """Without start_response."""
    return BODIES[env["QUERY_STRING"]]()


@site
def subclasses(env, start_response):
    start_response(Str("200 OK"), List([(Str("A"), Str("b"))]))
    return [b"abc"]


@site
def twice(env, start_response):
    start_response("200 OK", [("A", "b")])
    try:
        start_response("404 Not Found", [])
    except AssertionError as error:
        return [told(error)]


@site
def exc_info(env, start_response):
    start_response("200 OK", [("A", "b")])
    try:
        raise KeyError("k")
    except KeyError:
        start_response("500 Oh", [("C", "d")], sys.exc_info())
    return [b"abc"]


@site
def exc_info_late(env, start_response):
    write = start_response("200 OK", [("A", "b")])
    write(b"begun")
    try:
        raise KeyError("k")
    except KeyError:
        start_response("500 Oh", [("C", "d")], sys.exc_info())


@site
def keywords(env, start_response):
    start_response(status="200 OK", headers=[("A", "b")], exc_info=None)
    return [b"abc"]


@site
def arguments(env, start_response):
    told_all = []
    for given in ((), ("200 OK",), ("200 OK", [], None, 1), ("200 OK", [], None)):
        try:
            start_response(*given)
        except TypeError as error:
            told_all.append(type(error).__name__)
    return [" ".join(told_all).encode()]


@site
def written(env, start_response):
    write = start_response("200 OK", [("A", "b")])
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


@site
def changed(env, start_response):
    """The headers, after the call, and in pieces, so that they are not sent at once."""
    headers = [("A", "b")]
    start_response("200 OK", headers)
    headers.append(("C", "d"))
    del headers[0]
    yield b"one "
    yield b"two"


@site
def late(env, start_response):
    """?name: what the application does behind the first piece, or ahead of it."""
    what = env["QUERY_STRING"]
    if what == "starts-late":
        start_response("201 Late", [("A", "b")])
    yield b""
    if what == "starts-later":
        start_response("201 Later", [("A", "b")])
    elif what not in ("starts-late", "never"):
        start_response("200 OK", [("A", "b")])
        yield b"one "
    if what == "writes":
        start_response("200 Again", [], None)(b"written ")
    elif what == "asks":
        yield str(env["evy.client_disconnected"]()).encode()
    elif what == "exc_info":
        try:
            raise KeyError("k")
        except KeyError:
            start_response("500 Oh", [], sys.exc_info())
    elif what == "keeps":
        KEPT["things"] = [start_response, start_response, *(env[key] for key in HIDDEN), env["wsgi.input"]]
        env["evy.client_disconnected"]()
    elif what == "hook":
        env["evy.posthooks"].append((lambda env: KEPT.__setitem__("late", env["evy.body_bytes"]), (), {}))
    yield b"two "
    yield b"three"


@site
def late_lengths(env, start_response):
    """?number: a Content-Length that the pieces have, or have not."""
    start_response("200 OK", [("Content-Length", env["QUERY_STRING"])])
    return iter([b"one ", b"two ", b"three"])


@site
def pieces(env, start_response):
    """How they are gathered counts at start_response."""
    if env["QUERY_STRING"] == "before":
        env["evy.minimum_write_chunk_size"] = 100
    start_response("200 OK", [])
    if env["QUERY_STRING"] == "after":
        env["evy.minimum_write_chunk_size"] = 100
    return iter([b"one ", b"two ", b"three"])


@site
def wrong_pieces(env, start_response):
    env["evy.minimum_write_chunk_size"] = "many"
    try:
        start_response("200 OK", [])
    except ValueError as error:
        env["evy.minimum_write_chunk_size"] = 0
        start_response("200 OK", [])
        return [told(error)]
    return iter([b"one ", b"two "])


@site
def threaded(env, start_response):
    """All of it in another thread."""
    found = []

    def work():
        found.append(env["evy.client_disconnected"]())
        write = start_response("200 OK", [("A", "b")])
        try:
            env["evy.take_socket"]()
        except evy.StateError as error:
            found.append(error)
        write(b"one ")

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    return [str(found).encode()]


def raising(kind):
    def function(env, start_response):
        if env["QUERY_STRING"] == "started":
            start_response("200 OK", [("A", "b")])
        elif env["QUERY_STRING"] == "begun":
            start_response("200 OK", [("A", "b")])(b"begun")
        raise kind("oh")

    return function


KINDS = (ValueError, GeneratorExit, RecursionError, MemoryError, StopIteration, BaseException)
for kind in KINDS:
    SITES[kind.__name__] = raising(kind)


@site
def recursion(env, start_response):
    return recursion(env, start_response)


@site
def hooks(env, start_response):
    """?what: what becomes of the list of hooks; KEPT['hooks'] counts those that ran."""
    hook = (lambda env: KEPT.__setitem__("hooks", KEPT.get("hooks", 0) + 1), (), {})
    what = env["QUERY_STRING"]
    if what == "append":
        env["evy.posthooks"].append(hook)
    elif what == "list":
        env["evy.posthooks"] = [hook]
    elif what == "tuple":
        env["evy.posthooks"] = (hook, hook)
    elif what == "delete":
        del env["evy.posthooks"]
    elif what == "None":
        env["evy.posthooks"] = None
    elif what == "number":
        env["evy.posthooks"] = 5
    elif what == "asks":
        gone = env["evy.client_disconnected"]
        env["evy.posthooks"].append((lambda env: KEPT.__setitem__("asked", gone()), (), {}))
    start_response("200 OK", [])
    return [str(sorted(KEPT.items())).encode()] if what == "count" else [b"abc"]


@site
def keep(env, start_response):
    write = start_response("200 OK", [])
    KEPT["things"] = [start_response, write, *(env[key] for key in HIDDEN), env["wsgi.input"]]
    if env["QUERY_STRING"] == "asked":
        env["evy.client_disconnected"]()
    return [b"kept"]


@site
def kept(env, start_response):
    """What the functions of the request before say now."""
    start, write, gone, set_idle, take_socket, early_hints, body = KEPT.pop("things")
    calls = (
        lambda: start("200 OK", []), lambda: write(b"late"), gone, set_idle, take_socket,
        lambda: early_hints([("Link", "x")]), body.get_socket, body.send_hundred_continue_response,
        lambda: body.set_hundred_continue_response_headers([("A", "b")]), body.read,
    )
    lines = []
    for call in calls:
        try:
            lines.append(repr(call()))
        except Exception as error:
            lines.append(f"{type(error).__name__}: {error}")
    start_response("200 OK", [])
    return ["\n".join(lines).encode()]


@site
def hints(env, start_response):
    env["wsgi.early_hints"]([("Link", "</a>")])
    start_response("200 OK", [("A", "b")])
    env["wsgi.early_hints"]([("Link", "</b>")])
    return [b"abc"]


class Finalized:
    def __init__(self, start_response):
        self.start_response = start_response

    def __del__(self):
        KEPT["finalized"] = KEPT.get("finalized", 0) + 1
        try:
            self.start_response("500 Oh", [])
        except Exception as error:
            KEPT["told"] = str(error)
        raise ValueError("in __del__")


@site
def finalized(env, start_response):
    env["mine"] = Finalized(start_response)
    start_response("200 OK", [])
    return [str(sorted(KEPT.items())).encode()]


@site
def closed(env, start_response):
    class Result:
        def __iter__(self):
            yield b"one "
            yield b"two"

        def close(self):
            KEPT["closed"] = KEPT.get("closed", 0) + 1

    start_response("200 OK", [("X-Closed", str(KEPT.get("closed", 0)))])
    return Result()


@site
def file(env, start_response):
    start_response("200 OK", [])
    return env["wsgi.file_wrapper"](open(__file__, "rb"), 512)


@site
def reads(env, start_response):
    body = env["wsgi.input"]
    found = [body.readline(), body.read(3), body.readlines(), body.read(), env["evy.trailers"]]
    start_response("200 OK", [])
    return [repr(found).encode()]


def application(env, start_response):
    name = env["PATH_INFO"].split("/")[1]
    return SITES.get(name, environ)(env, start_response)


class Nowhere:
    def write(self, text):
        pass


def main():
    unix, key, certificate = sys.argv[1:]
    socks = [evy.listen(("127.0.0.1", 0)), evy.listen(("127.0.0.2", 0)), evy.listen(("127.0.0.1", 0))]
    socks[2] = evy.wrap_ssl(socks[2], key, certificate, server_side=True)
    server = evy.wsgi.Server([*socks, f"unix:{unix}"], application, log=Nowhere(), debug=False)
    print(*server.ports[:3])
    with server:
        signal.pause()


if __name__ == "__main__":
    main()
