# SPDX-License-Identifier: MIT
# run - feeds every case of http1 to a server over sockets, and proves that no byte becomes a second request.
# Usage: run.py [--cuts] [NAME...]: whole and byte by byte; with --cuts also cut in two at every point.
"""Each case goes to two servers: to one that takes the body before its handler runs, and to one that answers
ahead of the body. EVY_LIB_DIR, EVY_INCLUDE_DIR, EVY_CFLAGS and CC are those of the behaviour tests."""

import os
import pathlib
import resource
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter

from answers import CONTINUE, Fault, check_refusal, check_request, take_answer
from cases import all_cases

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 10 * float(os.environ.get("EVY_TIME_FACTOR", "1"))
PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
SANITIZED = "-fsanitize" in os.environ.get("EVY_CFLAGS", "")
"""Scenario 8: memory that all the cases together may leave behind."""
GROWTH_MAX = 8 << 20
"""Deadlines are not the subject here: many connections wait for their turn."""
UNHURRIED = [f"{name}_timeout=-1" for name in ("header", "idle", "body")]
UNHURRIED += ["body_min_rate=0", "linger_timeout=1h"]
"""Connections open at the same time."""
FLIGHT = 300


class Servers:
    """The C program: a server for each set of options, with the body ahead of the handler or behind it."""

    def __init__(self, cases):
        self.keys = sorted({(*case.settings, body) for case in cases for body in ("buffer", "stream")})
        folder = os.environ.get("EVY_LIB_DIR", HERE.parents[1] / ".build" / "release")
        library = pathlib.Path(folder).resolve()
        headers = os.environ.get("EVY_INCLUDE_DIR", HERE.parents[1] / "Include")
        with tempfile.TemporaryDirectory() as build:
            program = f"{build}/server"
            flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-I", headers]
            flags += shlex.split(os.environ.get("EVY_CFLAGS", ""))
            link = ["-L", library, f"-Wl,-rpath,{library}", "-levy"]
            compiler = os.environ.get("CC", "cc")
            subprocess.run([compiler, *flags, HERE / "server.c", "-o", program, *link], check=True)
            groups = [word for key in self.keys for word in (*self.options(key), "--")]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen([program, *groups[:-1]], stdin=pipe, stdout=pipe)
            ports = self.process.stdout.readline().split()
        self.ports = dict(zip(self.keys, map(int, ports)))
        assert len(self.ports) == len(self.keys), "a server did not start"
        self.guides = {key: connected(port) for key, port in self.ports.items()}
        self.expected, self.names = Counter(), {}

    @staticmethod
    def options(key):
        *settings, body = key
        given = [setting if "=" in setting else f"{setting}=true" for setting in settings]
        return [f"body={body}", "error_log=off", *UNHURRIED, *given]

    def note(self, connection, count, name):
        """Handlers must have had `count` requests of this connection."""
        port = connection.getsockname()[1]
        self.expected[port] += count
        self.names.setdefault(port, []).append(name)

    def wait(self, keys):
        """Until the servers have read what was sent before: they serve in the order in which they wake."""
        for key in keys:
            self.guides[key].sendall(PROBE)
            self.note(self.guides[key], 1, "guide")
        for key in keys:
            Play.answer(self.guides[key], b"")

    def handled(self):
        """What handlers had and should not have had, or the other way round, since the last time."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().decode().split()
        seen = Counter({int(port): int(count) for port, count in (word.split("=") for word in words)})
        for port in sorted(seen.keys() | self.expected.keys()):
            if seen[port] != self.expected[port]:
                names = " or ".join(self.names.get(port, ["nobody"]))
                yield f"{names}: {seen[port]} requests were handled, not {self.expected[port]}"
        self.expected, self.names = Counter(), {}

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def finish(self):
        for guide in self.guides.values():
            guide.close()
        self.process.stdin.close()
        return self.process.wait(3 * PATIENCE)


def take_continue(connection, data):
    """What came behind 100 Continue, which must come."""
    while len(data) < len(CONTINUE) and (piece := connection.recv(65536)):
        data += piece
    if not data.startswith(CONTINUE):
        raise Fault(f"{data!r} instead of 100 Continue")
    return data[len(CONTINUE) :]


def connected(port):
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Play:
    """One case on one connection, in pieces."""

    def __init__(self, servers, case, body, manner, pieces, is_halved):
        self.servers, self.case, self.pieces, self.is_halved = servers, case, pieces, is_halved
        self.key = (*case.settings, body)
        self.is_early = body == "stream"
        self.name = f"{case.name} [{manner}, body={body}]"
        self.connection = connected(servers.ports[self.key])
        self.rest = b""

    def send(self, turn):
        """A refusal may come, and the connection end, before all was sent."""
        try:
            self.connection.sendall(self.pieces[turn])
            if self.is_halved and turn == len(self.pieces) - 1:
                self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.is_halved = False

    @staticmethod
    def answer(connection, data, is_to_head=False):
        """(the next answer, what came behind it)."""
        while (found := take_answer(data, is_to_head)) is None:
            piece = connection.recv(65536)
            if not piece:
                raise Fault(f"the connection ended, with {data!r}")
            data += piece
        return found

    def next_answer(self, is_to_head=False):
        answer, self.rest = self.answer(self.connection, self.rest, is_to_head)
        return answer

    def check(self):
        """All answers are those the case expects, and nothing of it is left that could become a request."""
        self.handled, closes = 0, False
        try:
            for number, expected in enumerate(self.case.expected, 1):
                closes = self.check_next(expected, number == len(self.case.expected))
                if closes:
                    break
            if not closes and self.case.is_open and not self.is_halved:
                self.check_silence()
                self.connection.shutdown(socket.SHUT_WR)
                closes = True
            if closes or self.is_halved:
                self.check_end()
            else:
                self.check_probe()
        finally:
            self.servers.note(self.connection, self.handled, self.name)

    def check_next(self, expected, is_last):
        """What comes next is what the case says; True: the connection must end behind it."""
        refusal = self.case.refusal if is_last else None
        is_answered = expected.startswith("ok") and not (refusal or expected.endswith(" and more"))
        if is_answered or (self.is_early and expected.startswith("ok")):
            answer = self.next_answer()
            self.handled += 1
            check_request(answer, expected, self.is_early)
            if answer.closes and not is_last and not (self.is_early and "framing=none" not in answer.words):
                raise Fault(f"closed behind {expected}")
            # What breaks behind an answer ends the connection, and gets no answer of its own.
            return answer.closes or refusal is not None
        if refusal:
            # Of several requests none that is refused asks for a head.
            is_to_head = self.case.bytes.startswith(b"HEAD ") and len(self.case.expected) == 1
            check_refusal(self.next_answer(is_to_head), *refusal, is_to_head)
        elif " 100-continue " in expected:
            self.rest = take_continue(self.connection, self.rest)
        return refusal is not None

    def check_probe(self):
        """The connection goes on, at the right byte."""
        self.connection.sendall(PROBE)
        self.handled += 1
        answer = self.next_answer()
        check_request(answer, "ok GET path=/probe framing=none fields=1 body= keep-alive", self.is_early)
        self.check_silence()

    def check_end(self):
        """Nothing comes but the end."""
        while not self.rest and (piece := self.connection.recv(65536)):
            self.rest += piece
        if self.rest:
            raise Fault(f"an answer too many: {self.rest!r}")

    def check_silence(self):
        """Nothing came, and the connection is open."""
        self.connection.setblocking(False)
        try:
            self.rest += self.connection.recv(65536) or b"the end"
        except BlockingIOError:
            pass
        self.connection.settimeout(PATIENCE)
        if self.rest:
            raise Fault(f"unasked: {self.rest!r}")

    def close(self):
        # With a reset: it leaves no port behind that waits for a minute.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def fly(servers, plays, probes):
    """Plays side by side, a piece of each in turn; gives the faults."""
    faults = []
    keys = sorted({play.key for play in plays})
    for _ in range(2):  # accepted, and then waited for
        servers.wait(keys)
    for turn in range(max(len(play.pieces) for play in plays)):
        active = [play for play in plays if turn < len(play.pieces)]
        for play in active:
            play.send(turn)
        servers.wait(sorted({play.key for play in active}))
    for play in plays:
        try:
            play.check()
        except (Fault, OSError) as fault:
            faults.append(f"{play.name}: {type(fault).__name__}: {fault}")
        play.close()
    for key in [play.key for play in plays] if probes else keys:
        with connected(servers.ports[key]) as connection:
            servers.note(connection, 1, f"a new connection to {key}")
            connection.sendall(PROBE)
            Play.answer(connection, b"")
    return faults + list(servers.handled())


def pieces(data, cuts):
    ends = [cut for cut in cuts if 0 < cut < len(data)] + [len(data)]
    return [data[start:end] for start, end in zip([0] + ends, ends)]


def scripts(case, manner):
    """(what it is called, pieces, is the client's side closed behind them) of each way to play a case."""
    if manner == "whole":
        return [("whole", [case.bytes], False)]
    if manner == "halved":
        return [("whole, half-closed", [case.bytes], True)]
    if manner == "bytes":
        return [("byte by byte", pieces(case.bytes, case.cuts), False)]
    cuts = case.cuts[1::2] if manner == "odd cuts" else case.cuts[2::2]
    return [(f"cut at {cut}", pieces(case.bytes, [cut]), False) for cut in cuts]


def run(servers, cases, manners):
    """(faults, how many connections there were)"""
    faults, count = [], 0
    for manner in manners:
        waiting = []
        for case in cases:
            for body in ("buffer", "stream"):
                waiting += [(case, body, *script) for script in scripts(case, manner)]
            while len(waiting) >= FLIGHT or (waiting and case is cases[-1]):
                batch, waiting = waiting[:FLIGHT], waiting[FLIGHT:]
                count += len(batch)
                faults += fly(servers, [Play(servers, *script) for script in batch], "cuts" not in manner)
    return faults, count


def main(arguments):
    # The first make room for as many connections as ever are open at once; from then on memory is level.
    manners = ["whole"], ["halved", "bytes"]
    if "--cuts" in arguments:
        manners = ["whole", "halved", "bytes", "odd cuts"], ["even cuts"]
    names = [word for word in arguments if word != "--cuts"]
    cases = [case for case in all_cases() if not names or any(name in case.name for name in names)]
    faults = [f"{case.name}: {case.fault()}" for case in cases if case.fault()]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16384), most))
    start = time.monotonic()
    servers = Servers(cases)
    servers.wait(servers.keys)
    descriptors = servers.descriptors()
    found, warmed = run(servers, cases, manners[0])
    memory = servers.resident_bytes()
    again, count = run(servers, cases, manners[1])
    growth = servers.resident_bytes() - memory
    faults += found + again
    if growth > GROWTH_MAX and not SANITIZED:
        faults.append(f"resident memory grew by {growth} bytes")
    deadline = time.monotonic() + PATIENCE
    while servers.descriptors() > descriptors and time.monotonic() < deadline:
        time.sleep(0.01)
    if servers.descriptors() > descriptors:
        faults.append(f"{servers.descriptors()} descriptors are open, not {descriptors}")
    if code := servers.finish():
        faults.append(f"the server ended with {code}")
    seconds = time.monotonic() - start
    print(
        f"{len(cases)} cases, {warmed + count} connections, {len(servers.keys)} servers, {seconds:.0f} s,"
        f" resident memory {growth >> 10:+} KiB, {len(faults)} faults"
    )
    shown = {}
    for fault in faults:
        shown.setdefault(fault.split(" [")[0], []).append(fault)
    for those in list(shown.values())[:60]:
        print(those[0] + (f" (and {len(those) - 1} more of this case)" if len(those) > 1 else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
