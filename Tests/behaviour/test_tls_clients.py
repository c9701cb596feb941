# SPDX-License-Identifier: MIT
# test_tls_clients - client certificates: none, optional, required, and what the environ says of them.

import ssl
import subprocess

import pytest
from certificates import Authority, der, environ
from support import Connection, Reset, client_context, raw_request, wait_until
from tlsclient import tcp

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
NONE, OPTIONAL, REQUIRE = "0", "1", "2"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A pair of an authority that the server does not know."""
    return Authority(tmp_path_factory.mktemp("strangers"), "strange-root").issue("mallory")


@pytest.fixture(scope="module")
def alice(root):
    return root.issue("alice")


def client(pair=None, version=None):
    context = client_context()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def ssl_keys(connection):
    return {key: value for key, value in environ(connection).items() if key.startswith("SSL_")}


def refused(server, context):
    """The handshake, or under TLS 1.3 the first answer, fails."""
    try:
        with Connection(server, tls=context) as connection:
            connection.get("/hello")
    except (ssl.SSLError, ConnectionError, Reset):
        return True
    return False


@VERSIONS
def test_every_tls_request_tells_protocol_and_cipher(serve, pair, version):
    name = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    with Connection(serve(tls=True), tls=client(version=version)) as connection:
        found = ssl_keys(connection)
        assert found == {
            "SSL_PROTOCOL": name,
            "SSL_CIPHER": connection.socket.cipher()[0],
            "SSL_CLIENT_VERIFY": "NONE",
        }
        assert ssl_keys(connection) == found, "the second request of a connection"


def test_clear_text_requests_have_none_of_it(serve):
    with Connection(serve()) as connection:
        assert ssl_keys(connection) == {}


@VERSIONS
@pytest.mark.parametrize("verify", [OPTIONAL, REQUIRE])
def test_a_good_certificate_is_shown_to_the_handler(serve, pair, root, alice, verify, version):
    server = serve("--client-ca", verify, str(root.certificate), tls=True)
    with Connection(server, tls=client(alice, version)) as connection:
        found = ssl_keys(connection)
        assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert found["SSL_CLIENT_S_DN"] == "CN=alice,O=Evy Tests"
        assert found["SSL_CLIENT_I_DN"] == "CN=root,O=Evy Tests"
        assert ssl.PEM_cert_to_DER_cert(found["SSL_CLIENT_CERT"]) == der(alice[0])
        assert ssl_keys(connection) == found


@VERSIONS
def test_a_resumed_session_still_knows_its_client(serve, root, alice, version):
    server = serve("--client-ca", REQUIRE, str(root.certificate), tls=True)
    context = client(alice, version)
    with Connection(server, tls=context) as connection:
        found = ssl_keys(connection)
        session = connection.socket.session
    with Connection(server, tls=context, session=session) as connection:
        assert ssl_keys(connection) == found
        assert connection.socket.session_reused


@VERSIONS
def test_optional_serves_a_client_with_a_forged_certificate_in_whatever_pieces(
    serve, root, tmp_path, version
):
    """What OpenSSL found wrong with the signature must not be taken for the error of the next call."""
    forged = Authority(tmp_path, "root").issue_bare("mallory")  # under the name of ours, by another key
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    received = 0
    with tcp(server) as raw:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client(forged, version).wrap_bio(incoming, outgoing)

        def step(verb, *arguments):
            """Each piece is a receive of its own."""
            nonlocal received
            while True:
                try:
                    result = verb(*arguments)
                except ssl.SSLWantReadError:
                    result = None
                while piece := outgoing.read(100):
                    raw.sendall(piece)
                    received += len(piece)
                    server.settled(evy_received_bytes_total=received)
                if result is not None:
                    return result
                incoming.write(raw.recv(65536))

        step(lambda: session.do_handshake() or True)
        step(session.write, raw_request("GET", "/env"))
        assert b"FAILED:certificate signature failure" in step(session.read, 65536)


@VERSIONS
def test_optional_serves_the_client_without_and_the_one_with_a_bad_one(serve, root, stranger, version):
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    with Connection(server, tls=client(version=version)) as connection:
        found = ssl_keys(connection)
        assert found["SSL_CLIENT_VERIFY"] == "NONE"
        assert not {"SSL_CLIENT_CERT", "SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN"} & set(found)
    context = client(stranger, version)
    with Connection(server, tls=context) as connection:
        found = ssl_keys(connection)
        session = connection.socket.session
        assert found["SSL_CLIENT_VERIFY"] == "FAILED:unable to get local issuer certificate"
        assert ssl.PEM_cert_to_DER_cert(found["SSL_CLIENT_CERT"]) == der(stranger[0])
        assert not {"SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN"} & set(found), "a name nobody vouches for"
    with Connection(server, tls=context, session=session) as connection:
        assert ssl_keys(connection) == found and connection.socket.session_reused


def test_an_expired_certificate_fails_with_its_reason(serve, root):
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    with Connection(server, tls=client(root.issue_bare("late", days=-1))) as connection:
        assert ssl_keys(connection)["SSL_CLIENT_VERIFY"] == "FAILED:certificate has expired"


def test_a_server_certificate_is_no_client_certificate(serve, root):
    pair = root.issue("server-only", usage="serverAuth")
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    with Connection(server, tls=client(pair)) as connection:
        assert ssl_keys(connection)["SSL_CLIENT_VERIFY"].startswith("FAILED:")


@VERSIONS
def test_require_refuses_none_and_bad_ones_with_one_debug_line(serve, root, alice, stranger, version):
    server = serve("--client-ca", REQUIRE, str(root.certificate), tls=True)
    assert refused(server, client(version=version))
    assert refused(server, client(stranger, version))
    for reason in ("peer did not return a certificate", "unable to get local issuer certificate"):
        wait_until(lambda: [line for line in server.logged(4) if reason in line], reason)
    assert not [line for line in server.logged(3) if "certificate" in line]
    assert not server.select("request")
    with Connection(server, tls=client(alice, version)) as connection:
        assert connection.alive()


def test_an_intermediate_certificate_may_be_the_authority(serve, root):
    middle = root.intermediate("middle")
    server = serve("--client-ca", REQUIRE, str(middle.certificate), tls=True)
    with Connection(server, tls=client(middle.issue("bob"))) as connection:
        assert ssl_keys(connection)["SSL_CLIENT_I_DN"] == "CN=middle,O=Evy Tests"


def test_none_asks_for_nothing(serve, root, alice):
    server = serve("--client-ca", REQUIRE, str(root.certificate), "--client-ca", NONE, "-", tls=True)
    with Connection(server, tls=client(alice)) as connection:
        assert ssl_keys(connection)["SSL_CLIENT_VERIFY"] == "NONE"


def test_special_characters_of_a_name_are_escaped(serve, root):
    server = serve("--client-ca", REQUIRE, str(root.certificate), tls=True)
    with Connection(server, tls=client(root.issue('a,b\\+"c"', file="special"))) as connection:
        assert ssl_keys(connection)["SSL_CLIENT_S_DN"] == r'CN=a\,b\+\"c\",O=Evy Tests'


def test_each_connection_has_its_own_client(serve, root, alice):
    """Pooled memory of one client's request must not show its certificate to the next."""
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    bob = root.issue("bob-2")
    for _ in range(3):
        for pair, name in ((alice, "alice"), (None, None), (bob, "bob-2")):
            with Connection(server, tls=client(pair)) as connection:
                found = ssl_keys(connection)
                assert found.get("SSL_CLIENT_S_DN") == (name and f"CN={name},O=Evy Tests")


def test_what_the_handshake_left_outlives_the_connection(serve, root, alice):
    """Four threads read it for the first time when the client is gone and others have come."""
    server = serve("--client-ca", OPTIONAL, str(root.certificate), tls=True)
    with Connection(server, tls=client(alice), name="kept.test") as connection:
        assert connection.get("/facts?gate=1").body == b"kept"
        request = server.expect("request")["id"]
    server.expect("access", id=request)
    for _ in range(5):
        with Connection(server, tls=client()) as connection:
            assert ssl_keys(connection)["SSL_CLIENT_VERIFY"] == "NONE"
    server.tell("open", 1)
    for found in server.expect("facts", 4):
        assert found["SSL_CLIENT_VERIFY"] == "SUCCESS" and found["SSL_SERVER_NAME"] == "kept.test"
        assert found["SSL_CLIENT_S_DN"] == "CN=alice,O=Evy Tests"
        assert ssl.PEM_cert_to_DER_cert(found["SSL_CLIENT_CERT"]) == der(alice[0])


def test_openssl_s_client_is_told_the_authorities_and_served(serve, root, alice):
    server = serve("--client-ca", REQUIRE, str(root.certificate), tls=True)
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-cert", alice[0], "-key", alice[1],
         "-ign_eof"],
        input=raw_request("GET", "/hello", ["Connection: close"]), capture_output=True, timeout=20,
    )  # fmt: skip
    assert b"Hello, World!" in run.stdout
    assert b"Acceptable client certificate CA names\nO = Evy Tests, CN = root" in run.stdout


def test_a_bad_authority_file_is_named(serve, root, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("hello")
    for path, reason in ((wrong, "is not PEM"), (tmp_path / "none.pem", "No such file")):
        with pytest.raises(RuntimeError, match=f"EVY_E_TLS: .*client CA {path}.*{reason}"):
            serve("--client-ca", REQUIRE, str(path), tls=True)


def test_an_unknown_mode_is_a_bad_argument(serve, root):
    with pytest.raises(RuntimeError, match="EVY_E_ARG: 3 is no EVY_VERIFY_"):
        serve("--client-ca", "3", str(root.certificate), tls=True)
