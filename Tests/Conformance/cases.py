# SPDX-License-Identifier: MIT
# cases - reads the cases of Tests/Conformance/http1 (its README has the form).
"""A case is bytes as a client sends them, and what becomes of them."""

import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent / "http1"
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|\*(\d+)\{(.*?)\}|.)")
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t"}
RULE = re.compile(r"RFC \d{4} section \d|row \d")
REFUSAL = re.compile(r"(?:.* and )?(\d{3}) (.+)")


class Case:
    def __init__(self, file, title, rule):
        self.file, self.title, self.rule = file, title, rule
        self.settings, self.bytes, self.expected = [], b"", []
        """Where the bytes may be cut: everywhere but in the midst of a repetition."""
        self.cuts = []

    def add(self, line):
        """One line of bytes, with \\r \\n \\t \\\\ \\xNN and \\*N{...} for N times what the braces hold."""
        at = 0
        for found in ESCAPE.finditer(line):
            self._append(line[at : found.start()])
            if found[2]:
                before, turn, count = len(self.bytes), unescaped(found[3]), int(found[2])
                self.bytes += turn * count
                inner = {n for n in (0, 1, 2) for n in (before + n, len(self.bytes) - n)}
                self.cuts += sorted(n for n in inner if before <= n < len(self.bytes))
            else:
                self._append(unescaped(found[0]))
            at = found.end()
        self._append(line[at:])

    def _append(self, piece):
        self.cuts += range(len(self.bytes), len(self.bytes) + len(piece))
        self.bytes += piece

    @property
    def name(self):
        return f"{self.file}: {self.title}"

    @property
    def refusal(self):
        """(status, reason) of the refusal at the end, or None."""
        found = REFUSAL.fullmatch(self.expected[-1]) if self.expected else None
        return found and (int(found[1]), found[2])

    @property
    def is_open(self):
        """The last request is not complete."""
        return bool(self.expected) and re.search(r"(^| and )more$", self.expected[-1]) is not None

    def fault(self):
        """What is wrong with the case itself, or None."""
        if not self.bytes or not self.expected:
            return "no bytes, or no expectation"
        if not RULE.search(self.rule):
            return "no rule: a comment above names the RFC's section"
        wanted = "invalid" if self.refusal else "valid"
        return None if self.file.startswith(wanted + "/") else f"belongs into {wanted}/"


def unescaped(text):
    def byte(found):
        mark = found[1]
        return ESCAPES.get(mark) or (bytes([int(mark[1:], 16)]) if len(mark) == 3 else mark)

    return ESCAPE.sub(byte, text)


def read(file, text):
    cases, rule = [], ""
    for line in text.split(b"\n"):
        if line.startswith(b"# "):
            rule = line.decode()
        elif line.startswith(b"== "):
            cases.append(Case(file, line[3:].decode(), rule))
        elif line.startswith(b"set "):
            cases[-1].settings = line[4:].decode().split()
        elif line.startswith(b"--> "):
            cases[-1].expected.append(line[4:].decode())
        elif line:
            cases[-1].add(line)
    return cases


def all_cases(folder=FOLDER):
    """Every case, in the order of the files."""
    found = []
    for path in sorted(folder.glob("*/*.http")):
        found += read(f"{path.parent.name}/{path.name}", path.read_bytes())
    return found
