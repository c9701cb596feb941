# SPDX-License-Identifier: MIT
# test_keyword_effects - each keyword of the ancestors' server(), by name and by place, and what it does.

import concurrent.futures
import inspect
import itertools
import logging
import re
import threading

import evy
import pytest
from client import Connection, raw_request, wait_until
from evy import _lib
from programs import Log

ORDER = (
    "sock site log environ max_size max_http_version protocol server_event minimum_chunk_size"
    " log_x_forwarded_for custom_pool keepalive log_output log_format url_length_limit debug"
    " socket_timeout capitalize_response_headers"
).split()
# What stands at a place that is passed over.
DEFAULTS = {
    "log": None,
    "environ": None,
    "max_size": None,
    "max_http_version": "HTTP/1.1",
    "protocol": None,
    "server_event": None,
    "minimum_chunk_size": None,
    "log_x_forwarded_for": True,
    "custom_pool": None,
    "keepalive": True,
    "log_output": True,
    "log_format": evy.wsgi.DEFAULT_LOG_FORMAT,
    "url_length_limit": 8192,
    "debug": False,
    "socket_timeout": None,
    "capitalize_response_headers": True,
}
pytestmark = pytest.mark.filterwarnings("ignore:protocol is:DeprecationWarning")


def site(env, start_response):
    kind = env["PATH_INFO"]
    if kind == "/fail":
        raise RuntimeError("shown or not")
    start_response("200 OK", [("x-lower", "v")])
    if kind == "/pieces":
        return (b"x" * 10 for _ in range(6))
    if kind == "/big":
        return (bytes(100_000) for _ in range(500))
    if kind == "/thread":
        return [threading.current_thread().name.encode()]
    return [f"{env.get('my.key')} {env['wsgi.url_scheme']} {env['REQUEST_METHOD']}".encode()]


@pytest.fixture(params=["by name", "by place"])
def served(request):
    """served(**keywords): a running wsgi.server(), with .log and .port; stopped with the test."""
    running = []

    def start(**keywords):
        sock = evy.listen(("127.0.0.1", 0))
        server = Log()
        server.port, server.tls = sock.getsockname()[1], False
        keywords.setdefault("log", server)
        arguments = {**DEFAULTS, **{key: keywords.pop(key) for key in list(keywords) if key in DEFAULTS}}
        if request.param == "by place":
            call = (sock, site, *[arguments[name] for name in ORDER[2:]]), keywords
        else:
            call = (), {"sock": sock, "site": site, **arguments, **keywords}
        thread = threading.Thread(target=evy.wsgi.server, args=call[0], kwargs=call[1])
        thread.start()
        running.append((sock, thread))
        # Clients that come before the server accepts are queued by the listening socket.
        return server

    yield start
    for sock, thread in running:
        wait_until(
            lambda sock=sock: any(one.serves(sock) for one in evy.web._running.running()), "the server"
        )
        evy.wsgi.stop(sock, grace=0)
        thread.join(10)
        assert not thread.is_alive() and sock.fileno() == -1


def body(server, target="/", *fields):
    with Connection(server) as connection:
        return connection.get(target, *fields).body


def chunk_sizes(server):
    with Connection(server) as connection:
        data, _ = connection.send(raw_request("GET", "/pieces", ["Connection: close"])).ending()
    return [int(size, 16) for size in data.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[0::2] if size]


def test_the_order_is_the_ancestors():
    parameters = inspect.signature(evy.wsgi.server).parameters
    assert list(parameters)[: len(ORDER)] == ORDER
    assert {name: parameters[name].default for name in ORDER[2:]} == DEFAULTS


def test_defaults(served):
    server = served()
    assert body(server) == b"None http GET"
    with Connection(server) as connection:
        answer = connection.get("/")
        assert (answer.version, answer["X-Lower"], answer.closes) == ("HTTP/1.1", "v", False)
        assert "X-Lower" in [name for name, _ in answer.fields]
    assert chunk_sizes(server) == [10] * 6 + [0]
    assert body(server, "/fail") == b"Internal Server Error\n"
    start, access = server.expect("starting up"), server.access()
    assert re.fullmatch(rf"\(\d+\) wsgi starting up on http://127\.0\.0\.1:{server.port}/", start)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET / HTTP/1\.1" 200 \d+ \d+\.\d{6}', access)


def test_log(served, caplog):
    caplog.set_level(logging.DEBUG, logger="evy.keyword")
    server = served(log=logging.getLogger("evy.keyword"))
    body(server)
    wait_until(lambda: len(caplog.records) >= 2, "records")
    assert server.lines == []


def test_environ(served):
    server = served(environ={"my.key": 3, "wsgi.url_scheme": "https", "REQUEST_METHOD": "PUT"})
    assert body(server) == b"3 https GET"


def test_max_size(served):
    server = served(max_size=1)
    with Connection(server) as first:
        assert first.get("/").status == 200
        first.send(b"GET / HTTP/1.1\r\n")  # not idle, so it is not closed to make room
        with Connection(server) as second:
            second.send(raw_request("GET", "/"))
            assert second.silent(0.1)
            first.close()
            assert second.response().status == 200


def test_max_http_version(served):
    with Connection(served(max_http_version="HTTP/1.0")) as connection:
        assert connection.get("/pieces").version == "HTTP/1.0"


def test_protocol(served):
    class Protocol:
        minimum_chunk_size = 25
        reject_bad_requests = False

    server = served(protocol=Protocol)
    assert chunk_sizes(server) == [30, 30, 0]
    with Connection(server) as connection:
        assert connection.send(b"GET / HTTP/1.1\n\n").response().status == 200
    with Connection(served()) as connection:
        assert connection.send(b"GET / HTTP/1.1\n\n").response().status == 400


@pytest.mark.filterwarnings("ignore:server_event:DeprecationWarning")
def test_server_event(served):
    class Event:
        sent = ()

        def send(self, server):
            self.sent += (server,)

    event = Event()
    server = served(server_event=event)
    body(server)
    assert [one.port for one in event.sent] == [server.port]


def test_minimum_chunk_size(served):
    assert chunk_sizes(served(minimum_chunk_size=25)) == [30, 30, 0]


@pytest.mark.parametrize("is_logged", [True, False])
def test_log_x_forwarded_for(served, is_logged):
    server = served(log_x_forwarded_for=is_logged)
    body(server, "/", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")
    assert server.access().split()[0] == ("1.2.3.4,5.6.7.8,127.0.0.1" if is_logged else "127.0.0.1")


def test_custom_pool(served):
    class Green:
        """A pool of the ancestors' kind."""

        def spawn(self, function, *arguments):
            self.thread = threading.Thread(target=function, args=arguments, name="green")
            self.thread.start()
            return self

        def wait(self):
            self.thread.join()

    with concurrent.futures.ThreadPoolExecutor(2, "executor") as executor:
        server = served(custom_pool=executor)
        assert body(server, "/thread").startswith(b"executor")
        assert chunk_sizes(server) == [10] * 6 + [0]
        assert body(server, "/fail") == b"Internal Server Error\n"
        assert body(served(custom_pool=Green()), "/thread") == b"green"
    with Connection(server) as connection:
        assert connection.get("/").status == 500, "the executor is shut down"
    server.expect("cannot schedule new futures")


def test_keepalive(served):
    with Connection(served(keepalive=False)) as connection:
        assert connection.get("/").closes
    with Connection(served(keepalive=0.1)) as connection:
        assert not connection.get("/").closes
        assert connection.ending() == (b"", "eof")


def test_log_output(served):
    server = served(log_output=False)
    body(server, "/fail")
    with Connection(server) as connection:
        connection.send(b"nonsense\r\n\r\n").response()
    assert server.lines == []


def test_log_format(served):
    server = served(log_format="%(method)s|%(status_code)d|%(body_bytes)s")
    body(server)
    server.expect(r"^GET\|200\|13$")


def test_url_length_limit(served):
    server = served(url_length_limit=100)
    for length, status in ((99, 200), (100, 414)):
        with Connection(server) as connection:
            target = "/" + "a" * (length - len("GET / HTTP/1.1\r\n"))
            assert connection.get(target).status == status


def test_debug(served):
    assert b"RuntimeError: shown or not" in body(served(debug=True), "/fail")


@pytest.mark.parametrize(
    "start", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na"]
)
def test_socket_timeout(served, start):
    def reads(env, start_response):
        env["wsgi.input"].read()
        return site(env, start_response)

    server = served(socket_timeout=0.1)
    with Connection(server) as connection:
        data, _ = connection.send(start).ending()
    assert data == b"" or data.startswith((b"HTTP/1.1 408", b"HTTP/1.1 200"))


def test_capitalize_response_headers(served):
    with Connection(served(capitalize_response_headers=False)) as connection:
        assert "x-lower" in [name for name, _ in connection.get("/").fields]


# Keywords that the ancestors did not have, only by name


def test_access_log(served, tmp_path):
    file, other = tmp_path / "access", Log()
    server = served(access_log=str(file))
    body(server)
    wait_until(lambda: file.exists() and "GET /" in file.read_text(), "the file")
    assert not server.matching("GET /")
    server = served(access_log=other)
    body(server)
    other.access()
    assert not server.matching("GET /") and server.expect("starting up")
    server = served(access_log="off")
    body(server)
    assert not server.matching("GET /")


def test_every_option_of_the_library_is_a_keyword():
    """With a value of its kind; one of another kind is refused by name."""
    every = (_lib.lib.evy_option_name(number) for number in itertools.count())
    names = set(itertools.takewhile(bool, every))
    assert len(names) > 40
    # How the threads of Python are used is not the caller's to say; the others are the ancestors' keywords,
    # which take "HTTP/1.1", and whatever is true.
    for name in names - {b"pull", b"lent_threads", b"max_http_version", b"log_x_forwarded_for"}:
        kind, default = _lib.lib.evy_option_type(name), _lib.lib.evy_option_default(name).decode()
        with evy.listen(("127.0.0.1", 0)) as sock:
            evy.wsgi.Server(sock, site, log_output=False, **{name.decode(): default}).stop()
            if kind != b"text":
                with pytest.raises(ValueError, match=name.decode()):
                    evy.wsgi.Server(sock, site, **{name.decode(): "nonsense"})


@pytest.mark.parametrize(
    "keywords, send, status",
    [
        ({"max_header_line": 300}, raw_request("GET", "/", ["A: " + "b" * 300]), 431),
        ({"header_size_status": 400}, raw_request("GET", "/", ["A: " + "b" * 9000]), 400),
        ({"max_requests_per_connection": 1}, raw_request("GET", "/"), 200),
        ({"idle_timeout": 0.1}, raw_request("GET", "/"), 200),
        ({"body_timeout": 0.1}, raw_request("POST", "/", ["Content-Length: 9"]) + b"abc", 408),
        ({"body_timeout": 60, "body_min_rate": 1_000_000, "socket_timeout": None},
         raw_request("POST", "/", ["Content-Length: 9"]) + b"abc", None),
        ({"underscore_headers": "refuse"}, raw_request("GET", "/", ["X_A: b"]), 400),
        ({"allow_bare_lf": True, "idle_timeout": 0.1}, b"GET / HTTP/1.1\nHost: a\n\n", 200),
        ({"allow_obs_fold": True, "idle_timeout": 0.1}, raw_request("GET", "/", ["A: b\r\n c"]), 200),
    ],
)  # fmt: skip
def test_options_by_name(served, keywords, send, status):
    server = served(**keywords)
    with Connection(server) as connection:
        connection.send(send)
        if status is None:
            assert connection.silent(0.1)
            return
        assert connection.response().status == status
        assert connection.ending() == (b"", "eof")


def test_write_timeout(served):
    server = served(write_timeout=0.2, log_format="%(aborted)s %(path)s")
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/big"))
        server.expect("^write-timeout /big$")


def test_max_connections(served):
    server = served(max_connections=1)
    with Connection(server) as first:
        first.send(b"GET / HTTP/1.1\r\n")
        with Connection(server) as second:
            second.send(raw_request("GET", "/"))
            assert second.silent(0.1)
            first.close()
            assert second.response().status == 200


def test_several_sockets_at_one_place():
    socks = [evy.listen(("127.0.0.1", 0)) for _ in range(2)]
    ports = [sock.getsockname()[1] for sock in socks]
    thread = threading.Thread(target=evy.wsgi.server, args=(socks, site), kwargs={"log_output": False})
    thread.start()
    for port in ports:
        with Connection(port=port) as connection:
            assert connection.get("/").status == 200
    evy.wsgi.stop(socks[1])
    thread.join(10)
    assert not thread.is_alive() and [sock.fileno() for sock in socks] == [-1, -1]


def test_limits_and_deadlines_by_name(served):
    server = served(max_body_size="1k", max_headers=5, header_timeout=2, threads=3, max_header_size=2000)
    for fields, status in (
        (["Content-Length: 1025"], 413),
        ([f"A{number}: b" for number in range(5)], 431),
        (["A: " + "b" * 2000], 431),
    ):
        with Connection(server) as connection:
            assert connection.send(raw_request("POST", "/", fields)).response().status == status
    with Connection(server) as connection:
        assert connection.send(b"GET / HTTP/1.1\r\n").response().status == 408
    assert sum(thread.name.startswith("evy-") for thread in threading.enumerate()) == 3 + 3
