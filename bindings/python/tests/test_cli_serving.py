# SPDX-License-Identifier: MIT
# test_cli_serving - options seen by clients: addresses, TLS, limits, proxies, logs, processes, applications.

import contextlib
import json
import os
import pathlib
import pwd
import signal
import socket
import ssl
import subprocess
import sys
import uuid

import pytest
from cli_harness import ACTIVATE, APP, PACKAGE, evy_cli, open_to_all, stat_of  # noqa: F401
from client import Closed, Connection, Reset, client_context, raw_request, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def env_of(run, *fields, **keywords):
    with Connection(port=run.port, **keywords) as connection:
        return connection.get("/env", *fields).json()


# Addresses


def test_several_addresses(evy_cli, tmp_path):
    name = f"evy-{uuid.uuid4()}"
    run = evy_cli("-b", "[::1]:0", "-b", f"unix:{tmp_path}/sock", "-b", f"unix:@{name},127.0.0.2:0")
    urls = run.urls
    assert urls[0].startswith("http://127.0.0.1:") and urls[1].startswith("http://[::1]:")
    assert urls[2:4] == [f"unix:{tmp_path}/sock", f"unix:@{name}"]
    six, four = (int(urls[at].rsplit(":", 1)[1]) for at in (1, 4))
    for connection in (
        Connection(port=run.port),
        Connection(address=("::1", six), family=socket.AF_INET6),
        Connection(address=("127.0.0.2", four)),
        Connection(address=f"{tmp_path}/sock", family=socket.AF_UNIX),
        Connection(address=f"\0{name}", family=socket.AF_UNIX),
    ):
        with connection:
            assert connection.get("/").body == b"Hello"
    assert os.stat(tmp_path / "sock").st_mode & 0o777 == 0o777
    assert run.end(signal.SIGTERM) == 0
    assert not (tmp_path / "sock").exists()


@pytest.mark.parametrize("arguments, mode", [(["-m", "027"], 0o750), ([], 0o660)])
def test_mode_of_a_unix_socket(evy_cli, tmp_path, arguments, mode):
    query = "" if arguments else "?mode=660"
    run = evy_cli(*arguments, bind=f"unix:{tmp_path}/sock{query}")
    assert run.urls
    assert os.stat(tmp_path / "sock").st_mode & 0o777 == mode


def test_a_dead_servers_socket_file_is_replaced(evy_cli, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/sock")
    run = evy_cli(bind=f"unix:{tmp_path}/sock")
    assert run.urls
    with Connection(address=f"{tmp_path}/sock", family=socket.AF_UNIX) as connection:
        assert connection.get("/").body == b"Hello"


def test_a_socket_of_the_caller(evy_cli):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port, number = sock.getsockname()[1], sock.fileno()
        run = evy_cli(bind=f"fd://{number}", pass_fds=[number])
        assert run.get(port=port).body == b"Hello"


@pytest.mark.parametrize("arguments, count", [([], 2), (["-b", "systemd:admin"], 1), (["-b", "systemd:"], 2)])
def test_sockets_of_systemd(tmp_path, program, arguments, count):
    (tmp_path / "app.py").write_text(APP)
    run = program(ACTIVATE, *arguments, "app:app")
    wait_until(lambda: run.err.matching("  pid"), "the banner")
    urls = [line.split()[-1] for line in run.err.lines if "http://" in line]
    assert len(urls) == count
    for url in urls:
        with Connection(port=int(url.rsplit(":", 1)[1])) as connection:
            assert connection.get("/").body == b"Hello"
    assert run.end(signal.SIGTERM) == 0


def test_reuse_port(evy_cli):
    one = evy_cli("--reuse-port")
    other = evy_cli("--reuse-port", bind=f"127.0.0.1:{one.port}")
    assert other.port == one.port
    assert one.end(signal.SIGTERM) == 0
    assert other.get().body == b"Hello"


# TLS


def test_tls(evy_cli, pairs):
    run = evy_cli("--certfile", pairs / "cert.crt", "--keyfile", pairs / "private.key", "-w", 2)
    assert run.urls[0].startswith("https://")
    env = env_of(run, tls=True)
    assert env["wsgi.url_scheme"] == "https" and env["SSL_PROTOCOL"] == "TLSv1.3"
    assert env["SSL_CLIENT_VERIFY"] == "NONE"


def test_ciphers(evy_cli, pairs):
    run = evy_cli("--certfile", pairs / "cert.crt", "--keyfile", pairs / "private.key",
                  "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384")  # fmt: skip
    old = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert env_of(run, tls=old)["SSL_CIPHER"] == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_certificates_of_clients(evy_cli, pairs):
    known = client_context()
    known.load_cert_chain(pairs / "other.crt", pairs / "other.key")
    server = ["--certfile", pairs / "cert.crt", "--keyfile", pairs / "private.key", "--ca-certs",
              pairs / "other.crt"]  # fmt: skip
    optional = evy_cli(*server, "--cert-reqs", 1)
    assert env_of(optional, tls=known)["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert env_of(optional, tls=True)["SSL_CLIENT_VERIFY"] == "NONE"
    required = evy_cli(*server, "--cert-reqs", "required")
    assert env_of(required, tls=known)["SSL_CLIENT_S_DN"] == "CN=localhost"
    with pytest.raises((Reset, Closed, ssl.SSLError, ConnectionError)):
        env_of(required, tls=True)


# Limits and proxies


def test_limits(evy_cli):
    run = evy_cli("--limit-request-line", 200, "--limit-request-fields", 5, "--limit-request-field_size", 300,
                  "-o", "max_body_size=10")  # fmt: skip

    def status(data):
        with Connection(port=run.port) as connection:
            return connection.send_lenient(data).response().status

    def line(length):
        return raw_request("GET", "/" + "x" * (length - len("GET / HTTP/1.1")))

    assert status(line(200)) == 200 and status(line(201)) == 414
    fields = [f"X-{number}: 1" for number in range(5)]
    assert status(raw_request("GET", "/", fields[:4])) == 200
    assert status(raw_request("GET", "/", fields)) == 431
    assert status(raw_request("GET", "/", ["X: " + "x" * 297])) == 200
    assert status(raw_request("GET", "/", ["X: " + "x" * 298])) == 431
    assert status(raw_request("POST", "/", body=b"x" * 10)) == 200
    assert status(raw_request("POST", "/", body=b"x" * 11)) == 413


def test_keep_alive(evy_cli):
    run = evy_cli("--keep-alive", 0)
    assert run.get().closes
    run = evy_cli("--keep-alive", 0.2)
    with Connection(port=run.port) as connection:
        assert not connection.get("/").closes
        assert connection.rest() == b""


FORWARDED = ("X-Forwarded-For: 9.8.7.6", "X-Forwarded-Proto: https")


@pytest.mark.parametrize(
    "arguments, address, scheme",
    [
        ([], "127.0.0.1", "https"),
        (["--forwarded-allow-ips", "127.0.0.1"], "9.8.7.6", "https"),
        (["--forwarded-allow-ips", "*"], "9.8.7.6", "https"),
        (["--forwarded-allow-ips", "10.0.0.0/8"], "127.0.0.1", "http"),
        (["--forwarded-allow-ips", ""], "127.0.0.1", "http"),
        (["--forwarded-headers", "x-forwarded-for"], "9.8.7.6", "http"),
    ],
)
def test_forwarded_headers(evy_cli, arguments, address, scheme):
    env = env_of(evy_cli(*arguments), *FORWARDED)
    assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"]) == (address, scheme)


def test_proxy_protocol(evy_cli):
    run = evy_cli("--proxy-protocol")
    with Connection(port=run.port) as connection:
        connection.send(b"PROXY TCP4 9.8.7.6 1.2.3.4 55 66\r\n")
        assert connection.get("/env").json()["REMOTE_ADDR"] == "9.8.7.6"


@pytest.mark.parametrize("way, seen", [("drop", None), ("dangerous", "1")])
def test_header_map(evy_cli, way, seen):
    assert env_of(evy_cli("--header-map", way), "X_A: 1").get("HTTP_X_A") == seen


# Applications


def test_ways_to_name_an_application(evy_cli):
    for app, body in (
        ("app:holder.inner", b"Hello"),
        ("app:make()", b"made"),
        ("app:make(name='other')", b"other"),
        ("app:make('third')", b"third"),
    ):
        assert evy_cli(app=app).get().body == body
    assert evy_cli("--factory", app="app:make").get().body == b"made"


def test_chdir_pythonpath_and_environment(evy_cli, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text("import os\nword = os.environ['WORD'] + os.environ['A']")
    (tmp_path / "sub" / "inner.py").write_text(
        "import os, helper\n"
        "def application(env, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [(helper.word + ' ' + os.path.basename(os.getcwd())).encode()]\n"
    )
    words = ["--chdir", "sub", "--pythonpath", "nowhere,../lib", "-e", "WORD=a=b", "--env", "A=,c"]
    run = evy_cli(*words, app="inner")
    assert run.get().body == b"a=b,c sub"


def test_what_the_environ_says_of_processes_and_threads(evy_cli):
    env = env_of(evy_cli("-w", 2, "--threads", 1))
    assert env["wsgi.multiprocess"] and not env["wsgi.multithread"]
    env = env_of(evy_cli(environ={"SCRIPT_NAME": "/mounted"}))
    assert not env["wsgi.multiprocess"] and env["wsgi.multithread"]
    assert env["SCRIPT_NAME"] == "/mounted"


@as_root
def test_user_and_group_of_the_workers(evy_cli, tmp_path):
    open_to_all(tmp_path)
    nobody = pwd.getpwnam("nobody")
    (tmp_path / "logs").mkdir(mode=0o700)
    run = evy_cli("-u", "nobody", "-g", nobody.pw_gid, "--access-logfile", "logs/access")
    assert run.get().body == b"Hello"
    status = pathlib.Path(f"/proc/{run.workers()[0]}/status").read_text()
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}" in status and f"Gid:\t{nobody.pw_gid}\t" in status
    assert f"Groups:\t{nobody.pw_gid} \n" in status
    assert "Uid:\t0\t" in pathlib.Path(f"/proc/{run.pid}/status").read_text()
    # Files that were opened anew by root reach workers that may not even enter the folder.
    access, moved = tmp_path / "logs" / "access", tmp_path / "logs" / "access.1"
    wait_until(access.read_text, "an access line")
    access.rename(moved)
    run.signal(signal.SIGUSR1)
    wait_until(lambda: run.get().body and access.exists() and access.read_text(), "a line in the new file")
    assert access.stat().st_uid == nobody.pw_uid and not run.err.matching("cannot open")
    written = moved.read_text()
    run.get("/last")
    wait_until(lambda: "/last" in access.read_text(), "the last line")
    assert moved.read_text() == written


# Logs


GUNICORN = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


@pytest.mark.parametrize(
    "arguments, pattern",
    [
        ([], r'^127.0.0.1 - - \[\d\d/\w+/\d{4}:.*\] "GET /x\?q=1 HTTP/1.1" 200 5 "-" "me"$'),
        ([GUNICORN], r'^127.0.0.1 - - \[\d\d/\w+/\d{4}:.*\] "GET /x\?q=1 HTTP/1.1" 200 5 "-" "me"$'),
        (["%(m)s %(U)s %(q)s %(H)s %(B)s %(T)s %(L)s %(p)s %%"],
         r"^GET /x q=1 HTTP/1.1 5 (\d+) \1\.\d{6} <\d+> %$"),
        (["%({Host}i)s %({user-agent}i)s %({x-forwarded-for}i)s"], r"^test.example me 1.1.1.1$"),
        (["%(client_ip)s %(wire_bytes)d %(aborted)s"], r"^127.0.0.1 \d+ -$"),
        (["common"], r'^127.0.0.1 - - \[.*\] "GET /x\?q=1 HTTP/1.1" 200 5$'),
        (["evy"], r'^127.0.0.1 - - \[.*\] "GET /x\?q=1 HTTP/1.1" 200 \d+ \d+\.\d{6}$'),
    ],
)  # fmt: skip
def test_access_log_on_stdout(evy_cli, arguments, pattern):
    more = ["--access-logformat", *arguments] if arguments else []
    run = evy_cli("--access-logfile", "-", *more)
    with Connection(port=run.port) as connection:
        connection.get("/x?q=1", "User-Agent: me", "X-Forwarded-For: 1.1.1.1")
    run.out.expect(pattern)


def test_access_log_as_json(evy_cli):
    run = evy_cli("--access-logfile", "-", "--access-logformat", "json")
    run.get("/x")
    found = json.loads(run.out.expect("^{"))
    assert found["path"] == "/x" and found["status_code"] == 200


def test_error_log_and_captured_output(evy_cli, tmp_path):
    run = evy_cli("--log-file", "errors", "--capture-output", "--log-level", "debug")
    assert run.get("/print").body == b"printed"
    log = tmp_path / "errors"
    wait_until(lambda: "printed by the application\ncomplained\n" in log.read_text(), "output in the log")
    assert "wsgi starting up on http://127.0.0.1" in log.read_text()
    assert run.end(signal.SIGTERM) == 0 and not run.out.lines


def test_log_level(evy_cli):
    run = evy_cli("--log-level", "error", "-k", "sync", bind="unix:sock")

    def connected():
        # The file is there before the socket listens.
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return Connection(address=str(run.folder / "sock"), family=socket.AF_UNIX)

    with wait_until(connected, "the socket") as connection:
        assert connection.get("/").body == b"Hello"
    assert run.end(signal.SIGTERM) == 0 and not run.err.lines


def wait_until_there(path):
    wait_until(path.exists, path.name)
    return path


# Processes


def test_daemon(evy_cli, tmp_path):
    run = evy_cli("-D", "-p", "pid", "--log-file", "errors", bind="unix:sock")
    assert run.process.wait(10) == 0
    pid = int(wait_until_there(tmp_path / "pid").read_text())
    try:
        with Connection(address=str(tmp_path / "sock"), family=socket.AF_UNIX) as connection:
            assert connection.get("/").body == b"Hello"
        fields = stat_of(pid)
        assert int(fields[3]) != os.getsid(0) and fields[4] == "0"  # its session, no terminal
        assert os.readlink(f"/proc/{pid}/fd/2") == os.devnull
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: stat_of(pid) is None, "the end of the daemon")
    assert not (tmp_path / "pid").exists() and not (tmp_path / "sock").exists()


def test_a_pid_file_of_a_process_that_lives(evy_cli, tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    run = evy_cli("-p", "pid")
    assert run.ended() == 1
    assert run.err.matching(f"cannot start: pid file .*/pid: process {os.getpid()} is running already")
    assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"


def test_systemd_is_told(evy_cli, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(str(tmp_path / "notify"))
        inbox.settimeout(10)
        run = evy_cli(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert inbox.recv(999).decode() == f"READY=1\nMAINPID={run.pid}"
        run.signal(signal.SIGHUP)
        assert inbox.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert inbox.recv(999) == b"READY=1"
        run.signal(signal.SIGTERM)
        assert inbox.recv(999) == b"STOPPING=1"


def test_the_banner_in_colour(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "evy", "-b", "127.0.0.1:0", "app:app"]

    def banner(**more):
        ours, theirs = os.openpty()
        environ = {**os.environ, "PYTHONPATH": str(PACKAGE), "TERM": "xterm", **more}
        run = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=theirs)
        os.close(theirs)
        try:
            text = b""
            while b"starts" not in text:
                text += os.read(ours, 4096)
        finally:
            run.terminate()
            run.wait(10)
            os.close(ours)
        return text

    assert b"\033[1mevy" in banner()
    assert b"\033" not in banner(NO_COLOR="1")
