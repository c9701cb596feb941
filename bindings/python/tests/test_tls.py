# SPDX-License-Identifier: MIT
# test_tls - wrap_ssl and HTTPS: versions, wrong files, wrong peers, and the client side.

import inspect
import socket
import ssl
import subprocess

import evy
import pytest
from client import Connection, client_context, raw_request


def site(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{env['wsgi.url_scheme']} {env.get('HTTPS')}".encode()]


@pytest.mark.parametrize("option, is_spoken", [("-tls1_2", True), ("-tls1_3", True), ("-tls1_1", False)])
def test_versions(serve, option, is_spoken):
    server = serve(site, tls=True)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet", option]
    command += ["-cipher", "DEFAULT@SECLEVEL=0"] if option == "-tls1_1" else []
    run = subprocess.run(
        command, input=raw_request("GET", "/", ["Connection: close"]), capture_output=True, timeout=10
    )
    assert (b"https on" in run.stdout) == is_spoken
    with Connection(server) as connection:
        assert connection.get("/").body == b"https on"


def test_ssl_version_and_ciphers_are_obeyed(pairs):
    arguments = {"certfile": pairs / "cert.crt", "keyfile": pairs / "private.key", "server_side": True}
    with evy.listen(("127.0.0.1", 0)) as sock:
        secure = evy.wrap_ssl(
            sock, ssl_version=ssl.PROTOCOL_TLSv1_2, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384", **arguments
        )
        with evy.wsgi.Server(secure, site, log_output=False) as server:
            server.tls = True
            with Connection(server) as connection:
                assert connection.socket.version() == "TLSv1.2"
                assert connection.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        with pytest.raises(ValueError, match="only TLS 1.2 and 1.3"):
            evy.wrap_ssl(sock, ssl_version=3, **arguments)  # PROTOCOL_TLSv1
        with pytest.raises(ValueError, match="no such ciphers|cipher"):
            evy.wrap_ssl(sock, ciphers="NOSUCH", **arguments)


def test_keyfile_comes_ahead_of_certfile(pairs):
    with evy.listen(("127.0.0.1", 0)) as sock:
        secure = evy.wrap_ssl(sock, str(pairs / "private.key"), str(pairs / "cert.crt"), True)
        assert secure.getsockname() == sock.getsockname()
        assert secure.fileno() == sock.fileno()


def test_the_parameters_are_those_of_the_old_wrap_socket():
    """Names, order and defaults of ssl.wrap_socket(); cert_reqs and ssl_version have others."""
    parameters = inspect.signature(evy.wrap_ssl).parameters
    old = "sock keyfile certfile server_side cert_reqs ssl_version ca_certs do_handshake_on_connect"
    old = [*old.split(), "suppress_ragged_eofs", "ciphers"]
    assert list(parameters)[: len(old)] == old
    defaults = [None, None, False, None, None, None, True, True, None]
    assert [parameters[name].default for name in old[1:]] == defaults


def test_the_other_parameters_of_a_client(serve, pairs):
    """A certificate of its own, ciphers, and a handshake that waits for the first byte."""
    server = serve(site, tls=True)
    client = evy.wrap_ssl(
        evy.connect(("127.0.0.1", server.port)),
        pairs / "other.key",
        pairs / "other.crt",
        ca_certs=pairs / "cert.crt",
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
        ciphers="ECDHE-ECDSA-AES256-GCM-SHA384",
        server_hostname="localhost",
    )
    with client:
        assert client.cipher() is None and not client.suppress_ragged_eofs
        assert "ECDHE-ECDSA-AES128-GCM-SHA256" not in [one["name"] for one in client.context.get_ciphers()]
        client.do_handshake()
        client.sendall(raw_request("GET", "/", ["Connection: close"]))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_context_of_module_ssl_is_a_clients(serve, pairs):
    """Its key cannot be read, so a listener cannot have it; a client's is used as it is."""
    server = serve(site, tls=True)
    context = ssl.create_default_context(cafile=str(pairs / "cert.crt"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with evy.connect(("127.0.0.1", server.port)) as sock:
        with pytest.raises(ValueError, match="leave the other"):
            evy.wrap_ssl(sock, context=context, cert_reqs=ssl.CERT_NONE)
        with evy.wrap_ssl(sock, context=context, server_hostname="localhost") as client:
            assert client.context is context and client.version() == "TLSv1.2"
            client.sendall(raw_request("GET", "/", ["Connection: close"]))
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    with evy.listen(("127.0.0.1", 0)) as sock:
        with pytest.raises(ValueError, match=r"context is for clients.*tls=evy\.TLS"):
            evy.wrap_ssl(sock, context=context, server_side=True)


def test_the_handshakes_parameters_do_not_count_for_listeners(pairs):
    with evy.listen(("127.0.0.1", 0)) as sock:
        keywords = {"do_handshake_on_connect": False, "suppress_ragged_eofs": False}
        secure = evy.wrap_ssl(sock, pairs / "private.key", pairs / "cert.crt", True, **keywords)
        with evy.wsgi.Server(secure, site, log_output=False) as server:
            with Connection(server, tls=client_context()) as connection:
                assert connection.get("/").body == b"https on"


def test_key_may_be_in_the_certificate_file(pairs, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text((pairs / "cert.crt").read_text() + (pairs / "private.key").read_text())
    with evy.listen(("127.0.0.1", 0)) as sock:
        evy.wrap_ssl(sock, certfile=both, server_side=True)


@pytest.mark.parametrize(
    "certfile, keyfile, error, text",
    [
        ("no.crt", "private.key", FileNotFoundError, "no.crt"),
        ("cert.crt", "no.key", FileNotFoundError, "no.key"),
        ("cert.crt", "other.key", ssl.SSLError, "other.key.*does not match.*cert.crt"),
        ("cert.crt", "cert.crt", ssl.SSLError, "cert.crt"),
        ("private.key", "private.key", ssl.SSLError, "private.key"),
    ],
)
def test_wrong_files_are_named(pairs, certfile, keyfile, error, text):
    with evy.listen(("127.0.0.1", 0)) as sock, pytest.raises(error, match=text):
        evy.wrap_ssl(sock, str(pairs / keyfile), str(pairs / certfile), server_side=True)


def test_sockets_that_cannot_be_served_securely_are_refused(pairs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(pairs / "cert.crt"), str(pairs / "private.key"))
    with context.wrap_socket(evy.listen(("127.0.0.1", 0)), server_side=True) as sock:
        with pytest.raises(TypeError, match="evy.wrap_ssl"):
            evy.wsgi.Server(sock, site)
    with evy.listen(("127.0.0.1", 0)) as sock:
        with pytest.raises(ValueError, match="cert_reqs"):
            evy.wrap_ssl(sock, pairs / "private.key", pairs / "cert.crt", True, cert_reqs=ssl.CERT_REQUIRED)


def test_plain_http_on_a_tls_port_is_one_log_line(serve):
    server = serve(site, tls=True, log_level="debug")
    server.log.expect("starting up")
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        plain.sendall(raw_request("GET", "/"))
        try:
            assert b"https on" not in plain.recv(4096)
        except ConnectionResetError:
            pass
    server.log.expect("clear-text HTTP to a TLS listener")
    assert len(server.log.lines) == 2, server.log.lines
    with Connection(server) as connection:
        assert connection.get("/").body == b"https on"


def test_client_side_verifies(serve, pairs):
    server = serve(site, tls=True)

    def connect(**arguments):
        sock = socket.create_connection(("127.0.0.1", server.port), 10)
        try:
            return evy.wrap_ssl(sock, **arguments)
        except BaseException:
            sock.close()
            raise

    with connect(ca_certs=pairs / "cert.crt", server_hostname="localhost") as client:
        client.sendall(raw_request("GET", "/", ["Connection: close"]))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    with connect(cert_reqs=ssl.CERT_NONE):
        pass
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(ca_certs=pairs / "other.crt", server_hostname="localhost")
    with pytest.raises(ValueError, match="server_hostname"):
        connect()


def test_a_stalled_handshake_is_cut(serve):
    server = serve(site, tls=True, handshake_timeout=2)
    with socket.create_connection(("127.0.0.1", server.port), 10) as stalled:
        try:
            assert stalled.recv(1) == b""
        except ConnectionResetError:
            pass
    with Connection(server, tls=client_context()) as connection:
        assert connection.get("/").status == 200


def test_objects_that_outlive_their_modules(pairs, monkeypatch):
    """As at the end of a free-threaded interpreter, where modules are emptied first."""
    tls = evy.TLS(pairs / "cert.crt", pairs / "private.key")
    server = evy.wsgi.Server("127.0.0.1:0", site, log_output=False)
    handle = tls.handle
    for module in (evy._tls, evy.web._server):
        monkeypatch.setattr(module, "lib", None)
    tls.__del__()
    server.__del__()
    monkeypatch.undo()
    evy._lib.lib.evy_tls_free(handle)
    server.stop()
