# SPDX-License-Identifier: MIT
# test_proxy - servers behind proxies that speak the PROXY protocol.

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
    server = serve(proxy_protocol="require", header_timeout="2s")
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
