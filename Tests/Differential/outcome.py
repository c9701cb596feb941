# SPDX-License-Identifier: MIT
"""outcome - what a parser made of some bytes, in one form for all parsers."""
from typing import NamedTuple

# How what follows the last complete request was met:
OPEN = "open"          # more bytes are waited for: a message has begun, or nothing is left
REFUSED = "refused"    # no request, an error
CLOSED = "closed"      # the last request ended the connection, what follows counts for nothing
SWITCHED = "switched"  # the last request handed the connection over to another protocol


class Request(NamedTuple):
    """A complete request. Field names in lower case, in the order and number in which they came."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple
    body: bytes


class Outcome(NamedTuple):
    requests: list
    end: str
    detail: str = ""
    # Of the reference only: (index of a request, the rule it breaks without being refused).
    remarks: tuple = ()
    # Of evy and the reference: where in the input each request ends.
    ends: tuple = ()

    def state(self, index):
        return "request" if index < len(self.requests) else self.end

    def text(self):
        """For people: one line for each request, and one for the end."""
        lines = [
            f"    {show(r.method)} {show(r.target)} {show(r.version)}"
            f" fields={[(show(n), show(v)) for n, v in r.fields]} body={show(r.body)}"
            for r in self.requests
        ]
        return "\n".join([*lines, f"    {self.end}" + (f": {self.detail}" if self.detail else "")])


def show(data):
    """Bytes as the conformance cases write them."""
    named = {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}
    return "".join(
        named.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}") for b in data)


def environ_fields(fields):
    """What is left of fields where a parser keeps CGI names only: no name with `_`, repeats joined."""
    joined = {}
    for name, value in fields:
        if b"_" not in name:
            joined[name] = joined[name] + b", " + value if name in joined else value
    return tuple(sorted(joined.items()))
