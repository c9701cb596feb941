# SPDX-License-Identifier: MIT
# test_certificates - several certificates on one socket, client certificates, reload while serving.

import socket
import ssl
import subprocess

import evy
import pytest
from client import Closed, Connection, Reset, client_context


def make(folder, name, password=None):
    """A self-signed certificate for one host name."""
    key = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split()
    command += [*key, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def site(env, start_response):
    start_response("200 OK", [])
    return [env.get("SSL_SERVER_NAME", "none").encode(), b" ", env["SSL_CLIENT_VERIFY"].encode()]


@pytest.fixture
def secure(request):
    """secure(**arguments of wrap_ssl) serves; the server ends with the test."""
    servers = []

    def start(**arguments):
        with evy.listen(("127.0.0.1", 0)) as sock:
            wrapped = evy.wrap_ssl(sock, server_side=True, **arguments)
            servers.append(evy.wsgi.Server(wrapped, site, log_output=False).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop(0)
        assert server.join(10)


def shown(server, name, ca):
    """What a client that trusts this file alone gets at https://name/; raises if it is shown another one."""
    context = ssl.create_default_context(cafile=str(ca))
    with Connection(server, tls=context, name=name) as connection:
        return connection.get("/").body


def test_a_certificate_for_each_name(secure, tmp_path):
    a, b = make(tmp_path, "a.test"), make(tmp_path, "b.test")
    server = secure(certfile=[a[0], b[0]], keyfile=[a[1], b[1]])
    assert shown(server, "a.test", a[0]) == b"a.test NONE"
    assert shown(server, "b.test", b[0]) == b"b.test NONE"
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(server, "a.test", b[0])


def test_a_tls_object_reloads_and_all_or_nothing(secure, tmp_path):
    a, b = make(tmp_path, "a.test"), make(tmp_path, "b.test")
    tls = evy.TLS(a[0], a[1])
    server = secure(tls=tls)
    old = ssl.create_default_context(cafile=str(a[0]))
    (tmp_path / "copy.crt").write_bytes(a[0].read_bytes())
    assert shown(server, "a.test", a[0]) == b"a.test NONE"
    with Connection(server, tls=old, name="a.test") as kept:
        (tmp_path / "a.test").mkdir()
        fresh = make(tmp_path / "a.test", "a.test")
        a[0].write_bytes(fresh[0].read_bytes())
        with pytest.raises(ssl.SSLError, match="a.test"):
            tls.reload()
        assert shown(server, "a.test", tmp_path / "copy.crt"), "the old one is still in force"
        a[1].write_bytes(fresh[1].read_bytes())
        tls.reload()
        assert shown(server, "a.test", fresh[0])
        assert kept.get("/").status == 200, "open connections go on"
    tls.add(b[0], b[1])
    tls.reload()
    assert shown(server, "b.test", b[0]) == b"b.test NONE"
    a[1].unlink()
    with pytest.raises(FileNotFoundError, match="a.test.key"):
        tls.reload()


def test_an_encrypted_key(secure, tmp_path):
    certificate, key = make(tmp_path, "a.test", password="secret")
    with pytest.raises(ssl.SSLError, match="a.test.key"):
        evy.TLS(certificate, key, "wrong")
    server = secure(tls=evy.TLS(certificate, key, "secret"))
    assert shown(server, "a.test", certificate)


@pytest.mark.parametrize("cert_reqs", [ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL])
def test_client_certificates(secure, tmp_path, cert_reqs):
    own, client, stranger = (make(tmp_path, name) for name in ("own.test", "client.test", "stranger.test"))
    server = secure(certfile=own[0], keyfile=own[1], cert_reqs=cert_reqs, ca_certs=client[0])

    def told(pair):
        context = client_context()
        if pair:
            context.load_cert_chain(*map(str, pair))
        with Connection(server, tls=context) as connection:
            return connection.get("/").body.split()[1].split(b":")[0]

    assert told(client) == b"SUCCESS"
    for pair, verified in ((None, b"NONE"), (stranger, b"FAILED")):
        if cert_reqs == ssl.CERT_OPTIONAL:
            assert told(pair) == verified
        else:
            with pytest.raises((ssl.SSLError, Reset, Closed)):
                told(pair)
    assert told(client) == b"SUCCESS"


def test_wrong_arguments(tmp_path):
    certificate, key = make(tmp_path, "a.test")
    with evy.listen(("127.0.0.1", 0)) as sock:
        for arguments, text in (
            ({"cert_reqs": ssl.CERT_REQUIRED, "certfile": certificate, "keyfile": key}, "ca_certs"),
            ({"certfile": [certificate], "keyfile": [key, key]}, "as many"),
            ({"certfile": certificate, "keyfile": [key]}, "keyfile is a list"),
            ({"certfile": []}, "as many"),
            ({}, "certfile is needed"),
            ({"tls": evy.TLS(certificate, key), "certfile": certificate}, "leave the other"),
        ):
            with pytest.raises(ValueError, match=text):
                evy.wrap_ssl(sock, server_side=True, **arguments)
        for arguments, text in (
            ({"certfile": 5}, "certfile is a int"),
            ({"certfile": [certificate], "keyfile": 5}, "keyfile is a int"),
            ({"tls": ssl.create_default_context()}, "tls is a SSLContext, not an evy.TLS"),
        ):
            with pytest.raises(TypeError, match=text):
                evy.wrap_ssl(sock, server_side=True, **arguments)
        with pytest.raises(ValueError, match="server_side"):
            evy.wrap_ssl(sock, tls=evy.TLS(certificate, key))
        with pytest.raises(FileNotFoundError, match="nothing.pem"):
            evy.wrap_ssl(
                sock,
                server_side=True,
                certfile=certificate,
                keyfile=key,
                cert_reqs=ssl.CERT_REQUIRED,
                ca_certs=tmp_path / "nothing.pem",
            )
    with pytest.raises(ValueError):
        evy.TLS(certificate, key).add(certificate, key, name="a b")
    with pytest.raises(TypeError, match="tickets is a int"):
        evy.TLS(certificate, key).set("tickets", 2)


def test_a_secure_listener_is_its_socket(tmp_path):
    certificate, key = make(tmp_path, "a.test")
    with evy.wrap_ssl(evy.listen(("127.0.0.1", 0)), key, certificate, True) as secure:
        assert secure.family == socket.AF_INET and "SecureListener" in repr(secure)
        copy = secure.dup()
        assert copy.getsockname() == secure.getsockname() and copy.tls is secure.tls
        copy.close()
    assert secure.fileno() == -1
