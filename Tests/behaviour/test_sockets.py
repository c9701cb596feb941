# SPDX-License-Identifier: MIT
# test_sockets - unix sockets with mode and owner, abstract names, passed descriptors, systemd, dual stack.

import grp
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import uuid

import pytest
from support import Connection, wait_until


def reach(path):
    return Connection(address=str(path), family=socket.AF_UNIX)


# ---- files


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777, 0o000])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_the_mode_is_as_asked_whatever_the_umask(serve, tmp_path, mode, umask):
    path = tmp_path / "evy.sock"
    before = os.umask(umask)
    try:
        server = serve(listen=[f"unix:{path}?mode={mode:03o}"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    with open(f"/proc/{server.pid}/status") as status:
        assert f"Umask:\t{umask:04o}" in status.read(), "the umask belongs to the host"


def test_the_mode_is_never_wider_than_asked(programs, tmp_path):
    """strace shows the order: the socket has its mode before bind, and listens last."""
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("no strace on this machine")
    path = tmp_path / "evy.sock"
    trace = tmp_path / "trace"
    with subprocess.Popen(
        ["strace", "-f", "-o", trace, "-e", "trace=bind,listen,fchmod,chmod,fchownat,umask"]
        + [programs["server"], "--listen", f"unix:{path}?mode=660"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.stdout.readline()
    calls = [re.match(r"\d+ +(\w+)\(", line)[1] for line in trace.read_text().splitlines() if "(" in line]
    ours = [call for call in calls if call in ("bind", "listen", "fchmod", "chmod", "umask")]
    assert ours == ["fchmod", "bind", "chmod", "listen"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("user, group", [("nobody", "nogroup"), ("65534", "65534"), ("", "nogroup")])
def test_owner_and_group(serve, tmp_path, user, group):
    path = tmp_path / "evy.sock"
    asked = "&".join(f"{key}={value}" for key, value in (("user", user), ("group", group)) if value)
    server = serve(listen=[f"unix:{path}?{asked}&mode=640"])
    facts = path.stat()
    wanted = pwd.getpwnam("nobody").pw_uid if user else 0
    assert (facts.st_uid, facts.st_gid) == (wanted, grp.getgrnam("nogroup").gr_gid)
    assert stat.S_IMODE(facts.st_mode) == 0o640
    assert server.addresses == [f"unix:{path}"]


@pytest.mark.parametrize(
    "suffix, text",
    [
        ("user=no-such-user", 'cannot find user "no-such-user": there is none of that name'),
        ("group=no-such-group", 'cannot find group "no-such-group": there is none of that name'),
    ],
)
def test_an_unknown_owner_is_named_and_no_file_is_left(serve, tmp_path, suffix, text):
    path = tmp_path / "evy.sock"
    with pytest.raises(RuntimeError) as failure:
        serve(listen=[f"unix:{path}?{suffix}"])
    assert "EVY_E_BIND" in str(failure.value) and text in str(failure.value)
    assert str(path) in str(failure.value)
    assert os.listdir(tmp_path) == []


def test_a_replaced_file_is_left_alone(serve, tmp_path):
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}"])
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        server.command("stop", 0, 0)
        assert server.command("wait", 0, 5000) == "EVY_OK"
        server.finish()
        assert path.exists(), "it is another's now"
    path.unlink()
    server = serve(listen=[f"unix:{path}"])
    path.unlink()
    path.write_text("mine")
    server.finish()
    assert path.read_text() == "mine"


def test_a_link_is_not_followed(serve, tmp_path):
    target, path = tmp_path / "target", tmp_path / "evy.sock"
    target.write_text("mine")
    target.chmod(0o600)
    path.symlink_to(target)
    with pytest.raises(RuntimeError, match="EVY_E_BIND.*a file that is no socket is there"):
        serve(listen=[f"unix:{path}?mode=666"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600 and path.is_symlink()


def test_of_several_servers_at_a_dead_file_exactly_one_gets_it(serve, tmp_path):
    path = tmp_path / "evy.sock"
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
        servers, refused = [], []

        def start():
            try:
                servers.append(serve(listen=[f"unix:{path}"]))
            except RuntimeError as failure:
                refused.append(str(failure))

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(servers) == 1 and len(refused) == 5
        assert all("EVY_E_BIND" in text and "Address already in use" in text for text in refused), refused
        with reach(path) as connection:
            assert connection.alive()
        servers[0].finish()
        assert not path.exists()


def test_a_killed_server_is_succeeded(serve, tmp_path):
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}"])
    server.signal(signal.SIGKILL)
    server.process.wait()
    server.finished = True
    assert path.exists()
    serve(listen=[f"unix:{path}"])
    with reach(path) as connection:
        assert connection.alive()


def test_the_longest_path_and_a_relative_one(serve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "x" * 107
    serve(listen=[f"unix:{name}"])
    with reach(name) as connection:
        assert connection.alive()


# ---- abstract names


def test_an_abstract_name_needs_no_file(serve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"evy-{uuid.uuid4()}"
    server = serve(listen=[f"unix:@{name}"])
    assert server.addresses == [f"unix:@{name}"] and server.ports == [0]
    with reach("\0" + name) as connection:
        assert connection.alive()
    with pytest.raises(RuntimeError, match=f"EVY_E_BIND.*@{name}.*in use"):
        serve(listen=[f"unix:@{name}"])
    assert os.listdir(tmp_path) == []
    server.finish()
    with pytest.raises(ConnectionRefusedError):
        reach("\0" + name)
    assert serve(listen=[f"unix:@{name}"]).addresses == [f"unix:@{name}"]


# ---- sockets handed in

SHUFFLE = """
import os, sys
count, names, pid, program = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
report = program.index("--report") + 1
program[report] = str(os.dup2(int(program[report]), 90, inheritable=True))
for index in range(count):
    os.dup2(100 + index, 3 + index, inheritable=True)
    os.close(100 + index)
if pid != "none":
    os.environ["LISTEN_PID"] = pid or str(os.getpid())
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(program[0], program)
"""


def passed(serve, sockets, addresses, names="", pid="", count=None, **options):
    """Starts the server as a service manager does: sockets from descriptor 3 on."""
    os.environ["LISTEN_FDS"] = str(len(sockets) if count is None else count)
    placed = [os.dup2(one.fileno(), 100 + i, inheritable=True) for i, one in enumerate(sockets)]
    try:
        wrapper = [sys.executable, "-c", SHUFFLE, str(len(sockets)), names, pid]
        return serve(listen=addresses, wrapper=wrapper, pass_fds=placed, **options)
    finally:
        del os.environ["LISTEN_FDS"]
        for fd in placed:
            os.close(fd)


@pytest.fixture
def two():
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
            each.listen(16)
        yield [one, other]


def port_of(one):
    return one.getsockname()[1]


def test_all_sockets_of_systemd(serve, two):
    server = passed(serve, two, ["systemd:"])
    assert server.ports == [port_of(one) for one in two]
    for port in server.ports:
        with Connection(port=port) as connection:
            assert connection.alive()
    with open(f"/proc/{server.pid}/environ", "rb") as environ:
        assert b"LISTEN_FDS=2" in environ.read(), "read, not unset: it is the host's"


def test_sockets_of_systemd_by_name(serve, two):
    server = passed(serve, two, ["systemd:admin", "systemd:web", "127.0.0.1:0"], "web:admin")
    assert server.ports[:2] == [port_of(two[1]), port_of(two[0])] and len(server.ports) == 3
    server = passed(serve, two, ["systemd:web"], "web:web")
    assert server.ports == [port_of(one) for one in two]
    server.finish()
    with Connection(port=port_of(two[0])):
        pass  # the manager's socket listens on


def test_fd_addresses(serve, two):
    server = passed(serve, two, ["fd://4", "fd://3?proxy=1"], pid="none")
    assert server.ports == [port_of(two[1]), port_of(two[0])]
    with Connection(port=server.ports[1]) as connection:
        connection.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        assert connection.alive()


@pytest.mark.parametrize(
    "addresses, settings, text",
    [
        (["systemd:"], {"pid": "none"}, "LISTEN_PID is not set"),
        (["systemd:"], {"pid": "1"}, 'LISTEN_PID is "1", but this process is '),
        (["systemd:"], {"count": 0}, 'LISTEN_FDS is "0"'),
        (["systemd:"], {"count": "x"}, 'LISTEN_FDS is "x"'),
        (["systemd:"], {"count": 9}, "is not a socket"),
        (["systemd:web"], {"names": "a:b"}, 'no socket was passed under the name "web", but "a", "b"'),
        (["systemd:web"], {}, 'no socket was passed under the name "web", but "unknown", "unknown"'),
        (["fd://77"], {}, "descriptor 77 is not a socket"),
        (["fd://0"], {}, "descriptor 0 is not a socket"),
    ],
)
def test_what_was_not_passed_is_named(serve, two, addresses, settings, text):
    with pytest.raises(RuntimeError) as failure:
        passed(serve, two, addresses, **settings)
    assert "EVY_E_BIND" in str(failure.value) and text in str(failure.value)
    assert addresses[0] in str(failure.value)


def test_a_passed_unix_socket_shows_its_path(serve, tmp_path):
    path = tmp_path / "evy.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        one.listen()
        server = passed(serve, [one], ["systemd:"])
        assert server.addresses == [f"unix:{path}"]
        server.finish()
        assert path.exists()


# ---- internet


def test_dual_stack(serve, has_ipv6):
    if not has_ipv6:
        pytest.skip("no IPv6 on this machine")
    server = serve(listen=["[::]:0?v6only=0"])
    with Connection(port=server.port) as connection:
        found = dict(connection.get("/env").json()["block"])
    assert (found["REMOTE_ADDR"], found["SERVER_NAME"]) == ("127.0.0.1", "127.0.0.1"), "not ::ffff:127.0.0.1"
    with Connection(address=("::1", server.port), family=socket.AF_INET6) as connection:
        assert dict(connection.get("/env").json()["block"])["REMOTE_ADDR"] == "::1"


def backlog_of(port):
    """What ss calls Send-Q of a listening socket."""
    out = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return int(out.stdout.split()[2])


def test_each_listener_may_have_its_backlog(serve):
    try:
        subprocess.run(["ss", "-V"], capture_output=True, check=True)
    except OSError:
        pytest.skip("no ss on this machine")
    server = serve(listen=["127.0.0.1:0?backlog=5", "127.0.0.1:0"], backlog="7")
    assert [backlog_of(port) for port in server.ports] == [5, 7]


def test_one_server_at_many_doors(serve, pair, tmp_path):
    path = tmp_path / "evy.sock"
    plain = [f"127.0.0.{i}:0" for i in range(1, 21)]
    server = serve(listen=[*plain, f"unix:{path}"])
    assert len(server.addresses) == 21
    for host, port in (address.rsplit(":", 1) for address in server.addresses[:20]):
        with Connection(address=(host, int(port))) as connection:
            assert connection.alive()
    with reach(path) as connection:
        assert connection.alive()


def test_a_door_the_host_shuts_leaves_the_others_open(serve, two):
    server = passed(serve, two, ["systemd:"])
    two[0].shutdown(socket.SHUT_RDWR)
    wait_until(lambda: [t for t in server.logged(1) if "gave up listening" in t], "the line")
    with Connection(port=server.ports[1]) as connection:
        assert connection.alive()


@pytest.mark.parametrize(
    "address, reason",
    [
        ("unix:", "unix: wants a path, or @ and a name"),
        ("unix:@", "there is no name behind the @"),
        ("unix:/" + 107 * "x", "longer than 107 bytes"),
        ("unix:@" + 107 * "x", "longer than 107 bytes"),
        ("unix:/x?mode=8", "mode is an octal number"),
        ("unix:/x?mode=1777", "mode is an octal number"),
        ("unix:/x?mode=", "mode is an octal number"),
        ("unix:/x?mode=660&owner=me", '"owner" is none of mode, user'),
        ("unix:/x?mode=660&", '"" is none of mode, user'),
        ("unix:/x?", '"" is none of mode, user'),
        ("unix:/x?user=", "user is a name or a number"),
        ("unix:@x?mode=660", "mode is for the path of a unix socket"),
        ("127.0.0.1:80?group=www", "group is for the path of a unix socket"),
        ("127.0.0.1:80?proxy=2", "proxy is 0 or 1"),
        ("127.0.0.1:80?v6only=0", "v6only is for [v6]:port"),
        ("[::1]:80?v6only=x", "v6only is 0 or 1"),
        ("127.0.0.1:80?backlog=0", "backlog is a number from 1 to 65535"),
        ("fd://", "fd:// wants the number"),
        ("fd://-1", "fd:// wants the number"),
        ("fd://3x", "fd:// wants the number"),
        ("fd://99999999999", "fd:// wants the number"),
        ("http://localhost", "its port is not a number"),
        ("localhost", "it is none of host:port"),
        ("[]:80", "its [ ] hold no address"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(serve, address, reason):
    with pytest.raises(RuntimeError) as failure:
        serve(listen=[address])
    assert "EVY_E_VALUE" in str(failure.value) and reason in str(failure.value)
