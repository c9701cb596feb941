# SPDX-License-Identifier: MIT
# test_forwarded - what trusted peers say of a client in X-Forwarded-* and Forwarded, and what others say.

import json
import socket

import pytest
from support import Connection
from test_proxy import VERSION1, behind

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
    ],
)
def test_forwarded_as_in_rfc_7239(serve, value, client, port, scheme, host):
    server = serve(trusted_proxies="127.0.0.1, 10.0.0.0/8", forwarded_headers="forwarded")
    found = told(server, "Forwarded: " + value, *EVERY[:4])
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTP_HOST"]) == (client, scheme, host)
    assert port is None or found["REMOTE_PORT"] == port


@pytest.mark.parametrize(
    "lines",
    [
        ["for=192.0.2.1;for=192.0.2.2;proto=https"],
        ['"', "for=192.0.2.1;proto=https;host=a.example"],
        ['", for=192.0.2.1;proto=https;host=a.example'],
        ["x, for=192.0.2.1"],
        [",".join(["for=10.0.0.1"] * 65)],
    ],
)
def test_a_forwarded_that_cannot_be_read_is_refused(serve, lines):
    """A client's own words stand ahead of its proxy's: what it breaks must not make it pass for the proxy."""
    server = serve(trusted_proxies="127.0.0.1", forwarded_headers="forwarded")
    with Connection(server) as connection:
        answer = connection.get("/env", *("Forwarded: " + line for line in lines))
        assert (answer.status, answer.reason, answer.closes) == (400, "Malformed Forwarded", True)
    found = server.settled(evy_requests_active=0, evy_connections_open=0)
    assert found["evy_requests_total"] == found['evy_requests_refused_total{reason="malformed"}'] == 1
    assert not server.select("request")
    unbelieved = serve(trusted_proxies="192.0.2.0/24", forwarded_headers="forwarded")
    with Connection(unbelieved) as connection:
        assert connection.get("/env", *("Forwarded: " + line for line in lines)).status == 200


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
