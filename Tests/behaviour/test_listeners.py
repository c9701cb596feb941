# SPDX-License-Identifier: MIT
# test_listeners - IPv4, IPv6, every address, unix paths, adopted descriptors, port 0, and what fails.

import contextlib
import os
import re
import select
import socket
import stat

import pytest
from client import free_port
from support import Connection, wait_until


def test_port_zero_is_chosen_by_the_kernel_and_told(serve):
    server = serve(listen=["127.0.0.1:0", "127.0.0.1:0"])
    assert len(set(server.ports)) == 2 and all(port > 0 for port in server.ports)
    assert server.addresses == [f"127.0.0.1:{port}" for port in server.ports]
    for port in server.ports:
        with Connection(port=port) as connection:
            assert connection.alive()


def test_an_empty_host_means_every_ipv4_address(serve):
    server = serve(listen=[":0"])
    assert server.addresses == [f"0.0.0.0:{server.port}"]
    for host in ("127.0.0.1", "127.0.0.2"):
        with Connection(address=(host, server.port)) as connection:
            assert connection.alive()


def test_names_are_resolved(serve):
    server = serve(listen=["localhost:0"])
    with Connection(address=("localhost", server.port)) as connection:
        assert connection.alive()


@pytest.mark.parametrize("address, host", [("[::1]:0", "::1"), ("[::]:0", "::1")])
def test_ipv6(serve, has_ipv6, address, host):
    if not has_ipv6:
        pytest.skip("no IPv6 on this machine")
    server = serve(listen=[address])
    assert server.addresses == [address[:-1] + str(server.port)]
    with Connection(address=(host, server.port), family=socket.AF_INET6) as connection:
        assert connection.alive()


@pytest.mark.parametrize("suffix, mode", [("", None), ("?mode=660", 0o660), ("?mode=600", 0o600)])
def test_unix_path_and_its_mode(serve, tmp_path, suffix, mode):
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}{suffix}"])
    assert server.addresses[0].startswith(f"unix:{path}") and server.ports == [0]
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert mode is None or path.stat().st_mode & 0o777 == mode
    with Connection(address=str(path), family=socket.AF_UNIX) as connection:
        assert connection.alive() and connection.alive()


@pytest.mark.parametrize("listening", [True, False])
def test_an_adopted_socket_stays_usable_after_the_stop(serve, listening):
    """Two servers one after the other on the same descriptor; in between clients wait instead of failing."""
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        if listening:
            mine.listen(64)
        port = mine.getsockname()[1]
        for _ in range(2):
            server = serve("--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),))
            assert server.port == port
            with Connection(port=port) as connection:
                assert connection.alive()
            server.command("stop", 0, 1000)
            assert server.command("wait", 0, 5000) == "EVY_OK"
            server.finish()
        waiting = Connection(port=port)  # the parent's socket still listens
        server = serve("--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),))
        assert waiting.alive()
        waiting.close()
        mine.getsockname()


def test_an_adopted_unix_socket(serve, tmp_path):
    path = str(tmp_path / "evy.sock")
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(path)
        mine.listen(8)
        server = serve("--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),))
        with Connection(address=path, family=socket.AF_UNIX) as connection:
            assert connection.alive()
        server.finish()
        assert os.path.exists(path), "only who bound a path removes it"


@pytest.mark.parametrize(
    "make",
    [lambda: socket.socket(), lambda: socket.socket(type=socket.SOCK_DGRAM), lambda: open("/dev/null", "rb")],
    ids=["unbound", "datagram", "file"],
)
def test_a_descriptor_that_is_no_bound_stream_socket_is_refused(serve, make):
    with make() as wrong:
        with pytest.raises(RuntimeError, match="EVY_E_(VALUE|ARG)"):
            serve("--listen-fd", str(wrong.fileno()), pass_fds=(wrong.fileno(),))


def test_an_address_in_use_is_named(serve):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(RuntimeError, match="EVY_E_BIND.*" + address.replace(".", r"\.")):
            serve(listen=[address])


@pytest.mark.parametrize(
    "address, status",
    [
        ("192.0.2.1:0", "EVY_E_BIND"),
        ("a" * 64 + ".example:80", "EVY_E_BIND"),
        ("unix:/nonexistent/x.sock", "EVY_E_BIND"),
        ("127.0.0.1", "EVY_E_VALUE"),
        ("127.0.0.1:", "EVY_E_VALUE"),
        ("127.0.0.1:65536", "EVY_E_VALUE"),
        ("127.0.0.1:-1", "EVY_E_VALUE"),
        ("127.0.0.1:http", "EVY_E_VALUE"),
        ("[::1:80", "EVY_E_VALUE"),
        ("", "EVY_E_VALUE"),
        ("unix:", "EVY_E_VALUE"),
        ("unix:" + "a" * 200, "EVY_E_VALUE"),
        ("unix:/tmp/x?mode=9", "EVY_E_VALUE"),
        ("127.0.0.1:80x", "EVY_E_VALUE"),
    ],
)
def test_a_bad_address_is_named_with_its_status(serve, address, status):
    with pytest.raises(RuntimeError) as failure:
        serve(listen=[address])
    assert status in str(failure.value)
    assert address[:40] in str(failure.value)


def test_when_one_of_several_addresses_fails_none_stays_open(serve):
    free = f"127.0.0.1:{free_port()}"
    with pytest.raises(RuntimeError, match="EVY_E_BIND"):
        serve(listen=[free, "192.0.2.1:0"])
    assert serve(listen=[free]).addresses == [free]


def test_a_port_can_be_taken_again_at_once(serve):
    """Connections in TIME_WAIT do not hold the address."""
    address = f"127.0.0.1:{free_port()}"
    server = serve(listen=[address])
    with Connection(server) as connection:
        connection.get("/hello", "Connection: close")
        connection.rest()
    server.finish()
    with Connection(serve(listen=[address])) as connection:
        assert connection.alive()


def test_reuse_port_lets_two_processes_share_and_its_absence_does_not(serve):
    first = serve(reuse_port="true")
    second = serve(listen=first.addresses, reuse_port="true")
    assert second.port == first.port
    with pytest.raises(RuntimeError, match="EVY_E_BIND"):
        serve(listen=first.addresses)


def test_descriptors_are_closed_in_children(serve):
    """Every descriptor of the server beyond the standard ones and those passed to it is close-on-exec."""
    server = serve()
    with Connection(server) as connection:
        assert connection.alive()
        seen = 0
        for name in os.listdir(f"/proc/{server.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # one that was closed meanwhile
                target = os.readlink(f"/proc/{server.pid}/fd/{name}")
                if target.startswith(("socket:", "anon_inode:")):
                    with open(f"/proc/{server.pid}/fdinfo/{name}") as info:
                        flags = next(line for line in info if line.startswith("flags:"))
                    assert int(flags.split()[1], 8) & os.O_CLOEXEC, (name, target)
                    seen += 1
        assert seen >= 3, "the listener, the connection and the epoll set"


# ---- what is told at the start


def startup(server):
    def lines():
        return [text for text in server.logged(worst=3) if "starting up" in text]

    return wait_until(lambda: len(lines()) == len(server.addresses) and lines(), "the startup lines")


def test_each_listener_has_its_startup_line(serve, pair, tmp_path):
    path = tmp_path / "evy.sock"
    plain = ["--listen", "127.0.0.1:0", "--listen", f"unix:{path}"]
    server = serve(*plain, "--tls", *pair, "--listen", ":0", log_level="info")
    assert startup(server) == [
        f"({server.pid}) wsgi starting up on http://127.0.0.1:{server.ports[0]}/",
        f"({server.pid}) wsgi starting up on http:{path}",
        f"({server.pid}) wsgi starting up on https://0.0.0.0:{server.ports[2]}/",
    ]


@pytest.mark.parametrize("scheme, implied, other", [("http", 80, 443), ("https", 443, 80)])
def test_the_startup_line_leaves_out_the_port_that_the_scheme_implies(serve, pair, scheme, implied, other):
    # Of this process alone: others may run this test at the same time.
    host = f"127.80.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    addresses = [f"{host}:{implied}", f"{host}:{other}"]
    for address in addresses:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(address.split(":")[1])))
            except OSError as error:
                pytest.skip(f"{address} cannot be had here: {error}")
    server = serve(listen=addresses, tls=pair if scheme == "https" else None)
    assert [text.split(" on ")[1] for text in startup(server)] == [
        f"{scheme}://{host}/",
        f"{scheme}://{host}:{other}/",
    ]


# ---- what the options of a listener do


def accepted_by_the_kernel(server, count):
    """How many of count connections the kernel completes while the server does not accept."""
    clients = [socket.socket() for _ in range(count)]
    poll = select.poll()
    done = 0
    with server.stopped():
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
            poll.register(client, select.POLLOUT)
        # Those the kernel drops are tried again after a second: a pause of 0.3 s ends the completed ones.
        while done < count and (completed := poll.poll(300)):
            for descriptor, _ in completed:
                poll.unregister(descriptor)
            done += len(completed)
    for client in clients:
        client.close()
    return done


def test_backlog_is_what_the_kernel_holds(serve):
    assert accepted_by_the_kernel(serve(backlog="3"), 20) == 4, "the kernel takes one more than it is told"
    assert accepted_by_the_kernel(serve(), 20) == 20


def test_every_ipv6_address_leaves_the_ipv4_ones_alone(serve, has_ipv6):
    if not has_ipv6:
        pytest.skip("no IPv6 on this machine")
    server = serve(listen=[f"[::]:{free_port()}"])
    with pytest.raises(ConnectionRefusedError):
        Connection(address=("127.0.0.1", server.port))
    both = serve(listen=[f"127.0.0.1:{server.port}"])
    assert both.port == server.port


# ---- the file of a unix socket


def test_the_path_goes_with_its_server_and_nothing_else_does(serve, tmp_path):
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}"])
    server.command("stop", 0, 0)
    assert server.command("wait", 0, 5000) == "EVY_OK"
    assert not path.exists()


def test_a_path_left_by_a_dead_server_is_taken_over(serve, tmp_path):
    path = tmp_path / "evy.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    serve(listen=[f"unix:{path}"])
    with Connection(address=str(path), family=socket.AF_UNIX) as connection:
        assert connection.alive()


def test_a_path_in_use_is_refused_and_left_alone(serve, tmp_path):
    path = tmp_path / "evy.sock"
    serve(listen=[f"unix:{path}"])
    with pytest.raises(RuntimeError, match=f"EVY_E_BIND.*{re.escape(str(path))}"):
        serve(listen=[f"unix:{path}"])
    with Connection(address=str(path), family=socket.AF_UNIX) as connection:
        assert connection.alive()
    plain = tmp_path / "plain"
    plain.write_text("mine")
    with pytest.raises(RuntimeError, match=f"EVY_E_BIND.*{re.escape(str(plain))}"):
        serve(listen=[f"unix:{plain}"])
    assert plain.read_text() == "mine"
