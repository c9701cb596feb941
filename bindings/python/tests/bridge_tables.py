# SPDX-License-Identifier: MIT
# bridge_tables - heads and bodies that applications may return, and some that they may not.

from evy.web.wsgi import ALREADY_HANDLED

HEADS = {
    "none": ("200 OK", []),
    "bare": ("200", []),
    "space": ("200 ", [("A", "")]),
    "tab": ("200 O\tK", [("A", "a\tb")]),
    "latin": ("200 \xe9", [("A", "\xe9\xff"), ("a-bC-d1x", "~")]),
    "beyond": ("200 OK", [("A", "\u20ac")]),
    "surrogate": ("200 OK", [("A", "\udc80")]),
    "newline": ("200 OK", [("A", "b\r\nC: d")]),
    "nul": ("200 OK", [("A", "b\0C")]),
    "name": ("200 OK", [("A b", "c")]),
    "empty": ("200 OK", [("", "c")]),
    "low": ("199 OK", []),
    "informational": ("100 Continue", []),
    "high": ("600 OK", []),
    "word": ("two hundred", []),
    "four": ("2000 OK", []),
    "unicode": ("\u0662\u0660\u0660 OK", []),
    "bytes": (b"200 OK", []),
    "tuple": ("200 OK", (("A", "b"),)),
    "pairs": ("200 OK", [["A", "b"]]),
    "triple": ("200 OK", [("A", "b", "c")]),
    "number": ("200 OK", [("A", 1)]),
    "nothing": ("200 OK", None),
    "length": ("200 OK", [("Content-Length", "3")]),
    "short": ("200 OK", [("content-LENGTH", "1")]),
    "long": ("200 OK", [("Content-Length", "9")]),
    "twice": ("200 OK", [("Content-Length", "3"), ("Content-Length", "3")]),
    "wordy": ("200 OK", [("Content-Length", "three")]),
    "huge": ("200 OK", [("Content-Length", "9" * 19)]),
    "chunked": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "close": ("200 OK", [("Connection", "close"), ("Date", "now"), ("Server", "mine")]),
    "repeated": ("200 OK", [("Set-Cookie", "a"), ("set-cookie", "b"), ("X-a_B-c", "d")]),
    "no-content": ("204 No Content", []),
    "not-modified": ("304 Not Modified", [("Content-Length", "3")]),
    "many": ("200 OK", [(f"X-{number}", "y" * number) for number in range(60)]),
}


class Str(str):
    pass


class Bytes(bytes):
    pass


class List(list):
    def __iter__(self):
        return iter([b"from ", b"iter"])


class Tuple(tuple):
    pass


class Closing:
    """An iterable that says how often it was closed in the next answer of the same site."""

    closed = 0

    def __init__(self, pieces, fails=False):
        self.pieces, self.fails = pieces, fails

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        Closing.closed += 1
        if self.fails:
            raise RuntimeError("close() fails")


class Unready(Closing):
    """Has no iterator, and says each time why."""

    def __iter__(self):
        self.pieces += 1
        raise ValueError(f"asked {self.pieces} times")


def failing(*pieces):
    yield from pieces
    raise ValueError("in mid-body")


class Sized:
    """An iterable that knows its length, as lists do."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def __len__(self):
        return len(self.pieces)

    def __iter__(self):
        return iter(self.pieces)


BODIES = {
    "one": lambda: [b"abc"],
    "tuple": lambda: (b"abc",),
    "none": lambda: [],
    "empty": lambda: [b""],
    "two": lambda: [b"ab", b"c"],
    "generator": lambda: (piece for piece in (b"", b"ab", b"c")),
    "bytes": lambda: b"abc",
    "str": lambda: ["abc"],
    "array": lambda: [bytearray(b"abc")],
    "view": lambda: [memoryview(b"abc")],
    "sub-bytes": lambda: [Bytes(b"abc")],
    "sub-list": lambda: List([b"abc"]),
    "sub-tuple": lambda: Tuple([b"abc"]),
    "number": lambda: [1],
    "None": lambda: None,
    "dict": lambda: {b"abc": 1},
    "big": lambda: [b"x" * 300_000],
    "same": lambda: SAME,
    "closing": lambda: Closing([b"abc"]),
    "closing-late": lambda: Closing([b"", b"abc", b""]),
    "closing-split": lambda: Closing([b"ab", b"c"]),
    "closing-over": lambda: Closing([b"abc", b"", b"more", b"and more"]),
    "closing-short": lambda: Closing([b"ab"]),
    "closing-nothing": lambda: Closing([]),
    "closing-text": lambda: Closing(["abc"]),
    "closing-wrong": lambda: Closing([b"abc", 7]),
    "closing-fails": lambda: Closing([b"abc"], fails=True),
    "failing": lambda: Closing(failing()),
    "failing-between": lambda: Closing(failing(b"ab")),
    "failing-behind": lambda: Closing(failing(b"abc")),
    "failing-later": lambda: Closing(failing(b"a", b"b")),
    "failing-twice": lambda: Closing(failing(b"a", b"b"), fails=True),
    "closing-many": lambda: Closing([b"a", b"", b"b", b"c", b"d"], fails=True),
    "text-later": lambda: iter([b"a", "b", b"c"]),
    "number-later": lambda: Closing([b"a", 1, b"c"]),
    "sub-bytes-later": lambda: iter([b"a", Bytes(b"b"), b"c"]),
    "big-later": lambda: iter([b"a", b"x" * 300_000, b"c"]),
    "array-itself": lambda: bytearray(b"abc"),
    "sized-one": lambda: Sized(b"abc"),
    "sized-two": lambda: Sized(b"ab", b"c"),
    "sized-none": lambda: Sized(),
    "handled": lambda: ALREADY_HANDLED,
    "unready": lambda: Unready(0),
    "number-itself": lambda: 7,
    "object": object,
    "failing-both": lambda: Closing(failing(b"abc"), fails=True),
}
SAME = [b"abc"]
