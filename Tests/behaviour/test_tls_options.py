# SPDX-License-Identifier: MIT
# test_tls_options - evy_tls_set: ALPN, tickets and their keys, stapled OCSP responses, the key log.

import os
import pathlib
import ssl
import stat
import subprocess

import pytest
from certificates import Authority
from support import Connection, client_context, raw_request, wait_until

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("options"))


def only(version):
    return client_context(minimum_version=version, maximum_version=version)


def session_of(server, context, session=None):
    """(session, resumed) of one connection that has served a request."""
    with Connection(server, tls=context, session=session) as connection:
        assert connection.alive()
        return connection.socket.session, connection.socket.session_reused


# ---- ALPN


@pytest.mark.parametrize(
    "value, offered, chosen",
    [
        ("http/1.1,http/1.0", ["http/1.0", "http/1.1"], "http/1.1"),
        ("http/1.0,http/1.1", ["http/1.1", "http/1.0"], "http/1.0"),
        ("http/1.0", ["http/1.1", "http/1.0"], "http/1.0"),
        ("off", ["http/1.1"], None),
        ("off", ["anything"], None),
    ],
)
def test_alpn_follows_the_list(serve, value, offered, chosen):
    server, context = serve(tls=True, tls_set=[("alpn", value)]), client_context()
    context.set_alpn_protocols(offered)
    with Connection(server, tls=context) as connection:
        assert connection.socket.selected_alpn_protocol() == chosen
        assert connection.alive()


def test_a_client_whose_protocols_are_not_in_the_list_is_refused(serve):
    server, context = serve(tls=True, tls_set=[("alpn", "http/1.0")]), client_context()
    context.set_alpn_protocols(["http/1.1"])
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Connection(server, tls=context)


# ---- tickets


@VERSIONS
def test_without_tickets_nothing_is_resumed(serve, version):
    server, context = serve(tls=True, tls_set=[("tickets", "off")]), only(version)
    session, _ = session_of(server, context)
    assert session is None or not session.has_ticket
    if session is not None:
        assert not session_of(server, context, session)[1]


def test_as_many_tickets_as_asked_for(serve):
    server = serve(tls=True, tls_set=[("tickets", "3")])
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-msg", "-ign_eof"],
        input=raw_request("GET", "/hello", ["Connection: close"]), capture_output=True, timeout=20,
    )  # fmt: skip
    assert run.stdout.count(b", NewSessionTicket") == 3


@VERSIONS
def test_ticket_keys_rotate_and_the_last_one_holds_for_a_period(serve, version):
    server, context = serve(tls=True, tls_set=[("ticket_rotation", "1s")]), only(version)
    session, _ = session_of(server, context)
    assert session_of(server, context, session)[1], "within the period, or the one after it"
    wait_until(lambda: not session_of(server, context, session)[1], "the key to be forgotten")
    fresh, _ = session_of(server, context)
    assert session_of(server, context, fresh)[1]


def test_ticket_keys_stay_when_rotation_is_off(serve):
    server, context = serve(tls=True, tls_set=[("ticket_rotation", "off")]), client_context()
    session, _ = session_of(server, context)
    assert session_of(server, context, session)[1]


# ---- OCSP


def stapled(server, name):
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name, "-status"],
        input=b"", capture_output=True, timeout=20,
    )  # fmt: skip
    return run.stdout.decode()


def test_each_certificate_staples_its_own_response(serve, root):
    first, second = root.issue("a.test", "a.test"), root.issue("b.test", "b.test")
    third = root.issue("c.test", "c.test")
    files = ",".join([root.ocsp(second[0], "R"), root.ocsp(first[0])])
    more = ["--cert", "-", *second, "--cert", "-", *third, "--tls-set", "ocsp_file", files]
    server = serve(*more, tls=first)
    assert "Cert Status: good" in stapled(server, "a.test")
    assert "Cert Status: revoked" in stapled(server, "b.test")
    assert "OCSP response: no response sent" in stapled(server, "c.test")
    with Connection(server) as connection:
        assert connection.alive(), "a client that does not ask"


def test_the_response_is_read_again_on_reload(serve, root):
    pair = root.issue("r.test", "r.test")
    server = serve("--keep-tls", tls=pair, tls_set=[("ocsp_file", root.ocsp(pair[0]))])
    assert "Cert Status: good" in stapled(server, "r.test")
    path = root.ocsp(pair[0], "R")
    server.tell("reload")
    assert server.expect("reload")["status"] == "EVY_OK"
    assert "Cert Status: revoked" in stapled(server, "r.test")
    pathlib.Path(path).write_text("rubbish")
    server.tell("reload")
    assert path in server.expect("reload", 2)[1]["text"]
    assert "Cert Status: revoked" in stapled(server, "r.test")


def test_a_response_that_cannot_be_stapled_is_named(serve, root, tmp_path):
    pair, other = root.issue("x.test"), root.issue("y.test")
    wrong = tmp_path / "wrong.der"
    wrong.write_text("hello")
    for path, reason in (
        (root.ocsp(other[0]), "belongs to none of the certificates"),
        (str(wrong), "is no OCSP response"),
        (str(tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(RuntimeError, match=f"{path}.*{reason}"):
            serve(tls=pair, tls_set=[("ocsp_file", path)])


# ---- key log


@VERSIONS
def test_the_key_log_has_the_secrets_of_each_handshake_for_its_owner_only(serve, tmp_path, version):
    path = tmp_path / "keys.log"
    server = serve(tls=True, tls_set=[("keylog_file", str(path))])
    mine = tmp_path / "client.log"
    context = only(version)
    context.keylog_filename = str(mine)
    for _ in range(2):
        session_of(server, context)
    lines = set(mine.read_text().splitlines())
    wanted = {line for line in lines if not line.startswith("#")}
    assert wanted
    wait_until(lambda: wanted <= set(path.read_text().splitlines()), "the secrets")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


# ---- mistakes


@pytest.mark.parametrize(
    "key, value, text",
    [
        ("alpn", "h2", "which evy does not speak"),
        ("alpn", "", "which evy does not speak"),
        ("alpn", "http/1.1,", "which evy does not speak"),
        ("tickets", "-1", "is not off or a number from 0 to 16"),
        ("tickets", "17", "is not off or a number from 0 to 16"),
        ("tickets", "many", "is not off or a number from 0 to 16"),
        ("ticket_rotation", "soon", "is not off or a time"),
        ("ticket_rotation", "5", "is not between 1s and a century"),
        ("ticket_rotation", "9223372036854775807h", "is not between 1s and a century"),
        ("ticket_rotation", "99999999999999999999", "is not off or a time"),
        ("ticket_rotation", "-1s", "is not off or a time"),
        ("keylog_file", "/nonexistent/keys", "No such file"),
        ("ocsp_file", "/nonexistent/a.der", "/nonexistent/a.der: No such file"),
    ],
)
def test_a_wrong_value_is_named(serve, key, value, text):
    with pytest.raises(RuntimeError, match=f"EVY_E_VALUE: option {key}: \"{value}\".*{text}"):
        serve(tls=True, tls_set=[(key, value)])


@pytest.mark.parametrize("key", ["keylog_file", "ocsp_file", "ciphers"])
def test_a_value_that_is_no_text_is_refused(serve, key):
    """Repaired, it would be the name of another file."""
    with pytest.raises(RuntimeError, match=f"EVY_E_VALUE: option {key}: the value is not UTF-8"):
        serve(tls=True, tls_set=[(key, "k\udcff")])


def test_an_unknown_name_is_told_whatever_the_value(serve):
    with pytest.raises(RuntimeError, match="EVY_E_OPTION: no TLS option \"cihpers\" .*ciphersuites"):
        serve(tls=True, tls_set=[("cihpers", "k\udcff")])
