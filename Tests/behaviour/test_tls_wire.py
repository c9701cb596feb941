# SPDX-License-Identifier: MIT
# test_tls_wire - bytes that no TLS library sends: cut and huge hellos, wrong records, alerts of all kinds.

import struct

import pytest
from support import SANITIZED, Connection, wait_until
from tlsclient import (
    ALERT,
    DATA,
    HANDSHAKE,
    VERSION_12,
    VERSION_13,
    Client,
    alert_of,
    answer,
    extension,
    hello,
    opening,
    record,
    tcp,
)

FATAL = 2
UNEXPECTED_MESSAGE, BAD_RECORD_MAC, RECORD_OVERFLOW, DECODE_ERROR, PROTOCOL_VERSION = 10, 20, 22, 50, 70
# What OpenSSL 3.0 says to a record of TLS 1.2 that is shorter than its nonce and tag.
INTERNAL_ERROR = 80
TOO_SHORT = {UNEXPECTED_MESSAGE, BAD_RECORD_MAC, DECODE_ERROR, INTERNAL_ERROR}
NO_RECORD = {PROTOCOL_VERSION, UNEXPECTED_MESSAGE, RECORD_OVERFLOW, BAD_RECORD_MAC}
CHANGE_CIPHER_SPEC, HEARTBEAT = 20, 24
VERSIONS = pytest.mark.parametrize("version", [VERSION_12, VERSION_13], ids=["1.2", "1.3"])


def is_hello(found):
    return bool(found) and found[0][0] == HANDSHAKE and found[0][1][0] == 2


def quiet(server):
    """Nothing a peer sends before it is a client is worth more than a debug line."""
    return [text for text in server.logged(3) if "starting" not in text] == []


# ---- hellos


def test_a_hello_in_records_of_one_byte(shared_tls):
    message = hello()
    found = opening(shared_tls, b"".join(record(HANDSHAKE, message[i : i + 1]) for i in range(len(message))))
    assert is_hello(found)


def test_a_hello_byte_by_byte_in_packets_of_one_byte(shared_tls):
    with tcp(shared_tls) as raw:
        for byte in record(HANDSHAKE, hello()):
            raw.sendall(bytes([byte]))
        assert raw.recv(1) == b"\x16"


@pytest.mark.parametrize("size", [1_000, 16_000, 60_000])
def test_a_large_hello_is_answered(shared_tls, size):
    """Padding, RFC 7685: over several records where it has to be."""
    message = hello(extension(21, bytes(size)))
    pieces = [message[at : at + 16_384] for at in range(0, len(message), 16_384)]
    assert is_hello(opening(shared_tls, b"".join(record(HANDSHAKE, piece) for piece in pieces)))


@pytest.mark.parametrize("claimed", [0x20145, 0x100000, 0xFFFFFF])
def test_a_hello_that_claims_to_be_huge_is_refused_before_it_has_come(shared_tls, claimed):
    """OpenSSL takes up to 131,396 bytes."""
    level, number = alert_of(shared_tls, record(HANDSHAKE, b"\x01" + claimed.to_bytes(3, "big")))
    assert level == FATAL


def test_many_stalled_hellos_that_claim_the_most_cost_little(serve):
    """The memory for a message is taken as it is announced: 128 KiB at most, and given back at the end."""
    server = serve(tls=True)
    before = server.resident_bytes()
    claim = record(HANDSHAKE, b"\x01" + (0x1FFFF).to_bytes(3, "big") + bytes(100))
    clients = [tcp(server) for _ in range(50)]
    for raw in clients:
        raw.sendall(claim)
    with Connection(server) as connection:
        assert connection.alive()
    assert SANITIZED or server.resident_bytes() - before < 50 * 160 * 1024 + (8 << 20)
    for raw in clients:
        raw.close()
    server.settled(evy_connections_open=0, evy_tls_failures_total=50)


@pytest.mark.parametrize("place", range(0, 120, 3))
def test_a_hello_with_one_byte_broken_harms_nobody(shared_tls, place):
    message = bytearray(record(HANDSHAKE, hello()))
    message[place % len(message)] ^= 0xFF
    with tcp(shared_tls) as raw:
        try:
            raw.sendall(bytes(message))
            raw.shutdown(1)
            while raw.recv(65536):
                pass
        except OSError:  # reset, or shut already
            pass


# ---- records before the handshake is done

RECORDS = {
    "type 0": record(0, b"x"),
    "type 99": record(99, b"hello"),
    "data": record(DATA, b"GET / HTTP/1.1\r\n\r\n"),
    "heartbeat": record(HEARTBEAT, b"\x01\x40\0x"),
    "version 5.0": record(HANDSHAKE, hello(), version=0x0500),
    "version 0": record(HANDSHAKE, hello(), version=0),
    "empty handshake": record(HANDSHAKE, b"") * 2,
    "too long": struct.pack(">BHH", HANDSHAKE, 0x0301, 0xFFFF) + bytes(0xFFFF),
    "finished first": record(HANDSHAKE, b"\x14\0\0\x0c" + bytes(12)),
    "hello request": record(HANDSHAKE, b"\0\0\0\0"),
    "server hello": record(HANDSHAKE, b"\x02" + hello()[1:]),
    "key exchange first": record(HANDSHAKE, b"\x10\0\0\x01\0"),
    "key update first": record(HANDSHAKE, b"\x18\0\0\x01\x01"),
    "change cipher spec first": record(CHANGE_CIPHER_SPEC, b"\x01"),
    "change cipher spec of two bytes": record(CHANGE_CIPHER_SPEC, b"\x01\x01"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_wrong_first_record_ends_the_connection_quietly(shared_tls, name):
    with tcp(shared_tls) as raw:
        received = b""
        try:
            raw.sendall(RECORDS[name])
            raw.shutdown(1)
            while piece := raw.recv(65536):
                received += piece
        except OSError:
            pass
    assert received[:1] in (b"", bytes([ALERT])), received
    with Connection(shared_tls) as connection:
        assert connection.alive()
    assert quiet(shared_tls)


def test_change_cipher_spec_too_early_is_refused(shared_tls):
    """CVE-2014-0224: behind the hellos, before there are keys."""
    found, _ = answer(shared_tls, record(HANDSHAKE, hello()) + record(CHANGE_CIPHER_SPEC, b"\x01"))
    assert is_hello(found)
    assert (ALERT, bytes([FATAL, UNEXPECTED_MESSAGE])) in found


# ---- records behind it


@VERSIONS
@pytest.mark.parametrize(
    "data, alerts",
    [
        (record(DATA, bytes(60)), {BAD_RECORD_MAC}),
        (record(DATA, b"x"), TOO_SHORT),
        (record(DATA, b""), TOO_SHORT),
        (record(DATA, bytes(17_000)), {RECORD_OVERFLOW, BAD_RECORD_MAC}),
        (record(99, bytes(40)), {UNEXPECTED_MESSAGE, BAD_RECORD_MAC}),
        (record(HANDSHAKE, hello()), {UNEXPECTED_MESSAGE, BAD_RECORD_MAC}),
        (record(HEARTBEAT, b"\x01\x40\0x"), TOO_SHORT),
        (record(ALERT, b"\x02\x28"), TOO_SHORT),
        (record(CHANGE_CIPHER_SPEC, b"\x01"), TOO_SHORT),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NO_RECORD),
    ],
    ids=["forged", "short", "empty", "long", "type-99", "hello", "heartbeat", "alert", "ccs", "clear-text"],
)  # fmt: skip
def test_a_forged_record_ends_the_connection_with_an_alert(serve, version, data, alerts):
    server = serve(tls=True, idle_timeout="600s", header_timeout="600s")
    with Client(server, version) as client:
        client.handshake().send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 200
        client.socket.sendall(data)
        assert client.last_alert() in alerts
        server.settled(evy_connections_open=0)
    assert quiet(server)


# ---- alerts


@pytest.mark.parametrize("level", [1, 2, 0, 255])
def test_alerts_of_every_kind_in_place_of_a_hello_and_behind_it(serve, level):
    server = serve(tls=True, handshake_timeout="600s")
    first = record(HANDSHAKE, hello())
    for number in range(0, 256, 3):
        for data in (b"", first):
            with tcp(server) as raw:
                raw.sendall(data + record(ALERT, bytes([level, number])))
    with Connection(server) as connection:
        assert connection.alive()
    server.settled(evy_connections_open=0, evy_tls_handshakes_total=1, evy_tls_failures_total=172)
    assert quiet(server)


@pytest.mark.parametrize("data", [b"\x02", b"\x02\x28\x00", b""], ids=["short", "long", "empty"])
def test_an_alert_of_the_wrong_length_is_an_error(shared_tls, data):
    found, _ = answer(shared_tls, record(HANDSHAKE, hello()) + record(ALERT, data))
    assert is_hello(found)
    assert [payload for kind, payload in found if kind == ALERT]


def test_a_flood_of_warnings_ends_the_connection(shared_tls):
    """OpenSSL takes five in a row (CVE-2016-8610)."""
    found, _ = answer(shared_tls, record(HANDSHAKE, hello()) + record(ALERT, b"\x01\x5a") * 1000)
    assert is_hello(found)
    assert found[-1][0] == ALERT and found[-1][1][0] == FATAL


def test_the_debug_line_names_the_clients_alert(serve):
    server = serve(tls=True)
    with tcp(server) as raw:
        raw.sendall(record(HANDSHAKE, hello()) + record(ALERT, b"\x02\x30"))
        line = 'the client sent the TLS alert "unknown CA" (48)'
        wait_until(lambda: [text for text in server.logged(4) if line in text], "the line")
