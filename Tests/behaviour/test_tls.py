# SPDX-License-Identifier: MIT
# test_tls - HTTPS: versions, ciphers, ALPN, tickets, close_notify, wrong peers, and clients that vanish.

import socket
import ssl
import subprocess
import warnings

import pytest
from support import Connection, client_context, pattern, raw_request, wait_until

warnings.filterwarnings("ignore", category=DeprecationWarning)


def only(version):
    context = client_context()
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    "version, name", [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_12_and_13_are_spoken(serve, version, name):
    with Connection(serve(tls=True), tls=only(version)) as connection:
        assert connection.socket.version() == name
        assert connection.alive() and connection.alive()


def test_11_is_refused(serve):
    server = serve(tls=True)
    context = client_context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Connection(server, tls=context)
    with Connection(server) as connection:
        assert connection.alive()


@pytest.mark.parametrize("option, accepted", [("-tls1_2", True), ("-tls1_3", True), ("-tls1_1", False)])
def test_openssl_s_client_agrees(serve, option, accepted):
    server = serve(tls=True)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet", option]
    command += ["-cipher", "DEFAULT@SECLEVEL=0"] if option == "-tls1_1" else []
    run = subprocess.run(
        command, input=raw_request("GET", "/hello", ["Connection: close"]), capture_output=True, timeout=20
    )
    assert (b"Hello, World!" in run.stdout) == accepted


@pytest.mark.parametrize(
    "key, value, client, accepted",
    [
        ("min_version", "1.3", ssl.TLSVersion.TLSv1_2, False),
        ("min_version", "1.3", ssl.TLSVersion.TLSv1_3, True),
        ("max_version", "1.2", ssl.TLSVersion.TLSv1_3, False),
        ("max_version", "1.2", ssl.TLSVersion.TLSv1_2, True),
    ],
)
def test_version_policy(serve, key, value, client, accepted):
    server = serve(tls=True, tls_set=[(key, value)])
    if accepted:
        with Connection(server, tls=only(client)) as connection:
            assert connection.alive()
    else:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            Connection(server, tls=only(client))


def test_cipher_policy(serve):
    server = serve(
        tls=True,
        tls_set=[
            ("ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
            ("groups", "P-256"),
        ],
    )
    with Connection(server, tls=only(ssl.TLSVersion.TLSv1_2)) as connection:
        assert connection.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    with Connection(server, tls=only(ssl.TLSVersion.TLSv1_3)) as connection:
        assert connection.socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"


def test_alpn_chooses_http11_and_refuses_others_alone(serve):
    server = serve(tls=True)
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Connection(server, tls=context) as connection:
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Connection(server, tls=context)


def test_the_leaf_certificate_is_the_configured_one(serve, pair):
    with open(pair[0]) as pem:
        expected = ssl.PEM_cert_to_DER_cert(pem.read())
    with Connection(serve(tls=True)) as connection:
        assert connection.socket.getpeercert(binary_form=True) == expected


def test_an_encrypted_key_with_its_pass_phrase(serve, locked_pair):
    server = serve("--tls-pass", *locked_pair, "sesame", "--listen", "127.0.0.1:0")
    with Connection(server, tls=client_context()) as connection:
        assert connection.alive()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_its_ticket(serve, version):
    server, context = serve(tls=True), only(version)

    def connect(session=None):
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        wrapped = context.wrap_socket(raw, session=session)
        wrapped.sendall(raw_request("GET", "/hello", ["Connection: close"]))
        while wrapped.recv(4096):
            pass
        found = wrapped.session, wrapped.session_reused
        wrapped.close()
        return found

    session, reused = connect()
    assert not reused
    assert connect(session)[1]


def test_the_end_is_told_by_close_notify(serve):
    """suppress_ragged_eofs is off in Connection: an end without close_notify would raise."""
    server = serve(tls=True)
    for target in ("/hello", "/chunked?n=100000"):
        with Connection(server) as connection:
            connection.get(target, "Connection: close")
            assert connection.socket.recv(10) == b""
    with Connection(server) as connection:
        answer = connection.get("/chunked?n=100000", version="1.0")
        assert answer.framing == "close" and answer.body == pattern(100000)


def test_idle_and_stopped_connections_end_with_close_notify_too(serve):
    server = serve(tls=True, idle_timeout="200ms")
    with Connection(server) as connection:
        assert connection.alive()
        assert connection.socket.recv(10) == b""
    with Connection(server) as connection:
        assert connection.alive()
        server.command("stop", 0, 1000)
        assert connection.socket.recv(10) == b""


def test_close_notify_of_the_client_ends_the_connection(serve):
    server = serve(tls=True)
    with Connection(server) as connection:
        assert connection.alive()
        connection.socket = connection.socket.unwrap()
        assert connection.socket.recv(10) == b""
    assert len(server.expect("access", count=1)) > 0


def test_records_of_every_size_and_split(serve):
    """The ciphertext arrives in pieces of 1, 7 and 1000 bytes; the requests are unharmed."""
    server = serve(tls=True)
    for piece in (1, 7, 1000):
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context().wrap_bio(incoming, outgoing)

        def flush():
            data = outgoing.read()
            for i in range(0, len(data), piece):
                raw.sendall(data[i : i + piece])

        def run(step, *arguments):
            while True:
                try:
                    result = step(*arguments)
                    flush()
                    return result
                except ssl.SSLWantReadError:
                    flush()
                    incoming.write(raw.recv(65536))

        run(client.do_handshake)
        run(client.write, raw_request("POST", "/buffered", ["Connection: close"], pattern(3000)))
        data = b""
        while pattern(3000) not in data:
            data += run(client.read, 65536)
        raw.close()


def test_plain_http_on_a_tls_port_is_one_log_line_and_no_harm(serve):
    server = serve(tls=True)
    with Connection(server, tls=False) as connection:
        connection.send(raw_request("GET", "/hello"))
        data, _ = connection.ending()
        assert b"Hello" not in data
    lines = wait_until(
        lambda: [
            text for text in server.logged(worst=4) if "http" in text.lower() and "starting" not in text
        ],
        "a log line",
    )
    assert len(lines) == 1, lines
    assert not server.logged(worst=2)
    with Connection(server) as connection:
        assert connection.alive()


def test_rubbish_on_a_tls_port_is_quiet(serve):
    server = serve(tls=True)
    for rubbish in (b"\0" * 100, b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01\x00\x02", b"\xff" * 5000):
        with Connection(server, tls=False) as connection:
            connection.send_lenient(rubbish)
            if len(rubbish) == 5:  # may yet become a hello of SSL 2
                connection.socket.shutdown(socket.SHUT_WR)
            connection.ending()
    with Connection(server) as connection:
        assert connection.alive()
    assert not [text for text in server.logged(worst=3) if "starting" not in text]


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_at_any_byte_of_its_hello(serve, how):
    server, hello = serve(tls=True), client_hello()
    with Connection(server) as connection:
        assert connection.alive()
    server.expect("access")
    before = server.descriptors()
    for count in range(0, len(hello) + 1, 5):
        connection = Connection(server, tls=False)
        connection.send(hello[:count])
        getattr(connection, how)()
    with Connection(server) as connection:
        assert connection.alive()
    wait_until(lambda: server.descriptors() <= before, "descriptors to return")
    assert not [text for text in server.logged(worst=3) if "starting" not in text]


def test_clear_and_encrypted_listeners_of_one_server(serve, pair):
    server = serve("--listen", "127.0.0.1:0", "--tls", *pair, "--listen", "127.0.0.1:0")
    with Connection(port=server.ports[0]) as connection:
        scheme = dict(connection.get("/env").json()["block"])["wsgi.url_scheme"]
        assert scheme == "http"
    with Connection(port=server.ports[1], tls=client_context()) as connection:
        scheme = dict(connection.get("/env").json()["block"])["wsgi.url_scheme"]
        assert scheme == "https"


def test_curl_with_the_certificate_as_authority(serve, pair):
    server = serve(tls=True)
    run = subprocess.run(
        [
            "curl",
            "-sS",
            "--cacert",
            pair[0],
            "--resolve",
            f"test.example:{server.port}:127.0.0.1",
            f"https://test.example:{server.port}/hello",
        ],
        capture_output=True,
        timeout=20,
    )
    assert run.stdout == b"Hello, World!\r\n", run.stderr


def test_renegotiation_of_12_is_refused(serve):
    server = serve(tls=True)
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as client:
        server_line = b"R\n"
        _, errors = client.communicate(server_line, timeout=20)
    assert b"no renegotiation" in errors.lower() or b"RENEGOTIATING" in errors, errors
    with Connection(server) as connection:
        assert connection.alive()
