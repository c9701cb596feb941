# SPDX-License-Identifier: MIT
"""The cases, which servers can run them, and the goals of the design for evy."""

import dataclasses

SERVERS = ["evy", "evy-ctypes", "fastpysgi", "bjoern", "granian", "gunicorn", "waitress"]
THREADED = ["evy", "evy-ctypes", "granian", "gunicorn", "waitress"]
SECURE = ["evy", "evy-ctypes", "fastpysgi", "granian", "gunicorn"]
HELLO, PIECE = b"Hello, World!", b"0123456789abcdef" * 64


@dataclasses.dataclass(frozen=True)
class Case:
    """kind: the request of client/requests.lua. expected: the body that makes an answer a right one."""

    title: str
    path: str = "/"
    kind: str = "get"
    expected: bytes = HELLO
    threads: int = 1
    tls: bool = False
    connections: int = 64
    servers: tuple = tuple(SERVERS)


CASES = {
    "hello": Case("13 bytes, 64 connections, 40-byte request"),
    "browser": Case("the same, 700-byte request with 8 headers", kind="browser"),
    "flask": Case("hello by Flask", path="/flask"),
    "post16k": Case("POST of 16 KiB, read whole", path="/post", kind="post", expected=b"16384"),
    "body100k": Case("100 KiB in one piece", path="/body", expected=b"x" * 102_400),
    "pieces": Case("a generator of ten pieces of 1 KiB", path="/pieces", expected=PIECE * 10),
    "sleep": Case("sleeps 10 ms, 16 threads", path="/sleep", threads=16, servers=tuple(THREADED)),
    "hello16": Case("hello, 16 threads", threads=16, servers=tuple(THREADED)),
    "tls": Case("hello over TLS, keep-alive", tls=True, servers=tuple(SECURE)),
}

# evy's processor time for a request may be so many times the server's.
GOALS = {
    ("hello", "fastpysgi"): 0.85, ("hello", "bjoern"): 0.80, ("hello", "granian"): 0.55,
    ("browser", "fastpysgi"): 0.85, ("browser", "bjoern"): 0.80, ("browser", "granian"): 0.55,
    ("flask", "bjoern"): 0.95, ("post16k", "fastpysgi"): 1.0, ("body100k", "fastpysgi"): 1.0,
    ("hello16", "granian"): 1.0,
}
# What evy's own row has to show; 16 threads that sleep 10 ms can answer 1600 requests a second at best.
LIMITS = {"sleep": [("rate", "≥", 1550)], "hello16": [("p99", "<", 3)]}
