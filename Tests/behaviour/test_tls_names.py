# SPDX-License-Identifier: MIT
# test_tls_names - several certificates on one listener, chosen by the name the client asks for (SNI).

import ssl
import subprocess

import pytest
from certificates import Authority, der, environ, shown
from support import Connection, client_context


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def pairs(root):
    """By what they are for."""
    return {
        "default": root.issue("default.test", "default.test"),
        "exact": root.issue("exact", "www.a.test", "a.test"),
        "wild": root.issue("wild", "*.a.test"),
        "common": root.issue("common.test"),
        "given": root.issue("given", "elsewhere.test"),
    }


@pytest.fixture
def server(serve, pairs):
    more = ["--cert", "-", *pairs["wild"], "--cert", "-", *pairs["exact"], "--cert", "-", *pairs["common"]]
    return serve(*more, "--cert", "given.test", *pairs["given"], tls=pairs["default"])


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("default.test", "default"),
        ("a.test", "exact"),
        ("www.a.test", "exact"),
        ("WWW.A.Test", "exact"),
        ("shop.a.test", "wild"),
        ("x.shop.a.test", "default"),
        ("common.test", "common"),
        ("given.test", "given"),
        ("elsewhere.test", "default"),
        ("unknown.test", "default"),
        (None, "default"),
    ],
)
def test_the_certificate_is_chosen_by_name(server, pairs, name, wanted):
    assert shown(server, name) == der(pairs[wanted][0])


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client_verifies_each_name(server, root, version):
    for name in ("default.test", "www.a.test", "shop.a.test"):
        run = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name, version,
             "-verify_hostname", name, "-verify_return_error", "-CAfile", root.certificate, "-brief"],
            input=b"", capture_output=True, timeout=20,
        )  # fmt: skip
        assert b"Verification: OK" in run.stderr + run.stdout, run.stderr


def test_a_name_given_outranks_names_read(serve, root):
    read = root.issue("read", "a.test", "b.test")
    given = root.issue("other", "z.test")
    server = serve("--cert", "a.test", *given, "--cert", "*.c.test", *given, tls=read)
    assert shown(server, "a.test") == der(given[0])
    assert shown(server, "b.test") == der(read[0])
    assert shown(server, "x.c.test") == der(given[0])


def test_the_same_name_again_replaces_and_the_default_stays_the_first(serve, root):
    first, second = root.issue("first", "a.test"), root.issue("second", "a.test")
    other = root.issue("third", "b.test")
    server = serve("--cert", "-", *other, "--cert", "-", *second, tls=first)
    assert shown(server, "a.test") == shown(server) == der(second[0])
    assert shown(server, "b.test") == der(other[0])


@pytest.mark.parametrize(
    "name", ["a..test", "*", "*.test", "a.*.test", "127.0.0.1", "a b.test", "", "ä.test"]
)
def test_a_name_nobody_can_ask_for_is_refused(serve, root, name):
    pair = root.issue("a.test")
    with pytest.raises(RuntimeError, match="EVY_E_VALUE: .*no name a client can ask for"):
        serve("--cert", name, *pair, tls=pair)


def test_a_further_certificate_without_a_name_is_refused(serve, root):
    nameless = root.issue("not a host name", file="nameless")
    with pytest.raises(RuntimeError, match=f"EVY_E_TLS: certificate {nameless[0]} holds no host name"):
        serve("--cert", "-", *nameless, tls=root.issue("a.test"))
    assert shown(serve(tls=nameless), "a.test") == der(nameless[0]), "alone it serves everybody"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_is_in_the_environ_also_of_a_resumed_session(server, version):
    context = client_context(minimum_version=version, maximum_version=version)
    for name in ("www.a.test", "unknown.test"):
        with Connection(server, tls=context, name=name) as connection:
            assert environ(connection)["SSL_SERVER_NAME"] == name
            session = connection.socket.session
        with Connection(server, tls=context, name=name, session=session) as connection:
            assert environ(connection)["SSL_SERVER_NAME"] == name
            assert connection.socket.session_reused
    with Connection(server, tls=context) as connection:
        assert "SSL_SERVER_NAME" not in environ(connection)
