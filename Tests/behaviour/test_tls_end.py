# SPDX-License-Identifier: MIT
# test_tls_end - how TLS connections end, and how their keys change while they last.

import zlib

import pytest
from support import chunks, pattern, raw_request
from tlsclient import DATA, VERSION_12, VERSION_13, Client, Failure, libssl, record

VERSIONS = pytest.mark.parametrize("version", [VERSION_12, VERSION_13], ids=["1.2", "1.3"])
GET = raw_request("GET", "/hello")


# ---- close_notify and the end of the stream


@VERSIONS
@pytest.mark.parametrize("ending", ["close-notify", "fin", "close-notify and fin"])
def test_a_request_and_the_clients_end_in_one_segment(shared_tls, version, ending):
    """The goodbye arrives with the request, in one read: the answer, our close_notify and the end follow."""
    with Client(shared_tls, version) as client:
        client.handshake().write(GET)
        if "close-notify" in ending:
            client.say_goodbye()
        client.flush()
        if "fin" in ending:
            client.socket.shutdown(1)
        assert client.response().status == 200
        assert client.is_ended()


@VERSIONS
def test_pipelined_requests_ahead_of_a_goodbye_are_all_answered(shared_tls, version):
    with Client(shared_tls, version) as client:
        client.handshake().write(GET + raw_request("GET", "/chunked?n=200000") + GET).say_goodbye().flush()
        assert [len(client.response().body) for _ in range(3)] == [15, 200000, 15]
        assert client.is_ended()


@VERSIONS
def test_a_goodbye_on_an_idle_connection_is_returned(shared_tls, version):
    with Client(shared_tls, version) as client:
        client.handshake().send(GET)
        assert client.response().status == 200
        client.say_goodbye().flush()
        assert client.is_ended()


@VERSIONS
def test_what_follows_a_goodbye_is_ignored(serve, version):
    """RFC 8446 6.1: data received after a closure alert MUST be ignored."""
    server = serve(tls=True)
    with Client(server, version) as client:
        client.handshake().write(GET).say_goodbye()
        client.forget_goodbye()
        client.write(raw_request("GET", "/hello?behind")).flush()
        assert client.response().status == 200
        assert client.is_ended()
        server.settled(evy_connections_open=0)
    assert [e["query"] for e in server.select("access")] == [""]


@VERSIONS
@pytest.mark.parametrize("ending", ["close-notify", "fin", "garbage"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_cut_is_told_as_such(serve, version, ending, framing):
    """Whether said or not, the end in mid-body is no end of the body; it is known at once."""
    server = serve(tls=True, body="stream", body_timeout="600s", idle_timeout="600s")
    fields = ["Content-Length: 10000"] if framing == "length" else ["Transfer-Encoding: chunked"]
    part = pattern(3000) if framing == "length" else chunks(pattern(3000), last=b"")
    with Client(server, version) as client:
        client.handshake().write(raw_request("POST", "/pull?answer=count", fields) + part)
        if ending == "close-notify":
            client.say_goodbye()
        client.flush(record(DATA, bytes(40)) if ending == "garbage" else b"")
        if ending == "fin":
            client.socket.shutdown(1)
        assert server.call("body-error") == "EVY_E_GONE"
        hook = server.expect("hook", name="figures")
        assert hook["stats"]["body_in"] == 3000 and hook["end"] != "complete"


@VERSIONS
@pytest.mark.parametrize("ending", ["close-notify", "fin", "garbage"])
def test_half_a_buffered_body_never_reaches_the_handler(serve, version, ending):
    server = serve(tls=True, body_timeout="600s", idle_timeout="600s")
    with Client(server, version) as client:
        client.handshake().write(raw_request("POST", "/buffered", ["Content-Length: 10"]) + b"12345")
        if ending == "close-notify":
            client.say_goodbye()
        client.flush(record(DATA, bytes(40)) if ending == "garbage" else b"")
        if ending == "fin":
            client.socket.shutdown(1)
        server.settled(evy_connections_open=0, evy_connections_total=1)
    assert not server.select("request")


@VERSIONS
def test_an_end_behind_half_a_head_is_seen_at_once(serve, version):
    server = serve(tls=True, header_timeout="600s", idle_timeout="600s")
    for number, ending in enumerate(("close-notify", "fin", "garbage"), 1):
        with Client(server, version) as client:
            client.handshake().write(b"GET /hello HTT")
            if ending == "close-notify":
                client.say_goodbye()
            client.flush(record(DATA, bytes(40)) if ending == "garbage" else b"")
            if ending == "fin":
                client.socket.shutdown(1)
            server.settled(evy_connections_open=0, evy_connections_total=number)


@VERSIONS
@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (raw_request("GET", "/hello", ["Connection: close"]), 200),
        (raw_request("GET", "/hello", version="1.0"), 200),
        (b"GET /hello HTTP/1.1\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000, 431),
        (raw_request("POST", "/hello", ["Content-Length: 99999999999"]) + b"x" * 9000, 413),
    ],
    ids=["close", "1.0", "bad", "long", "large"],
)  # fmt: skip
def test_every_orderly_end_is_told_by_close_notify(shared_tls, version, request_bytes, status):
    with Client(shared_tls, version) as client:
        client.handshake().send(request_bytes)
        assert client.response().status == status
        assert client.is_ended()


@VERSIONS
def test_an_answer_that_is_cut_ends_without_close_notify(shared_tls, version):
    with Client(shared_tls, version) as client:
        client.handshake().send(raw_request("GET", "/abort?n=1000"))
        assert client.last_alert() is None


# ---- keys


def count(body):
    return b"%d %d" % (len(body), zlib.adler32(body))


@pytest.mark.parametrize("request_ours", [True, False], ids=["asking", "not asking"])
def test_keys_change_ahead_of_behind_and_inside_requests(shared_tls, request_ours):
    with Client(shared_tls, VERSION_13) as client:
        client.handshake()
        for turn in range(40):
            client.update_keys(request_ours).write(GET[:turn]).update_keys(request_ours)
            client.write(GET[turn:]).update_keys(request_ours).flush()
            assert client.response().status == 200


def test_thousands_of_key_updates_in_one_burst(shared_tls):
    """A client that asks 3000 times for new keys is owed one answer, not 3000."""
    with Client(shared_tls, VERSION_13) as client:
        client.handshake()
        for _ in range(3000):
            client.update_keys()
        client.send(GET)
        assert client.response().status == 200
        with Client(shared_tls, VERSION_13) as other:
            other.handshake().send(GET)
            assert other.response().status == 200


@pytest.mark.parametrize("target", ["/chunked?n=3000000", "/fixed?n=3000000"])
def test_keys_change_while_a_large_answer_is_under_way(shared_tls, target):
    """The client asks for new keys after each piece; the server sees it between two records of its own."""
    with Client(shared_tls, VERSION_13) as client:
        client.handshake().send(raw_request("GET", target) + GET)
        take = client.reader.fill

        def fill():
            piece = take()
            client.update_keys().flush()
            return piece

        client.reader.fill = fill
        assert client.response().body == pattern(3000000)
        assert client.response().status == 200


def test_keys_change_inside_a_large_body(serve):
    server = serve(tls=True, body="stream")
    body = pattern(1_000_000)
    with Client(server, VERSION_13) as client:
        fields = [f"Content-Length: {len(body)}"]
        client.handshake().send(raw_request("POST", "/pull?answer=count", fields))
        for at in range(0, len(body), 10_000):
            client.write(body[at : at + 10_000]).update_keys(at % 20_000 == 0).flush()
        assert client.response().body == count(body)


def test_renegotiation_is_refused_and_the_connection_goes_on_without(serve):
    server = serve(tls=True)
    with Client(server, VERSION_12) as client:
        client.handshake().send(GET)
        assert client.response().status == 200
        assert libssl.SSL_renegotiate(client.ssl) == 1
        with pytest.raises(Failure) as failure:
            client.handshake()
        assert failure.value.reason == 339, "SSL_R_NO_RENEGOTIATION"
    assert server.counters()["evy_tls_handshakes_total"] == 1
