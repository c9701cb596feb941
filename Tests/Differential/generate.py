# SPDX-License-Identifier: MIT
"""generate - random requests out of right and wrong pieces, then mutated; the same ones for a seed."""
import pathlib
import random
import re

from pieces import (
    CODINGS, COLONS, CONNECTIONS, ENDS, EXPECTS, EXTENSIONS, HOSTS, LENGTHS, METHODS, OTHERS, PIECES, TARGETS,
    TRAILERS, VERSIONS)

CASES = pathlib.Path(__file__).resolve().parent.parent / "Conformance" / "http1"
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
SEED_LONGEST = 3000

PROBE = b"GET /probe HTTP/1.1\r\nHost: p\r\n\r\n"
MARKS = re.compile(rb"[\r\n:;, =/.?]")


def unescape(line):
    return re.sub(rb"\\(x[0-9a-f]{2}|.)", lambda m: ESCAPES.get(m[1]) or bytes([int(m[1][1:], 16)]), line)


def seeds(folder=CASES):
    """The requests of the conformance cases, in all folders."""
    found = set()
    for path in sorted(folder.rglob("*.http")):
        for case in (b"\n" + path.read_bytes()).split(b"\n== ")[1:]:
            lines = [x for x in case.split(b"\n")[1:] if not x.startswith((b"set ", b"--> "))]
            try:
                found.add(b"".join(map(unescape, lines)))
            except ValueError:
                continue  # an escape of a newer form
    return sorted(x for x in found if 0 < len(x) <= SEED_LONGEST)


class Generator:
    def __init__(self, seed, examples):
        self.random = random.Random(seed)
        self.examples = examples

    def maybe(self, chance):
        return self.random.random() < chance

    def input(self):
        pick = self.random.random()
        if pick < 0.25:
            data = self.random.choice(self.examples)
        else:
            data = self.request()
        if self.maybe(0.3):
            data += self.request()
        for _ in range(self.random.choice((0, 1, 1, 1, 1, 2, 2, 3, 5))):
            data = self.mutated(data)
        if self.maybe(0.6):
            data += PROBE
        return data

    def request(self):
        choice, maybe = self.random.choice, self.maybe
        lines = []
        body = self.framing(lines)
        if maybe(0.95):
            lines.append((b"Host", self.host() if maybe(0.3) else b"a"))
        if maybe(0.04):
            lines.append((b"Host", self.host()))
        if maybe(0.25):
            lines.append((b"Connection", choice(CONNECTIONS)))
        if maybe(0.08):
            lines.append((b"Expect", choice(EXPECTS)))
        while maybe(0.35):
            lines.append(choice(OTHERS))
        self.random.shuffle(lines)
        strange = maybe(0.15)
        words = [choice(METHODS) if maybe(0.5) else b"POST", choice(TARGETS) if maybe(0.5) else b"/",
                 choice(VERSIONS) if maybe(0.4) else b"HTTP/1.1"]
        text = [choice(PIECES) if maybe(0.02) else b"",
        b" ".join(words), choice(ENDS) if strange else b"\r\n"]
        for name, value in lines:
            if maybe(0.1):
                name = choice((name.lower(), name.upper(), name.swapcase()))
            text += [name, choice(COLONS) if strange else b": ", value, choice(ENDS) if strange else b"\r\n"]
        return b"".join([*text, choice(ENDS) if strange else b"\r\n", body])

    def host(self):
        if self.maybe(0.8):
            return self.random.choice(HOSTS)
        groups = self.random.choices(
            (b"1:", b"0aF9:", b":", b"::", b"1", b"1.2.3.4", b"255.0.1", b"12345", b"g"),
            (20, 9, 3, 3, 3, 2, 1, 1, 1), k=self.random.randrange(1, 10))
        return b"[" + b"".join(groups) + b"]"

    def framing(self, lines):
        """Adds fields that tell the body's length; gives a body that mostly fits."""
        maybe = self.maybe
        if maybe(0.25):
            return b""
        if maybe(0.5):
            body = b"abc"[:self.random.choice((0, 1, 3, 3, 3))]
            length = self.random.choice(LENGTHS) if maybe(0.3) else b"%d" % len(body)
            lines.append((b"Content-Length", length))
            if maybe(0.06):
                lines.append((b"Content-Length", self.random.choice([length, *LENGTHS])))
            if maybe(0.06):
                lines.append((b"Transfer-Encoding", self.random.choice(CODINGS)))
            return body
        lines.append((b"Transfer-Encoding", self.random.choice(CODINGS) if maybe(0.5) else b"chunked"))
        if maybe(0.05):
            lines.append((b"Transfer-Encoding", self.random.choice(CODINGS)))
        return self.chunks()

    def chunks(self):
        choice, maybe = self.random.choice, self.maybe
        text = []
        while maybe(0.6):
            size = choice((b"3", b"3", b"3", b"03", b"0003", b"0x3", b"3 ", b"+3", b" 3", b"2", b"4", b"-3",
            b"G", b"",
                           b"ffffffffffffffff", b"10000000000000003", b"00000000000000003", b"80000000")) \
                if maybe(0.15) else b"3"
            data = choice((b"abc", b"abc", b"0\r\n", b"\r\n\r", b"GET")) if maybe(0.3) else b"abc"
            end = choice(ENDS) if maybe(0.05) else b"\r\n"
            text += [size, choice(EXTENSIONS), choice(ENDS) if maybe(0.05) else b"\r\n", data, end]
        last = choice((b"0", b"00", b"000000000000000000", b"", b"0x0", b"-0", b"0 ")) if maybe(0.1) else b"0"
        text += [last, choice(EXTENSIONS),
        b"\r\n", choice(TRAILERS), choice(ENDS) if maybe(0.05) else b"\r\n"]
        return b"".join(text)

    # MARK: mutations

    def mutated(self, data):
        return self.random.choice((
            self.inserted, self.inserted, self.inserted, self.deleted, self.replaced, self.doubled_line,
            self.removed_line, self.swapped_lines, self.other_end, self.cut, self.other_case,
            self.other_digit, self.spliced))(data)

    def place(self, data):
        """A position, more often than not beside a byte that means something."""
        if self.maybe(0.6):
            marks = [m.start() for m in MARKS.finditer(data)]
            if marks:
                return self.random.choice(marks) + self.random.randrange(2)
        return self.random.randrange(len(data) + 1)

    def inserted(self, data):
        at = self.place(data)
        return data[:at] + self.random.choice(PIECES) * self.random.choice((1, 1, 1, 1, 2, 3)) + data[at:]

    def deleted(self, data):
        at = self.place(data)
        return data[:at] + data[at + self.random.choice((1, 1, 1, 2, 3)):]

    def replaced(self, data):
        at = self.place(data)
        return data[:at] + self.random.choice(PIECES) + data[at + 1:]

    def lines(self, data):
        return data.split(b"\r\n")

    def doubled_line(self, data):
        lines = self.lines(data)
        at = self.random.randrange(len(lines))
        return b"\r\n".join(lines[:at + 1] + lines[at:])

    def removed_line(self, data):
        lines = self.lines(data)
        del lines[self.random.randrange(len(lines))]
        return b"\r\n".join(lines)

    def swapped_lines(self, data):
        lines = self.lines(data)
        first, second = (self.random.randrange(len(lines)) for _ in "ab")
        lines[first], lines[second] = lines[second], lines[first]
        return b"\r\n".join(lines)

    def other_end(self, data):
        at = [m.start() for m in re.finditer(rb"\r\n", data)]
        if not at:
            return data
        place = self.random.choice(at)
        return data[:place] + self.random.choice(ENDS[60:]) + data[place + 2:]

    def cut(self, data):
        return data[:self.place(data)]

    def other_case(self, data):
        at = self.place(data)
        return data[:at] + data[at:at + 3].swapcase() + data[at + 3:]

    def other_digit(self, data):
        at = [m.start() for m in re.finditer(rb"\d", data)]
        if not at:
            return data
        place = self.random.choice(at)
        return data[:place] + b"%d" % self.random.randrange(10) + data[place + 1:]

    def spliced(self, data):
        other = self.random.choice(self.examples)
        return data[:self.place(data)] + other[self.place(other):]
