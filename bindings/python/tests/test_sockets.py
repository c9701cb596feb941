# SPDX-License-Identifier: MIT
# test_sockets - listen, connect and serve: families, options, files that dead servers left, errors by name.

import errno
import os
import socket
import stat
import struct
import threading

import evy
import pytest
from client import wait_until


def option(sock, name):
    return sock.getsockopt(socket.SOL_SOCKET, name)


def test_listen_gives_a_real_socket():
    with evy.listen(("127.0.0.1", 0)) as sock:
        assert isinstance(sock, socket.socket)
        assert option(sock, socket.SO_REUSEADDR) and not option(sock, socket.SO_REUSEPORT)
        assert sock.getsockname()[0] == "127.0.0.1" and sock.getsockname()[1] > 0
        with evy.connect(sock.getsockname()) as client, sock.accept()[0] as peer:
            client.sendall(b"x")
            assert peer.recv(1) == b"x"
    with evy.listen(("", 0), reuse_addr=False) as sock:
        assert sock.getsockname()[0] == "0.0.0.0" and not option(sock, socket.SO_REUSEADDR)


def test_backlog():
    """A server leaves it, unless it is told."""
    for keywords, backlog in (({}, 50), ({"backlog": 7}, 7)):
        with evy.listen(("127.0.0.1", 0), **keywords) as sock:
            assert backlog_of(sock) == backlog
            with evy.wsgi.Server(sock, print, log_output=False):
                assert backlog_of(sock) == backlog
            with evy.wsgi.Server([sock], print, log_output=False, backlog=90):
                assert backlog_of(sock) == 90


def backlog_of(sock):
    """tcpi_sacked, which is the most that a listening socket lets wait."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)[0]


def test_several_may_share_a_port_if_all_say_so():
    with evy.listen(("127.0.0.1", 0), reuse_port=True) as one:
        with evy.listen(one.getsockname(), reuse_port=True) as other:
            assert other.getsockname() == one.getsockname()
        with pytest.raises(OSError) as caught:
            evy.listen(one.getsockname())
    assert caught.value.errno == errno.EADDRINUSE and "127.0.0.1" in str(caught.value)


def test_ipv6():
    with evy.listen(("::1", 0), socket.AF_INET6, 5) as sock:
        assert sock.family == socket.AF_INET6
        evy.connect(sock.getsockname()[:2], socket.AF_INET6).close()


def test_connect_from_a_given_address():
    with evy.listen(("127.0.0.1", 0)) as sock:
        with evy.connect(sock.getsockname(), bind=("127.0.0.9", 0)) as client:
            assert client.getsockname()[0] == "127.0.0.9"
    with pytest.raises(ConnectionRefusedError):
        evy.connect(sock_address())


def sock_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


def test_a_file_that_a_dead_server_left_is_replaced(tmp_path):
    path = str(tmp_path / "evy.sock")
    evy.listen(path, socket.AF_UNIX).close()
    assert stat.S_ISSOCK(os.stat(path).st_mode), "the file stays, so that a dup() can go on being reached"
    with evy.listen(path, socket.AF_UNIX) as sock:
        with evy.connect(path, socket.AF_UNIX), pytest.raises(OSError) as caught:
            evy.listen(path, socket.AF_UNIX)
        assert caught.value.errno == errno.EADDRINUSE and path in str(caught.value)
        assert sock.getsockname() == path


def test_a_live_server_with_a_full_backlog_is_not_replaced(tmp_path):
    path = str(tmp_path / "evy.sock")
    clients = []
    with evy.listen(path, socket.AF_UNIX, backlog=0):
        try:
            while True:
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].setblocking(False)
                clients[-1].connect(path)
        except BlockingIOError:
            with pytest.raises(OSError):
                evy.listen(path, socket.AF_UNIX)
        for one in clients:
            one.close()


def test_other_files_are_left_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(OSError, match="file"):
        evy.listen(str(path), socket.AF_UNIX)
    assert path.read_text() == "precious"
    with pytest.raises(FileNotFoundError):
        evy.listen(str(tmp_path / "no" / "folder"), socket.AF_UNIX)


@pytest.fixture
def serving():
    """serving(handle, **keywords) runs evy.serve in a thread; .end() stops it, .failure is what it raised."""
    started = []

    class Serving(threading.Thread):
        def __init__(self, sock, handle, keywords):
            super().__init__()
            self.sock, self.handle, self.keywords, self.failure = sock, handle, keywords, None

        def run(self):
            try:
                evy.serve(self.sock, self.dispatch, **self.keywords)
            except BaseException as error:
                self.failure = error

        def dispatch(self, connection, address):
            data = connection.recv(100)
            if data == b"stop":
                raise evy.StopServe
            return self.handle(connection, address, data)

        def connect(self, data):
            client = evy.connect(self.sock.getsockname())
            client.settimeout(10)
            client.sendall(data)
            return client

        def end(self):
            if self.is_alive():
                self.connect(b"stop").close()
            self.join(10)
            assert not self.is_alive()

    def start(handle, sock=None, **keywords):
        started.append(Serving(sock or evy.listen(("127.0.0.1", 0)), handle, keywords))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.end()
        one.sock.close()


def test_serve_calls_for_each_connection_and_closes_it(serving):
    addresses = []

    def handle(connection, address, data):
        addresses.append(address)
        connection.sendall(data.upper())

    server = serving(handle)
    for _ in range(3):
        with server.connect(b"word") as client:
            assert (client.recv(100), client.recv(100)) == (b"WORD", b"")
            assert client.getsockname() in addresses
    server.sock.settimeout(7)
    server.end()
    assert server.failure is None


def test_serve_restores_the_sockets_timeout(serving):
    sock = evy.listen(("127.0.0.1", 0))
    sock.settimeout(7)
    serving(lambda connection, address, data: None, sock=sock).end()
    assert sock.gettimeout() == 7


def test_an_exception_of_the_handler_leaves_serve(serving):
    def handle(connection, address, data):
        raise ValueError("from the handler")

    server = serving(handle)
    server.connect(b"x").close()
    server.join(10)
    assert isinstance(server.failure, ValueError) and "from the handler" in str(server.failure)


def test_serve_keeps_to_its_concurrency(serving):
    may_end, inside, most = threading.Semaphore(0), [], []

    def handle(connection, address, data):
        inside.append(data)
        most.append(len(inside))
        may_end.acquire(timeout=10)
        inside.remove(data)

    server = serving(handle, concurrency=2)
    clients = [server.connect(b"%d" % number) for number in range(5)]
    for ended in range(5):
        wait_until(lambda: len(most) >= min(5, ended + 2), "the next ones")
        may_end.release()
    for client in clients:
        assert client.recv(1) == b""
        client.close()
    assert max(most) == 2


def test_serve_over_tls(serving, pairs):
    sock = evy.wrap_ssl(
        evy.listen(("127.0.0.1", 0)), pairs / "private.key", pairs / "cert.crt", server_side=True
    )
    server = serving(lambda connection, address, data: connection.sendall(data * 2), sock=sock)

    def connect(data):
        client = evy.wrap_ssl(
            evy.connect(sock.getsockname()), ca_certs=pairs / "cert.crt", server_hostname="localhost"
        )
        client.sendall(data)
        return client

    with evy.connect(sock.getsockname()):  # says nothing, and holds up nobody
        with connect(b"ab") as client:
            assert client.recv(10) == b"abab"
        server.connect = connect
        server.end()
    assert server.failure is None


def test_wrong_arguments_of_serve():
    sock = evy.listen(("127.0.0.1", 0))
    with pytest.raises(ValueError, match="concurrency"):
        evy.serve(sock, print, 0)
    sock.close()
    with pytest.raises(ValueError, match="closed"):
        evy.serve(sock, print)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(OSError) as caught:
            evy.serve(silent, print)
    assert caught.value.errno == errno.EINVAL
