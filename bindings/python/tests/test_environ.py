# SPDX-License-Identifier: MIT
# test_environ - environ: every key, its type, what applications do to it, and the functions in it.

import gc
import socket
import ssl
import sys
import threading
import weakref

import evy
import pytest
from client import Connection, client_context, raw_request, wait_until


class Site:
    """The application, and the environs it got."""

    def __init__(self):
        self.environs = []

    def __call__(self, env, start_response):
        self.environs.append(dict(env))
        start_response("200 OK", [])
        return [b"x"]


def environ_of(serve, *arguments, **keywords):
    """The environ of one request: method, target, fields, body."""
    site = Site()
    server = serve(site, **keywords)
    with Connection(server) as connection:
        assert connection.request(*arguments).status == 200
    return site.environs[0], server


def test_every_key(serve):
    fields = ["X-Two: 1", "x-two: 2", "Cookie: a=1", "Cookie: b=2", "Content-Type: a/b", "X_Under: no"]
    env, server = environ_of(serve, "POST", "/a%C3%A9%20b//c?q=%20&r", fields, b"xy")
    assert type(env) is dict
    assert all(type(key) is str for key in env)
    texts = {key: value for key, value in env.items() if "." not in key}
    assert all(type(value) is str for value in texts.values())
    remote_port = texts.pop("REMOTE_PORT")
    assert 0 < int(remote_port) < 65536
    assert texts == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a\xc3\xa9 b//c",
        "RAW_PATH_INFO": "/a%C3%A9%20b//c",
        "QUERY_STRING": "q=%20&r",
        "RAW_URI": "/a%C3%A9%20b//c?q=%20&r",
        "REQUEST_URI": "/a%C3%A9%20b//c?q=%20&r",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": texts["SERVER_SOFTWARE"],
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "a/b",
        "CONTENT_LENGTH": "2",
        "HTTP_HOST": "test.example",
        "HTTP_X_TWO": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
    }
    assert texts["SERVER_SOFTWARE"].startswith("evy/")
    assert (env["wsgi.version"], env["wsgi.url_scheme"], env["wsgi.errors"]) == ((1, 0), "http", sys.stderr)
    assert (env["wsgi.multithread"], env["wsgi.multiprocess"], env["wsgi.run_once"]) == (True, False, False)
    assert env["wsgi.input_terminated"] is True and env["wsgi.input"] is env["evy.input"]
    assert env["evy.posthooks"] == [] and env["evy.minimum_write_chunk_size"] == 0
    assert not [key for key in env if key.startswith(("eventlet.", "SSL_", "HTTPS"))]


def test_raw_headers_keep_order_case_and_repeats(serve):
    env, _ = environ_of(serve, "GET", "/", ["x-B:  two words ", "X-b: 2", "X_Under: kept", "Empty:"])
    assert env["evy.headers_raw"] == (
        ("Host", "test.example"),
        ("x-B", "two words"),
        ("X-b", "2"),
        ("X_Under", "kept"),
        ("Empty", ""),
    )
    assert env["HTTP_EMPTY"] == "" and "HTTP_X_UNDER" not in env and "headers_raw" not in env


def test_bytes_beyond_ascii_are_latin_1(serve):
    site = Site()
    with Connection(serve(site)) as connection:
        connection.send(b"GET /%E9 HTTP/1.1\r\nHost: x\r\nX-Name: caf\xe9\r\n\r\n").response()
    assert (site.environs[0]["PATH_INFO"], site.environs[0]["HTTP_X_NAME"]) == ("/\xe9", "caf\xe9")


def test_tls_keys(serve):
    env, _ = environ_of(serve, "GET", "/", tls=True)
    assert (env["HTTPS"], env["wsgi.url_scheme"]) == ("on", "https")
    assert env["SSL_PROTOCOL"] in ("TLSv1.2", "TLSv1.3") and env["SSL_CIPHER"]
    assert env["SSL_CLIENT_VERIFY"] == "NONE"


def test_client_certificates_are_told(serve, pairs):
    site = Site()
    with evy.listen(("127.0.0.1", 0)) as sock:
        files = {"keyfile": pairs / "private.key", "certfile": pairs / "cert.crt", "server_side": True}
        secure = evy.wrap_ssl(sock, **files, cert_reqs=ssl.CERT_OPTIONAL, ca_certs=pairs / "other.crt")
        with evy.wsgi.Server(secure, site, log_output=False) as server:
            context = client_context()
            context.load_cert_chain(str(pairs / "other.crt"), str(pairs / "other.key"))
            for tls in (client_context(), context):
                with Connection(server, tls=tls) as connection:
                    assert connection.get("/").status == 200
    nobody, somebody = site.environs
    assert nobody["SSL_CLIENT_VERIFY"] == "NONE" and "SSL_CLIENT_CERT" not in nobody
    assert (somebody["SSL_CLIENT_VERIFY"], somebody["SSL_CLIENT_S_DN"]) == ("SUCCESS", "CN=localhost")
    assert somebody["SSL_CLIENT_I_DN"] == "CN=localhost" and "SSL_CLIENT_I_DN" not in nobody
    assert somebody["SSL_CLIENT_CERT"].strip() == (pairs / "other.crt").read_text().strip()


def test_unix_sockets_have_names_and_no_ports(tmp_path):
    site, path = Site(), str(tmp_path / "evy.sock")
    with evy.listen(path, socket.AF_UNIX) as sock, evy.wsgi.Server(sock, site, log_output=False):
        with Connection(address=path, family=socket.AF_UNIX) as connection:
            connection.get("/")
    env = site.environs[0]
    assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("unix", "")
    assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == ("unix", "")


def test_proxies_are_believed_where_they_are_trusted(serve):
    fields = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"]
    for trusted in (["127.0.0.0/8", "10.0.0.1"], "127.0.0.1"):
        env, _ = environ_of(serve, "GET", "/", fields, trusted_proxies=trusted)
        assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"], env["HTTPS"]) == ("203.0.113.9", "https", "on")
    env, _ = environ_of(serve, "GET", "/", fields)
    assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"]) == ("127.0.0.1", "http")


def test_proxy_protocol(serve):
    site = Site()
    with Connection(serve(site, proxy_protocol=True)) as connection:
        connection.send(
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n" + raw_request("GET", "/")
        ).response()
    assert (site.environs[0]["REMOTE_ADDR"], site.environs[0]["REMOTE_PORT"]) == ("203.0.113.9", "4711")


def test_an_application_may_overwrite_everything(serve):
    seen = []

    def hook(env):
        seen.append((env["REQUEST_METHOD"], env["PATH_INFO"], env.get("CONTENT_LENGTH")))

    def site(env, start_response):
        env["evy.posthooks"].append((hook, (), {}))
        for key in list(env):
            if "." not in key:
                env[key] = "overwritten"
        env.pop("wsgi.input")
        if seen:
            env.clear()
            raise RuntimeError("and cleared")
        start_response("200 OK", [])
        return [b""]

    server = serve(site)
    with Connection(server) as connection:
        answer = connection.request("HEAD", "/")
        assert (answer.status, answer["Content-Length"]) == (200, None)
        wait_until(lambda: seen, "the hook")
        assert connection.get("/").status == 500
    assert seen == [("overwritten", "overwritten", None)]


def test_client_disconnected(serve):
    seen, is_in, is_gone = [], threading.Event(), threading.Event()

    def site(env, start_response):
        asks = env["evy.client_disconnected"]
        seen.extend([asks, asks()])
        is_in.set()
        wait_until(asks, "the client's end")
        is_gone.set()
        start_response("200 OK", [])
        return [b"x"]

    server = serve(site)
    connection = Connection(server).send(raw_request("GET", "/"))
    assert is_in.wait(10)
    connection.reset()
    assert is_gone.wait(10)
    server.log.access()
    wait_until(seen[0], "the end of the request, told by what was kept of it")
    assert seen[1] is False


def test_what_is_kept_of_a_request_is_harmless(serve):
    """In other threads, in hooks, and after the end."""
    kept, hooked = [], []

    def hook(env):
        hooked.append(env["evy.client_disconnected"]())
        with pytest.raises(evy.StateError):
            env["evy.take_socket"]()
        env["evy.set_idle"]()
        env["wsgi.early_hints"]([("Link", "</late>")])

    def site(env, start_response):
        write = start_response("200 OK", [])
        kept.append((env, start_response, write))
        env["evy.posthooks"].append((hook, (), {}))
        return [b"x"]

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").body == b"x"
        wait_until(lambda: hooked == [False], "the hook")
        server.log.access()
        env, start_response, write = kept[0]
        wait_until(env["evy.client_disconnected"], "the end of the request")
        with pytest.raises(evy.StateError):
            write(b"late")
        with pytest.raises((evy.StateError, AssertionError)):
            start_response("200 OK", [])
        with pytest.raises(evy.StateError):
            env["evy.take_socket"]()
        env["evy.set_idle"]()
        env["wsgi.early_hints"]([("Link", "</late>")])
        assert connection.get("/").body == b"x"


def test_writing_from_another_thread(serve):
    def site(env, start_response):
        write = start_response("200 OK", [])
        for number in range(8):
            thread = threading.Thread(target=write, args=(b"%d" % number * 1000,))
            thread.start()
            thread.join()
        return []

    with Connection(serve(site)) as connection:
        assert connection.get("/").body == b"".join(b"%d" % number * 1000 for number in range(8))


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython counts references")
def test_requests_leave_no_cycles_behind(serve):
    class Marker:
        pass

    markers = []

    def site(env, start_response):
        env["my.marker"] = marker = Marker()
        markers.append(weakref.ref(marker))
        env["evy.posthooks"].append((lambda env: None, (), {}))
        env["wsgi.input"].read()
        start_response("200 OK", [])
        return iter([b"x"]) if env["QUERY_STRING"] else [b"x"]

    server = serve(site)
    gc.disable()
    try:
        with Connection(server) as connection:
            for target in ("/", "/?generated"):
                connection.get(target)
                connection.request("POST", target, body=b"abc")
        server.log.access(4)
        wait_until(lambda: not any(marker() for marker in markers), "environs to be gone")
    finally:
        gc.enable()
