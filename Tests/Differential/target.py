# SPDX-License-Identifier: MIT
"""target - asks evy, through the program target.c, what it makes of some bytes."""
import os
import re
import struct
import subprocess

from outcome import CLOSED, OPEN, REFUSED, Outcome, Request

STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ([^\r]*)\r\n")
HEAD = re.compile(rb"(?:\r\n){0,2}HEAD ")  # more blank lines are refused ahead of it
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
BROKEN = re.compile(rb"\r\nBroken: ([A-Z_]+)\r\n")
RECORD = re.compile(rb"\r\nRecord: ([0-9a-f/]+)\r\n")


class Target:
    """One running server; inputs go in batches, so that many connections are open at once."""

    def __init__(self, program, name, *options):
        command = [program, f"evy-differential-{os.getpid()}-{name}", "error_log=off", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, inputs):
        lengths = (struct.pack("=I", len(data)) + data for data in inputs)
        self.process.stdin.write(struct.pack("=I", len(inputs)) + b"".join(lengths))
        self.process.stdin.flush()

    def receive(self, inputs):
        return [outcome(self.answer(), data) for data in inputs]

    def answer(self):
        head = self.process.stdout.read(4)
        if len(head) < 4:
            raise RuntimeError(f"evy ended in the midst of a batch, status {self.process.wait()}")
        return self.process.stdout.read(struct.unpack("=I", head)[0])

    def ask(self, *inputs):
        self.send(inputs)
        return self.receive(inputs)

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait()
        if status != 0:
            raise RuntimeError(f"evy ended with status {status}")


def outcome(answer, data):
    """Reads what the server sent to `data`: answers to what it handed out, at most one refusal behind."""
    requests, ends, position = [], [0], 0
    while position < len(answer):
        status = STATUS.match(answer, position)
        end = answer.find(b"\r\n\r\n", position)
        if status is None or end < 0:
            raise RuntimeError(f"no HTTP in what evy sent: {answer[position:position + 200]!r}")
        head = answer[position:end + 2]
        position = end + 4
        if status[1] == b"100":
            continue
        closes = b"\r\nConnection: close\r\n" in head
        record = RECORD.search(head)
        broken = BROKEN.search(head)
        if broken is not None and broken[1] == b"EVY_E_GONE":
            break  # the handler had it stream in, and its end never came
        if record is None:
            # That of HEAD has no content; which request is refused is known of the first.
            length = int(LENGTH.search(head)[1]) if broken is None else 0
            lengths = (0, length) if requests else (0 if HEAD.match(data) else length,)
            if not closes or len(answer) - position not in lengths:
                raise RuntimeError(f"a refusal that does not end the connection: {answer!r} to {data!r}")
            detail = f"{status[1].decode()} {status[2].decode()}"
            return Outcome(requests, REFUSED, detail, ends=tuple(ends[1:]))
        requests.append(request(record[1]))
        ends.append(ends[-1] + int(record[1].rpartition(b"/")[2]))
        if closes:
            if position != len(answer):
                raise RuntimeError(f"something follows Connection: close: {answer!r}")
            return Outcome(requests, CLOSED, ends=tuple(ends[1:]))
    return Outcome(requests, OPEN, ends=tuple(ends[1:]))


def request(record):
    *texts, _wire = record.split(b"/")
    method, target, version, _host, block, body, _trailers = (bytes.fromhex(t.decode()) for t in texts)
    items = block.split(b"\0")
    fields = tuple((n.lower(), v) for n, v in zip(items[0:-1:2], items[1::2]))
    return Request(method, target, version.removeprefix(b"HTTP/"), fields, body)
