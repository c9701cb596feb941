# SPDX-License-Identifier: MIT
# test_cli_limits - options about how much and what is taken: queues, connections, odd headers, groups.

import grp
import os
import pathlib
import pwd
import re
import socket
import struct

import pytest
from cli_harness import evy_cli, open_to_all  # noqa: F401
from client import Connection, raw_request, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.mark.parametrize("arguments, backlog", [([], 2048), (["--backlog", 77], 77)])
def test_backlog(evy_cli, arguments, backlog):
    limit = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    with socket.create_server(("127.0.0.1", 0)) as sock:
        run = evy_cli(*arguments, bind=f"fd://{sock.fileno()}", pass_fds=[sock.fileno()])
        assert run.get(port=sock.getsockname()[1]).body == b"Hello"
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert struct.unpack_from("I", info, 28)[0] == min(backlog, limit)


def test_worker_connections(evy_cli):
    run = evy_cli("--worker-connections", 1)
    with Connection(port=run.port) as first:
        first.send(b"GET / HTTP/1.1\r\n")
        with Connection(port=run.port) as second:
            second.send(raw_request("GET", "/"))
            assert second.silent(0.1)
            first.close()
            assert second.response().body == b"Hello"


@pytest.mark.parametrize("arguments, status", [([], 400), (["--permit-obsolete-folding"], 200)])
def test_folded_headers(evy_cli, arguments, status):
    run = evy_cli(*arguments)
    with Connection(port=run.port) as connection:
        assert connection.send(raw_request("GET", "/", ["A: b\r\n c"])).response().status == status


def test_header_names_may_be_refused(evy_cli):
    run = evy_cli("--header-map", "refuse")
    with Connection(port=run.port) as connection:
        assert connection.get("/", "X_A: 1").status == 400


@as_root
def test_further_groups_of_the_user(evy_cli, tmp_path):
    """Whoever has the most groups here is taken."""
    open_to_all(tmp_path)
    groups = {user.pw_name: set(os.getgrouplist(user.pw_name, user.pw_gid)) for user in pwd.getpwall()}
    name = max((name for name in groups if name != "root"), key=lambda name: len(groups[name]))
    run = evy_cli("-u", name, "-g", grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name, "--initgroups")
    assert run.get().body == b"Hello"
    status = pathlib.Path(f"/proc/{run.workers()[0]}/status").read_text()
    found = set(map(int, re.search(r"^Groups:\t(.*)$", status, re.M)[1].split()))
    assert found == groups[name]


def test_the_key_may_be_in_the_certificate_file(evy_cli, pairs, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text((pairs / "cert.crt").read_text() + (pairs / "private.key").read_text())
    run = evy_cli("--certfile", both)
    assert run.get(tls=True).body == b"Hello"


def test_the_banner(evy_cli, pairs):
    run = evy_cli("-w", 2, "--threads", 3)
    port = run.port
    wait_until(lambda: run.err.matching("^  pid"), "the banner")
    rows = dict(re.findall(r"^  (\w+) +(.+)$", "\n".join(run.err.lines), re.M))
    assert re.match(r"evy \d+\.\d+\.\d+ \(library .*\)$", run.err.lines[0])
    assert rows == {
        "app": "app:app",
        "listening": f"http://127.0.0.1:{port}",
        "workers": "2 workers, 3 threads each",
        "TLS": "off",
        "pid": str(run.pid),
    }
    assert "\033" not in "".join(run.err.lines), "no terminal looks on"
    files = ["--certfile", pairs / "cert.crt", "--keyfile", pairs / "private.key"]
    secure = evy_cli("--threads", 1, "--reload", *files)
    secure.err.expect(r"^  workers +1 worker, 1 thread each$")
    secure.err.expect(rf"^  TLS +{re.escape(str(pairs))}/cert.crt$")
    secure.err.expect(r"^  reload +when a source file changes$")
