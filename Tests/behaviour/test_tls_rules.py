# SPDX-License-Identifier: MIT
# test_tls_rules - what a hello may ask for and gets: versions, ciphers, groups, names, protocols, resumption.

import ssl
import struct
import subprocess

import pytest
from certificates import Authority
from support import Connection, client_context, raw_request, wait_until
from tlsclient import (
    DATA,
    HANDSHAKE,
    VERSION_12,
    VERSION_13,
    Client,
    Failure,
    alert_of,
    answer,
    extension,
    hello,
    libssl,
    opening,
    protocols,
    record,
    server_name,
    vector,
)

FATAL = 2
HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, PROTOCOL_VERSION = 40, 47, 50, 70
INAPPROPRIATE_FALLBACK, UNRECOGNIZED_NAME, NO_APPLICATION_PROTOCOL = 86, 112, 120


def refusal(server, *extensions, **choices):
    return alert_of(server, record(HANDSHAKE, hello(*extensions, **choices)))


def server_hello(server, *extensions, **choices):
    """(random, cipher, compression, extensions) of the ServerHello."""
    found = opening(server, record(HANDSHAKE, hello(*extensions, **choices)))
    kind, message = found[0]
    assert kind == HANDSHAKE and message[0] == 2, found
    rest = message[4 + 2 + 32 :]
    rest = rest[1 + rest[0] :]
    places, at = {}, 5
    while at < 5 + int.from_bytes(rest[3:5], "big"):
        number, length = struct.unpack_from(">HH", rest, at)
        places[number] = rest[at + 4 : at + 4 + length]
        at += 4 + length
    return message[6:38], int.from_bytes(rest[:2], "big"), rest[2], places


def test_a_hello_made_by_hand_is_answered(shared_tls):
    random, cipher, compression, extensions = server_hello(shared_tls, extension(0xFF01, b"\0"))
    assert (cipher, compression) == (0xC02B, 0)
    assert random[24:] == b"DOWNGRD\x01", "RFC 8446 4.1.3: we speak 1.3"
    assert extensions[0xFF01] == b"\0", "RFC 5746: secure renegotiation is indicated"


def test_the_signal_cipher_of_rfc_5746_is_an_indication_too(shared_tls):
    assert server_hello(shared_tls, ciphers=(0xC02B, 0x00FF))[3][0xFF01] == b"\0"


# ---- versions


@pytest.mark.parametrize("version", [0x0301, 0x0302])
def test_older_versions_get_the_alert_protocol_version(shared_tls, version):
    assert refusal(shared_tls, version=version) == (FATAL, PROTOCOL_VERSION)


@pytest.mark.parametrize("version", [0x0300, 0x0002, 0x0200, 0x0000])
def test_still_older_ones_are_refused(shared_tls, version):
    level, alert = refusal(shared_tls, version=version)
    assert level == FATAL and alert in (PROTOCOL_VERSION, HANDSHAKE_FAILURE)


def test_a_hello_of_ssl_2_is_refused(shared_tls):
    body = bytes.fromhex("01 0002 0003 0000 0010 010080") + bytes(16)
    found, _ = answer(shared_tls, (0x8000 | len(body)).to_bytes(2, "big") + body)
    assert not [payload for kind, payload in found if kind == HANDSHAKE]


def test_a_client_of_a_version_to_come_is_answered_in_ours(shared_tls):
    assert server_hello(shared_tls, version=0x0399)[1] == 0xC02B


def test_a_fallback_nobody_needed_is_refused(shared_tls):
    """RFC 7507: the client says that it tried again with less, but we speak more."""
    assert refusal(shared_tls, ciphers=(0xC02B, 0x5600)) == (FATAL, INAPPROPRIATE_FALLBACK)


# ---- ciphers, groups, compression

WEAK = {
    "NULL": [0x0001, 0x0002, 0x003B, 0xC006, 0xC010],
    "anonymous": [0x0018, 0x0034, 0x006C, 0x00A6, 0xC015, 0xC018],
    "export": [0x0003, 0x0006, 0x0008, 0x0014, 0x0062],
    "DES, 3DES, IDEA, RC4, SEED": [0x0004, 0x0005, 0x0007, 0x0009, 0x000A, 0x0096, 0xC008, 0xC012, 0xC007],
    "CBC": [0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028],
    "RSA key transport": [0x002F, 0x0035, 0x003C, 0x009C, 0x009D],
    "finite fields": [0x0033, 0x0039, 0x0067, 0x009E, 0x009F, 0xCCAA],
    "PSK and SRP": [0x008C, 0x00A8, 0xC01D, 0xCCAB],
    "CCM": [0xC0AC, 0xC0AE, 0xC09C],
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_and_outdated_ciphers_are_refused(shared_tls, name):
    assert refusal(shared_tls, ciphers=WEAK[name]) == (FATAL, HANDSHAKE_FAILURE)


@pytest.mark.parametrize(
    "offered, taken",
    [([0xC02B, 0xC02C], 0xC02C), ([0xC02B, 0xCCA9], 0xC02B), ([0xCCA9, 0xC02C], 0xCCA9)],
    ids=["ours before theirs", "AES before ChaCha20", "ChaCha20 for whom it is the first"],
)
def test_the_order_of_ciphers_is_the_servers(shared_tls, offered, taken):
    assert server_hello(shared_tls, ciphers=offered)[1] == taken


@pytest.mark.parametrize("names, accepted", [
    ("X25519", True), ("P-256", True), ("P-384", True), ("ffdhe8192:X25519", True),
    ("ffdhe2048", False), ("ffdhe8192", False), ("P-521", False), ("X448", False),
])  # fmt: skip
def test_only_groups_that_are_cheap_for_the_server(shared_tls, names, accepted):
    """A handshake over a field of 8192 bits would cost it 139 ms, all clients wait meanwhile."""
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{shared_tls.port}", "-tls1_3", "-groups", names],
        input=b"", capture_output=True, timeout=20,
    )  # fmt: skip
    assert (b"New, TLSv1.3" in run.stdout) == accepted, run.stdout + run.stderr


def test_groups_can_still_be_chosen(serve):
    server = serve(tls=True, tls_set=[("groups", "P-521:ffdhe2048")])
    for name in ("P-521", "ffdhe2048"):
        run = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-groups", name],
            input=b"", capture_output=True, timeout=20,
        )  # fmt: skip
        assert b"New, TLSv1.3" in run.stdout


def test_compression_is_never_chosen(shared_tls):
    assert server_hello(shared_tls, compression=b"\x01\x40\0")[2] == 0
    level, alert = refusal(shared_tls, compression=b"\x01")
    assert level == FATAL and alert in (ILLEGAL_PARAMETER, DECODE_ERROR), "null has to be on offer"


# ---- SNI, RFC 6066


@pytest.mark.parametrize(
    "name",
    [
        server_name(b""),
        server_name(b"a\0b.test"),
        server_name(b"a" * 256),
        server_name(b"a.test") * 2,
        server_name(b"a.test", kind=1),
        extension(0, vector(b"")),
        extension(0, b"\0"),
        extension(0, vector(b"\0\0\x08a.test")),
        extension(0, vector(b"\0\0\x01a") + b"x"),
    ],
    ids=["empty", "NUL", "long", "twice", "not-a-host", "no-entry", "cut", "overlong", "trailing"],
)
def test_a_malformed_server_name_is_fatal(shared_tls, name):
    level, alert = refusal(shared_tls, name)
    assert level == FATAL and alert in (ILLEGAL_PARAMETER, DECODE_ERROR, UNRECOGNIZED_NAME)


@pytest.mark.parametrize(
    "name", [b"unknown.test", b"127.0.0.1", b"[::1]", b"..", b"\xff\xfe", b"*", b"a" * 255], ids=repr
)
def test_a_name_we_do_not_know_gets_the_default_certificate(shared_tls, name):
    assert server_hello(shared_tls, server_name(name))[3].get(0) in (b"", None)


def test_a_session_of_12_is_not_resumed_under_another_name(serve, tmp_path):
    root = Authority(tmp_path)
    server = serve("--cert", "-", *root.issue("b.test", "b.test"), tls=root.issue("a.test", "a.test"))
    context = client_context(minimum_version=ssl.TLSVersion.TLSv1_2, maximum_version=ssl.TLSVersion.TLSv1_2)
    with Connection(server, tls=context, name="a.test") as connection:
        assert connection.alive()
        session = connection.socket.session
    for name, reused in (("a.test", True), ("b.test", False)):
        with Connection(server, tls=context, name=name, session=session) as connection:
            assert connection.alive()
            assert connection.socket.session_reused == reused


# ---- ALPN, RFC 7301


@pytest.mark.parametrize(
    "offered", [[b"h2"], [b"h2", b"http/0.9"], [b"HTTP/1.1"], [b"http/1.1 "], [b"x" * 255]]
)
def test_no_protocol_in_common_is_alert_120(serve, offered):
    server = serve(tls=True)
    assert refusal(server, protocols(*offered)) == (FATAL, NO_APPLICATION_PROTOCOL)
    wait_until(lambda: [t for t in server.logged(4) if "ALPN list has no HTTP/1" in t], "the debug line")
    server.settled(evy_tls_failures_total=1)


def test_one_in_common_is_named_and_none_offered_is_none_named(shared_tls):
    extensions = server_hello(shared_tls, protocols(b"h2", b"http/1.0", b"http/1.1"))[3]
    assert extensions[16] == vector(vector(b"http/1.1", 1))
    assert 16 not in server_hello(shared_tls)[3]


@pytest.mark.parametrize(
    "data",
    [b"", vector(b""), vector(b"\0"), vector(b"\x09http/1.1"), vector(b"\x08http/1.1") + b"x"],
    ids=["nothing", "no-name", "empty-name", "overlong", "trailing"],
)
def test_a_malformed_protocol_list_is_fatal(shared_tls, data):
    level, alert = refusal(shared_tls, extension(16, data))
    assert level == FATAL and alert in (DECODE_ERROR, ILLEGAL_PARAMETER)


# ---- early data, heartbeats


def test_early_data_is_neither_offered_nor_taken(serve):
    server = serve(tls=True)
    request = raw_request("GET", "/hello?early")
    with Client(server, VERSION_13) as client:
        client.handshake().send(raw_request("GET", "/hello?first"))
        assert client.response().status == 200
        session = client.say_goodbye().session()  # without a goodbye libssl holds it for a bad one
    assert libssl.SSL_SESSION_get_max_early_data(session) == 0
    assert libssl.SSL_SESSION_set_max_early_data(session, 4096) == 1
    with Client(server, VERSION_13, session=session) as client:
        size = libssl.SSL_write_early_data.argtypes[3]._type_()
        assert libssl.SSL_write_early_data(client.ssl, request, len(request), size) == 1
        client.flush().handshake()
        assert libssl.SSL_session_reused(client.ssl) == 1
        assert libssl.SSL_get_early_data_status(client.ssl) == 1, "SSL_EARLY_DATA_REJECTED"
        client.send(raw_request("GET", "/hello?late"))
        assert client.response().status == 200
    assert [e["query"] for e in server.expect("access", 2)] == ["first", "late"]


def test_no_heartbeat_is_offered_or_answered(shared_tls):
    """Heartbleed: a beat that claims more than it has, before the handshake and behind it."""
    beat = record(24, b"\x01\x40\x00" + b"x")
    assert 15 not in server_hello(shared_tls, extension(15, b"\x01"))[3]
    found, _ = answer(shared_tls, record(HANDSHAKE, hello(extension(15, b"\x01"))) + beat)
    assert 24 not in [kind for kind, _ in found]
    with Client(shared_tls, VERSION_12) as client:
        client.handshake().flush(beat)
        with pytest.raises(Failure) as failure:
            client.receive()
        assert failure.value.alert is not None
    assert DATA not in [kind for kind, _ in found]
