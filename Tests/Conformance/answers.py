# SPDX-License-Identifier: MIT
# answers - reads what a server sends, without any tolerance, and compares it with a case's expectation.

import re

from cases import unescaped

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n\0]+)\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\r\n\0]*)\Z")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Facts that only the pure parser can tell."""
UNSEEN = {"upgrade", "no-upgrade"}


class Fault(Exception):
    """Something that must not be."""


class Answer:
    def __init__(self, status, reason, fields):
        self.status, self.reason, self.fields = status, reason, fields
        self.body, self.interim = b"", 0
        self.words = fields.get(b"x-saw", b"").decode("latin-1").split(" ")
        self.closes = fields.get(b"connection") == b"close"
        if self.words[0] == "ok":
            self.words.append("close" if self.closes else "keep-alive")
            self.words += ["echo"] if fields.get(b"connection", b"").lower() == b"keep-alive" else []

    def __repr__(self):
        return f"{self.status} {self.reason} {' '.join(self.words)}"


def head_of(data):
    """(the answer without its body, where it begins), or None where more must come."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].split(b"\r\n")
    status = STATUS_LINE.match(first)
    if not status:
        raise Fault(f"no status line: {first!r}")
    fields = {}
    for line in lines:
        field = FIELD_LINE.match(line)
        if not field or field[1].lower() in fields:
            raise Fault(f"bad or repeated field line: {line!r}")
        fields[field[1].lower()] = field[2]
    return Answer(int(status[1]), status[2].decode("latin-1"), fields), end + 4


def take_answer(data, is_to_head=False):
    """(an answer with the interim ones before it counted, what is left), or None where more must come."""
    interim = 0
    while found := head_of(data):
        answer, at = found
        if answer.status >= 200:
            break
        if answer.status != 100 or answer.fields:
            raise Fault(f"unasked: {answer}")
        interim += 1
        data = data[at:]
    else:
        return None
    answer.interim = interim
    length = answer.fields.get(b"content-length", b"")
    if not length.isdigit() or b"date" not in answer.fields or b"server" in answer.fields:
        raise Fault(f"Content-Length, Date or Server: {answer.fields}")
    end = at if is_to_head or answer.words[1:2] == ["HEAD"] else at + int(length)
    if len(data) < end:
        return None
    answer.body = data[at:end]
    return answer, data[end:]


def escaped(text):
    """The form in which the server tells a word."""
    data = unescaped(text.encode("latin-1"))
    return "".join(chr(b) if 0x20 < b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in data)


def check_request(answer, expected, is_early):
    """The handler saw what the case says. is_early: it answered ahead of the body."""
    if answer.status != 200 or answer.body not in (b"seen\n", b""):
        raise Fault(f"{answer} instead of {expected}")
    wanted = {escaped(word) for word in expected.split(" and ")[0].split(" ")} - UNSEEN
    wanted = {re.sub(r"^folded\((.*?)\)=", r"\1=", word) for word in wanted}
    seen = set(answer.words)
    if answer.interim > (0 if is_early else "100-continue" in wanted):
        raise Fault("100 Continue that nobody waits for")
    wanted -= {"100-continue", "no-100-continue"}
    if is_early:
        body = ("body=", "trailers=", "trailer(", "keep-alive")
        wanted = {word for word in wanted if not word.startswith(body)}
    if not wanted <= seen:
        raise Fault(f"seen {' '.join(answer.words)}, not {' '.join(sorted(wanted - seen))}")


def check_refusal(answer, status, reason, is_to_head):
    """The stated refusal, whole, in plain text, with the end of the connection announced."""
    body = b"" if is_to_head else reason.encode() + b"\n"
    if (answer.status, answer.reason) != (status, reason):
        raise Fault(f"{answer} instead of {status} {reason}")
    if answer.body != body or not answer.closes or answer.interim > 1:
        raise Fault(f"a refusal without its form: {answer.fields} {answer.body!r}")
    if answer.fields.get(b"content-type") != b"text/plain":
        raise Fault(f"a refusal in {answer.fields.get(b'content-type')!r}")
