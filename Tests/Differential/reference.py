# SPDX-License-Identifier: MIT
"""reference - HTTP/1.1 by the letter: the grammar of RFC 9110, 9112 and 3986 as expressions, no laxness.

Slow and plain on purpose, and written without a look at evy's parser: what it takes nobody may refuse without
a reason, what it refuses nobody may take without one. The detail of a refusal is the rule that was broken,
with its section; [may] marks what a server is free to take or refuse, where this one refuses. What a target
is spelt with moves no border between two requests: it is remarked, and the rest is read.
"""
import ipaddress
import re

from outcome import CLOSED, OPEN, REFUSED, Outcome, Request

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
PCT = rb"%[0-9A-Fa-f]{2}"
UNRESERVED = rb"A-Za-z0-9\-._~"
SUB_DELIMS = rb"!$&'()*+,;="
PCHAR = rb"(?:[" + UNRESERVED + SUB_DELIMS + rb":@]|" + PCT + rb")"
REG_NAME = rb"(?:[" + UNRESERVED + SUB_DELIMS + rb"]|" + PCT + rb")*"
IP_LITERAL = rb"\[(?P<v6>[0-9A-Fa-f:.]+)\]|\[[vV][0-9A-Fa-f]+\.[" + UNRESERVED + SUB_DELIMS + rb":]+\]"
AUTHORITY = rb"(?:" + IP_LITERAL + rb"|" + REG_NAME + rb")(?::(?P<port>[0-9]*))?"
QUERY = rb"(?:\?(?:" + PCHAR + rb"|[/?])*)?"
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'

METHOD = re.compile(TOKEN)
VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
PATH_AND_QUERY = re.compile(rb"(?:/" + PCHAR + rb"*)*" + QUERY)
HTTP_URI = re.compile(rb"(?i:https?)://(?P<authority>[^/?#]*)")
OTHER_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*:.+")
HOST = re.compile(AUTHORITY)
FIELD_NAME = re.compile(TOKEN)
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
CODING_LIST = re.compile(rb"[ \t]*,?[ \t]*" + TOKEN + rb"[\x20-\x7e\t]*")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")
CHUNK_EXT = re.compile(
    rb"(?:[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*")
WRONG_BYTE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
STRAY_CR = re.compile(rb"\r(?!\n|$)")
BLANK_LINES = re.compile(rb"(?:\r\n)*")


class Refusal(Exception):
    """A rule broken, with its section."""


class Incomplete(Exception):
    """More bytes are needed: of the "head", of "framing" (a chunk's line or a trailer), or of "data"."""


def parse_reference(data):
    requests, remarks, ends, position = [], [], [], 0
    end = OPEN, ""
    try:
        while True:
            position = BLANK_LINES.match(data, position).end()
            if position == len(data):
                break
            request, position, closes = message(data, position)
            requests.append(request)
            ends.append(position)
            remark = spelling(request.target)
            if remark:
                remarks.append((len(requests) - 1, remark))
            if closes:
                end = CLOSED, ""
                break
    except Refusal as refusal:
        end = REFUSED, str(refusal)
    except Incomplete as incomplete:
        end = OPEN, str(incomplete)
    return Outcome(requests, *end, tuple(remarks), tuple(ends))


def message(data, position):
    line, position = take_line(data, position, request_line_so_far)
    method, target, version = request_line(line)
    fields = []
    while True:
        line, position = take_line(data, position, field_so_far)
        if not line:
            break
        fields.append(field(line))
    head(method, target, version, fields)
    length = framing(version, fields)
    if length is None:
        body, position = chunked(data, position)
    else:
        body, position = data[position:position + length], position + length
        if position > len(data):
            raise Incomplete("data")
    options = elements(fields, b"connection")
    closes = b"close" in options or version == b"1.0" and b"keep-alive" not in options
    return Request(method, target, version, tuple(fields), body), position, closes


def take_line(data, position, so_far, part="head"):
    """A line without its CR LF. What has no end yet is refused if no continuation could be right."""
    end = data.find(b"\n", position)
    line = data[position:] if end < 0 else data[position:end]
    if WRONG_BYTE.search(line):
        raise Refusal("control byte: RFC 9110 5.5")
    if STRAY_CR.search(line) or end >= 0 and line.endswith(b"\r\r"):
        raise Refusal("bare CR: RFC 9112 2.2")
    if end < 0:
        so_far(line)
        raise Incomplete(part)
    if not line.endswith(b"\r"):
        raise Refusal("bare LF: RFC 9112 2.2 [may]")
    return line[:-1], end + 1


def request_line_so_far(line):
    words = line.removesuffix(b"\r").split(b" ")
    if not METHOD.fullmatch(words[0]) or len(words) > 3:
        raise Refusal("request line: RFC 9112 3")


def field_so_far(line):
    if line.startswith((b" ", b"\t")):
        raise Refusal("obs-fold: RFC 9112 5.2 [may]")


def request_line(line):
    words = line.split(b" ")
    if len(words) != 3 or not METHOD.fullmatch(words[0]) or not words[1]:
        raise Refusal("request line: RFC 9112 3")
    method, target, protocol = words
    if re.search(rb"[\x00-\x20\x7f]", target):
        raise Refusal("target byte: RFC 9112 3.2")
    version = VERSION.fullmatch(protocol)
    if not version:
        raise Refusal("version: RFC 9112 2.3")
    if version[1] != b"1":
        raise Refusal("major version: RFC 9110 15.6.6")
    check_target(method, target)
    # A higher minor version is read as the one that is known (RFC 9110 2.5).
    return method, target, b"1.0" if version[2] == b"0" else b"1.1"


def check_target(method, target):
    if method == b"CONNECT":
        authority = HOST.fullmatch(target)
        if not authority or not authority["port"] or not is_host(authority):
            raise Refusal("target of CONNECT: RFC 9112 3.2.3")
        return
    if target == b"*" and method == b"OPTIONS" or target.startswith(b"/") and b"#" not in target:
        return
    absolute = HTTP_URI.match(target)
    if absolute and b"#" not in target:
        authority = HOST.fullmatch(absolute["authority"])
        if not authority or not authority[0] or authority[0].startswith(b":") or not is_host(authority):
            raise Refusal("host of the target: RFC 9110 4.2.1")
        return
    if OTHER_URI.fullmatch(target) and not absolute:
        raise Refusal("target of another scheme: RFC 9110 7.4 [may]")
    raise Refusal("target form: RFC 9112 3.2")


def spelling(target):
    """What of a target is no URI; everybody takes some of it, because browsers send it."""
    path = HTTP_URI.sub(b"", target)
    if PATH_AND_QUERY.fullmatch(path) or target == b"*":
        return None
    if re.search(rb"[^\x21-\x7e]", path):
        return "target byte over 0x7f: RFC 3986 2"
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        return "target percent sign: RFC 3986 2.1"
    return "target character: RFC 3986 3.3"


def is_host(match):
    if match["port"] and int(match["port"]) > 65535:
        return False
    if match["v6"] is None:
        return True
    try:
        ipaddress.IPv6Address(match["v6"].decode())
    except ValueError:
        return False
    return True


def field(line):
    if line.startswith((b" ", b"\t")):
        raise Refusal("obs-fold: RFC 9112 5.2 [may]")
    name, colon, value = line.partition(b":")
    if not colon:
        raise Refusal("line without colon: RFC 9112 5")
    if name.endswith((b" ", b"\t")) and FIELD_NAME.fullmatch(name.rstrip(b" \t")):
        raise Refusal("blank before colon: RFC 9112 5.1")
    if not FIELD_NAME.fullmatch(name):
        raise Refusal("field name: RFC 9110 5.1")
    value = value.strip(b" \t")
    if not FIELD_VALUE.fullmatch(value):
        raise Refusal("field value: RFC 9110 5.5")
    return name.lower(), value


def values(fields, name):
    return [v for n, v in fields if n == name]


def elements(fields, name):
    return [e.strip(b" \t").lower() for v in values(fields, name) for e in v.split(b",")]


def head(method, target, version, fields):
    hosts = values(fields, b"host")
    if len(hosts) > 1:
        raise Refusal("repeated Host: RFC 9112 3.2")
    if not hosts and version != b"1.0":
        raise Refusal("no Host: RFC 9112 3.2")
    if hosts:
        host = HOST.fullmatch(hosts[0])
        if not host or hosts[0].startswith(b":") or not is_host(host):
            raise Refusal("Host: RFC 9110 7.2")
    if method == b"CONNECT":
        raise Refusal("CONNECT: RFC 9110 9.3.6 [may]")
    if version != b"1.0" and set(elements(fields, b"expect")) - {b"100-continue", b""}:
        raise Refusal("expectation: RFC 9110 10.1.1 [may]")


def framing(version, fields):
    """The body's length, or None for chunked."""
    codings, lengths = values(fields, b"transfer-encoding"), values(fields, b"content-length")
    if codings:
        members = [m for m in elements(fields, b"transfer-encoding") if m]
        if not all(CODING_LIST.fullmatch(c) for c in codings):
            raise Refusal("Transfer-Encoding: RFC 9112 6.1")
        if members[-1] != b"chunked" or members.count(b"chunked") > 1:
            raise Refusal("not chunked last, once: RFC 9112 6.3")
        if len(members) > 1:
            raise Refusal("another coding: RFC 9112 6.1")
        if lengths:
            raise Refusal("both lengths: RFC 9112 6.1 [may]")
        if version == b"1.0":
            raise Refusal("Transfer-Encoding in 1.0: RFC 9112 6.1 [may]")
        return None
    if not lengths:
        return 0
    if not all(re.fullmatch(rb"[0-9]+(?:[ \t]*,[ \t]*[0-9]+)*", v) for v in lengths):
        raise Refusal("Content-Length: RFC 9112 6.3")
    numbers = [int(e) for e in elements(fields, b"content-length")]
    if len(numbers) > 1:
        same = len(set(numbers)) == 1
        raise Refusal(f"repeated Content-Length: RFC 9112 6.3{' [may]' if same else ''}")
    return numbers[0]


def chunked(data, position):
    body = []
    while True:
        line, position = take_line(data, position, chunk_so_far, "framing")
        size = chunk_line(line)
        if size == 0:
            break
        body.append(data[position:position + size])
        position += size
        if position >= len(data):
            raise Incomplete("data")
        end = data[position:position + 2]
        if not b"\r\n".startswith(end):
            raise Refusal("end of a chunk: RFC 9112 7.1")
        if len(end) < 2:
            raise Incomplete("data")
        position += 2
    while True:
        line, position = take_line(data, position, field_so_far, "framing")
        if not line:
            return b"".join(body), position
        field(line)


def chunk_line(line):
    size = CHUNK_SIZE.match(line)
    if not size:
        raise Refusal("chunk size: RFC 9112 7.1")
    if not CHUNK_EXT.fullmatch(line, size.end()):
        is_extension = line[size.end():].lstrip(b" \t").startswith(b";")
        raise Refusal(f"chunk {'extension: RFC 9112 7.1.1' if is_extension else 'size: RFC 9112 7.1'}")
    return int(size[0], 16)


def chunk_so_far(line):
    if line and line != b"\r" and not CHUNK_SIZE.match(line):
        raise Refusal("chunk size: RFC 9112 7.1")
