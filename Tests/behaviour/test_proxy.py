# SPDX-License-Identifier: MIT
# test_proxy - servers behind proxies: the PROXY protocol, trusted peers and their forwarded headers.

import json
import socket
import struct
import subprocess

import pytest
from support import Connection, client_context, raw_request, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
VERSION1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
ADDRESSES = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 56324, 443)
ENV = b"GET /env HTTP/1.1\r\nHost: test.example\r\n\r\n"


def version2(command=0x21, family=0x11, payload=ADDRESSES):
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(payload)) + payload


def behind(server, header, *fields, tls=False, port=None):
    """The environ of a request on a connection that begins with these bytes."""
    raw = socket.create_connection(("127.0.0.1", port or server.port), 10)
    with raw:
        raw.sendall(header)
        stream = client_context().wrap_socket(raw, server_hostname="x") if tls else raw
        stream.sendall(raw_request("GET", "/env", [*fields, "Connection: close"]))
        return whole(stream)


def whole(stream):
    answer = b""
    while piece := stream.recv(65536):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    return dict(json.loads(body)["block"])


def who(found):
    return tuple(found[key] for key in ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT"))


TOLD = ("192.0.2.1", "56324", "198.51.100.2", "443")
CLIENT6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
IPV6 = version2(0x21, 0x21, CLIENT6 + bytes(16) + bytes([0, 7, 0, 8]))


# ---- the PROXY protocol


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "header, told",
    [
        (VERSION1, TOLD),
        (version2(), TOLD),
        (version2(payload=ADDRESSES + bytes([4, 0, 3, 1, 2, 3])), TOLD),
        (b"PROXY TCP6 2001:db8::1 ::1 7 8\r\n", ("2001:db8::1", "7", "::1", "8")),
        (IPV6, ("2001:db8::1", "7", "::", "8")),
        (version2(0x21, 0x31, bytes(216)), ("unix", "", "unix", "")),
    ],
    ids=["v1", "v2", "v2-extensions", "v1-ipv6", "v2-ipv6", "v2-unix"],
)
def test_the_header_says_who_the_client_is(serve, tls, header, told):
    server = serve(tls=tls or None, proxy_protocol="require")
    found = behind(server, header, tls=tls)
    assert who(found) == told
    assert found["wsgi.url_scheme"] == ("https" if tls else "http")
    line = server.expect("access")
    assert line["line"].startswith(told[0] + " ")


@pytest.mark.parametrize(
    "header",
    [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x\r\n", version2(0x20, 0, b"xyz"), version2(0x21, 0, b"")],
)
def test_a_balancer_that_speaks_for_itself_keeps_its_address(serve, header):
    server = serve(proxy_protocol="require")
    found = behind(server, header)
    assert found["REMOTE_ADDR"] == "127.0.0.1" and found["SERVER_PORT"] == str(server.port)


@pytest.mark.parametrize("header", [VERSION1, version2(), IPV6], ids=["v1", "v2", "v2-ipv6"])
def test_the_header_may_come_in_any_pieces(serve, header):
    server = serve(proxy_protocol="require")
    for cut in range(1, len(header)):
        with Connection(server) as connection:
            connection.send(header[:cut])
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.send(header[cut:] + ENV)
            assert dict(connection.response().json()["block"])["REMOTE_ADDR"] in ("192.0.2.1", "2001:db8::1")
            assert connection.alive(), "it holds for the whole connection, and is not asked for again"
    with Connection(server) as connection:
        for byte in header + ENV:
            connection.send(bytes([byte]))
        assert dict(connection.response().json()["block"])["REMOTE_ADDR"] in ("192.0.2.1", "2001:db8::1")


def test_requests_right_behind_the_header_are_all_answered(serve):
    server = serve(proxy_protocol="require")
    with Connection(server) as connection:
        connection.send(version2() + 3 * raw_request("GET", "/hello"))
        assert [connection.response().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "header, reason",
    [
        (ENV, "no PROXY protocol header"),
        (b"\x16\x03\x01\x02\x00", "no PROXY protocol header"),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "no PROXY protocol header"),
        (b"PROXY TCP4 192.0.2.1\r\n" + ENV, "malformed PROXY protocol header"),
        (VERSION1.replace(b"\r\n", b"\n") + ENV, "malformed PROXY protocol header"),
        (b"PROXY UNKNOWN " + 200 * b"x", "PROXY protocol header too long"),
        (version2(payload=ADDRESSES[:11]), "malformed PROXY protocol header"),
        (version2(command=0x11), "unsupported PROXY protocol header"),
        (version2(family=0x12), "unsupported PROXY protocol header"),
        (SIGNATURE + b"\x21\x11\xff\xff", "PROXY protocol header too long"),
    ],
)
@pytest.mark.parametrize("tls", [None, True], ids=["plain", "tls"])
def test_a_connection_without_a_good_header_is_closed_with_one_line(serve, header, reason, tls):
    server = serve(tls=tls, proxy_protocol="require", log_level="info")
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.sendall(header)
        try:
            assert raw.recv(100) == b"", "not even an answer: nobody knows who would read it"
        except ConnectionResetError:
            pass
    wait_until(lambda: [t for t in server.logged() if reason in t], reason)
    assert [text for text in server.logged() if "PROXY" in text] == [f"127.0.0.1 closed: {reason}"]
    assert not server.select("request") and not server.select("access")
    assert who(behind(server, VERSION1, tls=bool(tls))) == TOLD


@pytest.mark.parametrize("begun", [b"", b"PROXY TC", version2()[:20]])
def test_the_header_has_the_time_of_a_request_head(serve, begun):
    server = serve(proxy_protocol="require", header_timeout="300ms", handshake_timeout="60s")
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.sendall(begun)
        raw.settimeout(10)
        try:
            assert raw.recv(100) == b""
        except ConnectionResetError:
            pass


def test_header_and_request_head_share_one_time(serve):
    server = serve(proxy_protocol="require", header_timeout="500ms")
    with Connection(server) as connection:
        connection.send(VERSION1 + b"GET / HTTP/1.1\r\n")
        assert connection.response().status == 408


def test_a_port_check_is_no_noise(serve):
    server = serve(proxy_protocol="require")
    socket.create_connection(("127.0.0.1", server.port), 10).close()
    assert who(behind(server, VERSION1)) == TOLD
    assert not [text for text in server.logged(4) if "PROXY" in text]


def test_each_listener_can_decide_for_itself(serve, tmp_path):
    path = tmp_path / "evy.sock"
    addresses = ["127.0.0.1:0?proxy=1", "127.0.0.1:0", f"unix:{path}?proxy=1"]
    server = serve(listen=addresses)
    assert server.addresses[2] == f"unix:{path}"
    assert who(behind(server, VERSION1)) == TOLD
    assert behind(server, b"", port=server.ports[1])["REMOTE_ADDR"] == "127.0.0.1"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        raw.sendall(version2() + raw_request("GET", "/env", ["Connection: close"]))
        assert who(whole(raw)) == TOLD
    other = serve(listen=["127.0.0.1:0", "127.0.0.1:0?proxy=0"], proxy_protocol="require")
    assert who(behind(other, VERSION1)) == TOLD
    assert behind(other, b"", port=other.ports[1])["REMOTE_ADDR"] == "127.0.0.1"


def test_curl_as_the_balancer(serve):
    server = serve(proxy_protocol="require")
    done = subprocess.run(
        ["curl", "-s", "--haproxy-protocol", f"http://127.0.0.1:{server.port}/hello"], capture_output=True
    )
    if done.returncode == 2:
        pytest.skip("this curl does not speak the PROXY protocol")
    assert done.stdout == b"Hello, World!\r\n"


def test_a_drain_does_not_wait_for_headers(serve):
    server = serve(proxy_protocol="require")
    with Connection(server), Connection(server) as begun:
        begun.send(VERSION1 + raw_request("GET", "/hello"))
        assert begun.response().status == 200
        server.command("stop", 0, 60_000)
        assert server.command("wait", 0, 5000) == "EVY_OK"


# ---- trusted peers

FOR = "X-Forwarded-For: "


def told(server, *fields, **kinds):
    with Connection(server, **kinds) as connection:
        return dict(connection.get("/env", *fields).json()["block"])


ALL = "x-forwarded-for, x-forwarded-proto, X-Forwarded-Host x-forwarded-port"
EVERY = [
    FOR + "192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: www.example.org:8443",
    "X-Forwarded-Port: 9443",
    "Forwarded: for=192.0.2.1;proto=https;host=www.example.org",
]
TOUCHED = ["REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTPS"]
TOUCHED += ["SERVER_NAME", "SERVER_PORT", "HTTP_HOST"]


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8, ::1, unix", "127.0.0.2"])
@pytest.mark.parametrize("headers", [ALL, "forwarded"])
def test_the_headers_of_a_stranger_change_nothing(serve, trusted, headers):
    server = serve(trusted_proxies=trusted, forwarded_headers=headers)
    found, plain = told(server, *EVERY), told(server)
    different = [key for key in TOUCHED if found.get(key) != plain.get(key) and key != "REMOTE_PORT"]
    assert not different and found["REMOTE_PORT"].isdigit()
    assert found["HTTP_X_FORWARDED_FOR"] == "192.0.2.1", "what it sent is there to be read all the same"
    lines = [line["line"] for line in server.expect("access", 2)]
    assert all(line.startswith("127.0.0.1 ") for line in lines)


@pytest.mark.parametrize("trusted", ["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8 127.0.0.1,::1", "*"])
def test_the_headers_of_a_trusted_peer_count(serve, trusted):
    server = serve(trusted_proxies=trusted, forwarded_headers=ALL)
    found = told(server, *EVERY)
    assert {key: found.get(key) for key in TOUCHED} == {
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "",
        "wsgi.url_scheme": "https",
        "HTTPS": "on",
        "SERVER_NAME": "www.example.org",
        "SERVER_PORT": "8443",
        "HTTP_HOST": "www.example.org:8443",
    }
    assert server.expect("access")["line"].startswith("192.0.2.1 ")
    assert told(server)["REMOTE_ADDR"] == "127.0.0.1", "and one without them is as it was"


@pytest.mark.parametrize(
    "fields, client, port",
    [
        ([FOR + "203.0.113.9, 192.0.2.1"], "192.0.2.1", ""),
        ([FOR + "203.0.113.9, 192.0.2.1, 10.1.2.3"], "192.0.2.1", ""),
        ([FOR + "203.0.113.9", FOR + "192.0.2.1", FOR + "10.1.2.3"], "192.0.2.1", ""),
        ([FOR + "10.0.0.1, 10.0.0.2"], "10.0.0.1", ""),
        ([FOR + "192.0.2.1:4711"], "192.0.2.1", "4711"),
        ([FOR + "[2001:DB8::1]:4711"], "2001:db8::1", "4711"),
        ([FOR + "2001:db8:0::1"], "2001:db8::1", ""),
        ([FOR + "192.0.2.1, unknown, 10.0.0.1"], "10.0.0.1", ""),
        ([FOR + "192.0.2.1, <script>"], "127.0.0.1", None),
        ([FOR], "127.0.0.1", None),
        (["X_Forwarded_For: 203.0.113.9"], "127.0.0.1", None),
        ([FOR + "192.0.2.1", "X_Forwarded_For: 203.0.113.9"], "192.0.2.1", ""),
    ],
)
def test_the_client_is_the_first_untrusted_address_from_the_right(serve, fields, client, port):
    server = serve(trusted_proxies="127.0.0.1 10.0.0.0/8", underscore_headers="allow")
    found = told(server, *fields)
    assert found["REMOTE_ADDR"] == client
    assert found["REMOTE_PORT"] == port if port is not None else found["REMOTE_PORT"].isdigit()
    assert found["SERVER_PORT"] == str(server.port) and found["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize(
    "fields, scheme, port",
    [
        (["X-Forwarded-Proto: https"], "https", "443"),
        (["X-Forwarded-Proto: HTTP"], "http", "80"),
        (["X-Forwarded-Proto: ftp"], "http", None),
        (["X-Forwarded-Proto: https, http"], "http", "80"),
        ([FOR + "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto: https, http"], "https", "443"),
        ([FOR + "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto: https"], "https", "443"),
    ],
)
def test_the_scheme_is_what_the_first_trusted_proxy_says(serve, fields, scheme, port):
    server = serve(trusted_proxies="127.0.0.1")
    found = told(server, *fields)
    assert (found["wsgi.url_scheme"], found.get("HTTPS")) == (scheme, "on" if scheme == "https" else None)
    assert found["SERVER_PORT"] == port or str(server.port)


def test_a_proxy_may_say_that_its_own_tls_is_not_the_clients(serve):
    found = told(serve(tls=True, trusted_proxies="*"), "X-Forwarded-Proto: http")
    assert found["wsgi.url_scheme"] == "http" and "HTTPS" not in found and found["SERVER_PORT"] == "80"


@pytest.mark.parametrize(
    "fields, host, name, port",
    [
        (["X-Forwarded-Host: a.example"], "a.example", "a.example", "80"),
        (["X-Forwarded-Host: a.example", "X-Forwarded-Proto: https"], "a.example", "a.example", "443"),
        (["X-Forwarded-Host: a.example:81", "X-Forwarded-Port: 82"], "a.example:81", "a.example", "81"),
        (["X-Forwarded-Host: a.example", "X-Forwarded-Port: 82"], "a.example:82", "a.example", "82"),
        (["X-Forwarded-Host: a.example:", "X-Forwarded-Port: 82"], "a.example:82", "a.example", "82"),
        (["X-Forwarded-Host: a.example:0", "X-Forwarded-Port: 82"], "a.example:82", "a.example", "82"),
        (["X-Forwarded-Host: [::1]:", "X-Forwarded-Port: 82"], "[::1]:82", "[::1]", "82"),
        (["X-Forwarded-Host: a.example", "X-Forwarded-Port: 80"], "a.example", "a.example", "80"),
        (["X-Forwarded-Host: [::1]:99"], "[::1]:99", "[::1]", "99"),
        (["X-Forwarded-Host: [2001:db8::5]"], "[2001:db8::5]", "[2001:db8::5]", "80"),
        (["X-Forwarded-Host: evil, a.example"], "a.example", "a.example", "80"),
        (["X-Forwarded-Host: a b"], "test.example", None, None),
        (["X-Forwarded-Host: user@a.example"], "test.example", None, None),
        (["X-Forwarded-Port: 8443"], "test.example", None, "8443"),
        (["X-Forwarded-Port: 99999"], "test.example", None, None),
    ],
)
def test_host_and_port_of_a_trusted_proxy(serve, fields, host, name, port):
    server = serve(trusted_proxies="127.0.0.1", forwarded_headers=ALL)
    found = told(server, *fields)
    assert found["HTTP_HOST"] == host
    assert found["SERVER_NAME"] == (name or "127.0.0.1")
    assert found["SERVER_PORT"] == (port or str(server.port))


def test_host_is_given_to_a_request_that_named_none(serve):
    server = serve(trusted_proxies="127.0.0.1", forwarded_headers="x-forwarded-host")
    with Connection(server) as connection:
        connection.send(b"GET /env HTTP/1.0\r\nX-Forwarded-Host: a.example\r\n\r\n")
        dump = connection.response().json()
    assert dict(dump["block"])["HTTP_HOST"] == "a.example" and dump["at"] == dump["block"]


def test_only_the_named_headers_count(serve):
    found = told(serve(trusted_proxies="*"), *EVERY)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("192.0.2.1", "https")
    assert found["HTTP_HOST"] == "test.example", "a client's own X-Forwarded-Host passes many a proxy"
    found = told(serve(trusted_proxies="*", forwarded_headers="x-forwarded-proto"), *EVERY)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("127.0.0.1", "https")


@pytest.mark.parametrize(
    "value, client, port, scheme, host",
    [
        ('for=192.0.2.1;proto=https;host="a.example:81"', "192.0.2.1", "", "https", "a.example:81"),
        ('For="[2001:db8::1]:4711"', "2001:db8::1", "4711", "http", "test.example"),
        ("for=203.0.113.9;proto=https, for=192.0.2.1;proto=http", "192.0.2.1", "", "http", "test.example"),
        ("for=192.0.2.1;proto=https, for=10.0.0.1;proto=http", "192.0.2.1", "", "https", "test.example"),
        ("for=unknown;proto=https", "127.0.0.1", None, "https", "test.example"),
        ("for=192.0.2.1;for=192.0.2.2;proto=https", "127.0.0.1", None, "http", "test.example"),
        ('for="192.0.2.1;proto=https', "127.0.0.1", None, "http", "test.example"),
    ],
)
def test_forwarded_as_in_rfc_7239(serve, value, client, port, scheme, host):
    server = serve(trusted_proxies="127.0.0.1, 10.0.0.0/8", forwarded_headers="forwarded")
    found = told(server, "Forwarded: " + value, *EVERY[:4])
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTP_HOST"]) == (client, scheme, host)
    assert port is None or found["REMOTE_PORT"] == port


def test_a_unix_peer_can_be_trusted(serve, tmp_path):
    path = str(tmp_path / "evy.sock")
    trusting = serve(listen=[f"unix:{path}"], trusted_proxies="unix")
    found = told(trusting, *EVERY[:2], address=path, family=socket.AF_UNIX)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("192.0.2.1", "https")


def test_a_proxy_behind_a_balancer_is_trusted_by_the_address_in_the_header(serve):
    server = serve(proxy_protocol="require", trusted_proxies="192.0.2.1")
    assert behind(server, VERSION1, FOR + "203.0.113.7")["REMOTE_ADDR"] == "203.0.113.7"
    server = serve(proxy_protocol="require", trusted_proxies="127.0.0.1")
    assert behind(server, VERSION1, FOR + "203.0.113.7")["REMOTE_ADDR"] == "192.0.2.1"


def test_the_ancestors_log_shows_the_peer_behind_the_header(serve):
    server = serve(trusted_proxies="*", log_x_forwarded_for="true")
    told(server, FOR + "192.0.2.1")
    assert server.expect("access")["line"].startswith("192.0.2.1,127.0.0.1 ")
    server = serve(trusted_proxies="10.0.0.0/8", log_x_forwarded_for="true")
    told(server, FOR + "192.0.2.1")
    assert server.expect("access")["line"].startswith("127.0.0.1 "), "not a stranger's"


@pytest.mark.parametrize(
    "option, value, text",
    [
        ("trusted_proxies", "10.0.0.0/8, localhost", '"localhost" is not an address'),
        ("trusted_proxies", "10.0.0.0/33", '"10.0.0.0/33" is not an address'),
        ("forwarded_headers", "x-real-ip", '"x-real-ip" is not one of x-forwarded-for'),
        ("forwarded_headers", "forwarded x-forwarded-for", "exclude each other"),
        ("proxy_protocol", "maybe", '"maybe" is not one of off, require'),
    ],
)
def test_a_wrong_value_is_named(serve, option, value, text):
    with pytest.raises(RuntimeError) as failure:
        serve(**{option: value})
    assert "EVY_E_VALUE" in str(failure.value) and f"option {option}" in str(failure.value)
    assert text in str(failure.value)
