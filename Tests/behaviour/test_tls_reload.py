# SPDX-License-Identifier: MIT
# test_tls_reload - new files without a restart: all or nothing, from any thread, while clients go on.

import pathlib
import shutil
import ssl
import threading

import pytest
from certificates import Authority, der, environ, shown
from support import SANITIZED, Connection, client_context, wait_until


@pytest.fixture
def root(tmp_path):
    return Authority(tmp_path)


def reload(server):
    """(status, text) of one evy_tls_reload."""
    count = len(server.select("reload")) + 1
    server.tell("reload")
    events = server.expect("reload", count)
    event = events if count == 1 else events[-1]
    return event["status"], event["text"]


def put(pair, place):
    """Overwrites the files at `place` with those of `pair`."""
    for source, target in zip(pair, place):
        shutil.copyfile(source, target)


def test_new_handshakes_get_the_new_certificate_and_open_connections_stay(serve, root):
    place, new = root.issue("a.test"), root.issue("a.test", file="new")
    server = serve("--keep-tls", tls=place)
    with Connection(server) as connection:
        assert connection.alive()
        old = der(place[0])
        put(new, place)
        assert shown(server) == old
        assert reload(server) == ("EVY_OK", "")
        assert shown(server) == der(new[0]) != old
        assert connection.alive()
        assert connection.socket.getpeercert(binary_form=True) == old


def break_missing(certificate, key):
    pathlib.Path(key).unlink()
    return key, "No such file"


def break_rubbish(certificate, key):
    pathlib.Path(certificate).write_text("rubbish")
    return certificate, "not PEM"


def break_cut(certificate, key):
    text = pathlib.Path(certificate).read_text()
    pathlib.Path(certificate).write_text(text[: len(text) // 2])
    return certificate, "cannot be read"


def break_directory(certificate, key):
    pathlib.Path(key).unlink()
    pathlib.Path(key).mkdir()
    return key, "Is a directory"


@pytest.mark.parametrize("break_it", [break_missing, break_rubbish, break_cut, break_directory])
def test_one_broken_file_keeps_all_old_certificates_and_is_named(serve, root, break_it):
    first, second = root.issue("a.test", "a.test"), root.issue("b.test", "b.test")
    server = serve("--keep-tls", "--cert", "-", *second, tls=first)
    before = der(first[0]), der(second[0])
    put(root.issue("a.test", "a.test", file="new"), first)
    path, reason = break_it(*second)
    status, text = reload(server)
    assert status == "EVY_E_TLS" and path in text and reason in text, text
    assert (shown(server, "a.test"), shown(server, "b.test")) == before
    pathlib.Path(second[1]).rmdir() if pathlib.Path(second[1]).is_dir() else None
    put(root.issue("b.test", "b.test", file="new-b"), second)
    assert reload(server)[0] == "EVY_OK"
    assert (shown(server, "a.test"), shown(server, "b.test")) == (der(first[0]), der(second[0]))
    assert der(first[0]) != before[0] and der(second[0]) != before[1]


def test_a_key_of_another_certificate_is_told_with_both_files(serve, root):
    place = root.issue("a.test")
    server = serve("--keep-tls", tls=place)
    shutil.copyfile(root.issue("other.test")[1], place[1])
    status, text = reload(server)
    assert status == "EVY_E_TLS" and place[0] in text and place[1] in text and "match" in text
    assert shown(server) == der(place[0])


def test_names_are_read_again_with_the_certificate(serve, root):
    first, second = root.issue("a.test", "a.test"), root.issue("b.test", "b.test")
    server = serve("--keep-tls", "--cert", "-", *second, tls=first)
    assert shown(server, "c.test") == der(first[0])
    put(root.issue("c.test", "c.test"), second)
    assert reload(server)[0] == "EVY_OK"
    assert shown(server, "c.test") == der(second[0])
    assert shown(server, "b.test") == der(first[0])


def test_a_certificate_that_lost_its_names_is_refused(serve, root):
    first, second = root.issue("a.test", "a.test"), root.issue("b.test", "b.test")
    server = serve("--keep-tls", "--cert", "-", *second, tls=first)
    before = der(second[0])
    put(root.issue("no name", file="nameless"), second)
    status, text = reload(server)
    assert status == "EVY_E_TLS" and second[0] in text and "no host name" in text
    assert shown(server, "b.test") == before


def test_a_key_log_that_cannot_be_opened_again_is_named(serve, root, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    options = [("keylog_file", str(folder / "keys.log"))]
    server = serve("--keep-tls", tls=root.issue("a.test"), tls_set=options)
    shutil.rmtree(folder)
    status, text = reload(server)
    assert status == "EVY_E_TLS" and str(folder / "keys.log") in text
    folder.mkdir()
    assert reload(server)[0] == "EVY_OK"
    shown(server)
    assert (folder / "keys.log").read_text()


def test_an_encrypted_key_is_read_again_with_its_pass(serve, root, locked_pair, tmp_path):
    place = [str(shutil.copy(file, tmp_path)) for file in locked_pair]
    server = serve("--tls-pass", *place, "sesame", "--keep-tls", "--listen", "127.0.0.1:0")
    assert reload(server) == ("EVY_OK", "")
    assert shown(server) == der(place[0])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets_outlive_a_reload(serve, root, version):
    server = serve("--keep-tls", tls=root.issue("a.test"))
    context = client_context(minimum_version=version, maximum_version=version)
    with Connection(server, tls=context) as connection:
        assert connection.alive()
        session = connection.socket.session
    assert reload(server)[0] == "EVY_OK"
    with Connection(server, tls=context, session=session) as connection:
        assert connection.alive() and connection.socket.session_reused


def test_the_client_authority_is_read_again_and_old_tickets_fall_with_it(serve, root, tmp_path):
    other = Authority(tmp_path, "other-root")
    place = tmp_path / "clients.crt"
    shutil.copyfile(root.certificate, place)
    server = serve("--client-ca", "1", str(place), "--keep-tls", tls=root.issue("a.test"))
    context = client_context()
    context.load_cert_chain(*root.issue("alice"))
    with Connection(server, tls=context) as connection:
        assert environ(connection)["SSL_CLIENT_VERIFY"] == "SUCCESS"
        session = connection.socket.session
    shutil.copyfile(other.certificate, place)
    assert reload(server)[0] == "EVY_OK"
    with Connection(server, tls=context, session=session) as connection:
        assert environ(connection)["SSL_CLIENT_VERIFY"].startswith("FAILED:")
        assert not connection.socket.session_reused
    place.write_text("rubbish")
    status, text = reload(server)
    assert status == "EVY_E_TLS" and f"client CA {place}" in text


def test_reload_from_many_threads_under_load_fails_no_request(serve, root):
    first, second = root.issue("a.test", "a.test"), root.issue("b.test", "b.test")
    server = serve("--keep-tls", "--cert", "-", *second, "--quiet", tls=first)
    over, failures, served = threading.Event(), [], []

    def load(name):
        try:
            while not over.is_set():
                with Connection(server, tls=client_context(), name=name) as connection:
                    assert connection.alive() and connection.alive()
                served.append(name)
        except Exception as error:  # noqa: BLE001, a thread's failure is told below
            failures.append(repr(error))

    clients = [threading.Thread(target=load, args=(name,)) for name in ("a.test", "b.test", "c.test")]
    for client in clients:
        client.start()
    for _ in range(3):
        server.tell("reload", 4, 25)
    wait_until(lambda: len(server.select("reload")) == 3 or failures, "300 reloads")
    wait_until(lambda: len(served) > 50 or failures, "50 connections")
    over.set()
    for client in clients:
        client.join()
    assert not failures
    assert [event["status"] for event in server.select("reload")] == ["EVY_OK"] * 3


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what is freed, and looks for leaks itself")
def test_reload_gives_its_memory_back(serve, root):
    server = serve("--keep-tls", tls=root.issue("a.test"))

    def reload_often():
        count = len(server.select("reload")) + 1
        server.tell("reload", 1, 100)
        wait_until(lambda: len(server.select("reload")) == count, "100 reloads")
        return server.resident_bytes()

    before = reload_often()
    assert max(reload_often() for _ in range(3)) < before + (2 << 20)
