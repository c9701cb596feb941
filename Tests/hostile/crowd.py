# SPDX-License-Identifier: MIT
# crowd - thousands of raw clients in one epoll set: what each has sent, when its clock began, how it ended.

import select
import socket
import ssl
import struct
import time

from figures import size
from support import FACTOR, PATIENCE, client_context, raw_request

HELLO = raw_request("GET", "/hello")


class Begun(socket.socket):
    """began: a moment ahead of its connecting."""

    began = 0.0


def raw_socket(port, rcvbuf=None, source=None):
    """A connected socket, Nagle off."""
    sock = Begun()
    sock.began = time.monotonic()
    sock.settimeout(PATIENCE)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if source:
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        sock.bind((source, 0))
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Pipe:
    """TLS by hand over a socket, so that records can be held back, cut and counted."""

    def __init__(self, sock, context=None):
        self.socket, self.sent = sock, 0
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self.incoming, self.outgoing)

    def step(self, call, *arguments):
        """Calls, moving records both ways until the call need not wait."""
        while True:
            try:
                result = call(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()

    def flush(self):
        data = self.outgoing.read()
        self.sent += len(data)
        self.socket.sendall(data)

    def handshake(self):
        self.step(self.tls.do_handshake)
        return self

    def request(self, data):
        self.step(self.tls.write, data)
        return self

    def read(self):
        return self.step(self.tls.read, 65536)


class Member:
    """One client. began: ahead of its deadline's clock; ended: None, or when; how: eof or reset."""

    def __init__(self, sock):
        self.socket, self.began, self.ended, self.how = sock, sock.began, None, None
        self.looked = sock.began
        self.data, self.received = b"", 0
        sock.setblocking(False)

    def send(self, data):
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return -1

    def heard(self, data):
        self.received += len(data)
        self.data = (self.data + data)[:1000]

    def look(self):
        """For one that does not read: its clock begins anew as long as its own TCP still takes bytes."""
        now = time.monotonic()
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        taken = struct.unpack_from("=Q", info, 128)[0]  # tcpi_bytes_received
        if taken != self.received:
            self.received, self.began = taken, self.looked  # it has been so since then, at most
        self.looked = now

    def finish(self, how):
        self.ended, self.how = time.monotonic(), how
        self.socket.close()


class Crowd:
    """A class of clients, watched by the set it belongs to."""

    def __init__(self, watch, name, reads=True):
        self.watch, self.name, self.reads, self.members = watch, name, reads, []

    def join(self, sock):
        member = Member(sock)
        self.members.append(member)
        events = select.EPOLLIN if self.reads else select.EPOLLRDHUP
        self.watch.add(member, events, self.reads)
        return member

    def __len__(self):
        return len(self.members)

    @property
    def left(self):
        return [member for member in self.members if member.ended is None]

    def cut_after(self):
        """How long each one lived, in seconds; all must be over."""
        assert not self.left, f"{len(self.left)} of {len(self)} {self.name} are still there"
        return [member.ended - member.began for member in self.members]

    def each_sends(self, data):
        for member in self.left:
            member.send(data)

    def close(self):
        for member in self.left:
            member.finish("closed")


class Watch:
    """One epoll set for all crowds; drips are sent between its turns."""

    def __init__(self):
        self.poll, self.members, self.drips, self.crowds = select.epoll(), {}, [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for crowd in self.crowds:
            crowd.close()
        self.poll.close()

    def crowd(self, name, reads=True):
        self.crowds.append(Crowd(self, name, reads))
        return self.crowds[-1]

    def add(self, member, events, reads):
        self.members[member.socket.fileno()] = (member, reads)
        self.poll.register(member.socket.fileno(), events)

    def drip(self, crowd, data, pause):
        """Each member of the crowd sends the next byte of data after every pause."""
        self.drips.append([crowd, data, 0, pause, time.monotonic() + pause])

    def _drip(self):
        now = time.monotonic()
        for drip in self.drips:
            crowd, data, at, pause, due = drip
            if now >= due and at < len(data):
                crowd.each_sends(data[at : at + 1])
                drip[2:] = [at + 1, pause, now + pause]

    def turn(self, seconds=0.02):
        for descriptor, event in self.poll.poll(seconds):
            member, reads = self.members[descriptor]
            how = self._hear(member, event, reads)
            if how:
                del self.members[descriptor]
                self.poll.unregister(descriptor)
                member.finish(how)
        for crowd in self.crowds:
            if not crowd.reads:
                for member in crowd.left:
                    member.look()
        self._drip()

    @staticmethod
    def _hear(member, event, reads):
        """None, or how it has ended."""
        if not reads:
            return "reset" if event & (select.EPOLLERR | select.EPOLLHUP) else "eof"
        try:
            data = member.socket.recv(262144)
        except BlockingIOError:
            return None
        except OSError:
            return "reset"
        if not data:
            return "eof"
        member.heard(data)
        return None

    def until(self, condition, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.turn()

    def until_over(self, *crowds, patience):
        deadline = time.monotonic() + patience
        while any(crowd.left for crowd in crowds):
            left = {crowd.name: len(crowd.left) for crowd in crowds if crowd.left}
            assert time.monotonic() < deadline, f"still there: {left}"
            self.turn()


def in_time(crowd, seconds):
    """Cut at the deadline, not before it, and in a full run at most a second behind it."""
    times = crowd.cut_after()
    spread = f"{crowd.name}: cut after {min(times):.2f} to {max(times):.2f} s, not {seconds:.2f}"
    assert 0.95 * seconds <= min(times) and max(times) <= seconds + size(5, 1) * FACTOR, spread
    return times


def check_causes(crowds, timeouts):
    """Each was cut by its own deadline and by no other. timeouts: how many were cut, by its name."""
    expected = dict.fromkeys(timeouts, 0)
    for deadline, crowd in crowds:
        expected[deadline] += len(crowd)
    assert timeouts == expected
