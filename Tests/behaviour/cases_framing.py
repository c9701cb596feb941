# SPDX-License-Identifier: MIT
# cases_framing - raw requests as data: what must be refused, and with what; what must be served.
"""A refused case gives exactly one response with one of the statuses and then closes. SMUGGLED is what a
laxer parser would take for a second request; no case may ever bring it to the handler."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /buffered HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def head(*lines, start=b"GET / HTTP/1.1"):
    return b"\r\n".join((start, *lines)) + b"\r\n\r\n"


REQUEST_LINE = {
    "one word": (b"FOO\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "version 0.9": (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", (400, 505)),
    "version 2.0": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "version 3.0": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    "http2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "version 1.10": (b"GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    "version 01.1": (b"GET / HTTP/01.1\r\nHost: x\r\n\r\n", 400),
    "version without minor": (b"GET / HTTP/1.\r\nHost: x\r\n\r\n", 400),
    "version without point": (b"GET / HTTP/11\r\nHost: x\r\n\r\n", 400),
    "version in lower case": (b"GET / http/1.1\r\nHost: x\r\n\r\n", 400),
    "other protocol": (b"GET / HTCPCP/1.1\r\nHost: x\r\n\r\n", 400),
    "space after version": (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "tab between": (b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "four words": (b"GET / x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "space in front": (b" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bad method character": (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "method with colon": (b"GE:T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "relative target": (b"GET hello HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "asterisk of get": (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "escape in target": (b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "nul in target": (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "delete byte in target": (b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "fragment in target": (b"GET /#top HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "encoded nul in path": (b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bare cr in line": (b"GET / HTTP/1.1\rHost: x\r\n\r\n", 400),
    "bare lf line ends": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "bare lf after request line": (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
    "three blank lines in front": (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "tls hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
    "binary rubbish": (bytes(range(128, 256)), 400),
}

FIELDS = {
    "no host": (head(), 400),
    "two hosts": (head(b"Host: x", b"Host: x"), 400),
    "two different hosts": (head(b"Host: x", b"Host: y"), 400),
    "host with space": (head(b"Host: a b"), 400),
    "host with slash": (head(b"Host: a/b"), 400),
    "host with user": (head(b"Host: u@b"), 400),
    "two content types": (head(b"Host: x", b"Content-Type: a/b", b"Content-Type: c/d"), 400),
    "two authorizations": (head(b"Host: x", b"Authorization: Basic a", b"Authorization: Basic b"), 400),
    "no colon": (head(b"Host: x", b"Nonsense"), 400),
    "empty name": (head(b"Host: x", b": value"), 400),
    "space before colon": (head(b"Host: x", b"X-A : value"), 400),
    "tab before colon": (head(b"Host: x", b"X-A\t: value"), 400),
    "space in name": (head(b"Host: x", b"X A: value"), 400),
    "parenthesis in name": (head(b"Host: x", b"X(A): value"), 400),
    "high byte in name": (head(b"Host: x", b"X-\xe4: value"), 400),
    "nul in name": (head(b"Host: x", b"X-\0: value"), 400),
    "nul in value": (head(b"Host: x", b"X-A: a\0b"), 400),
    "control byte in value": (head(b"Host: x", b"X-A: a\x01b"), 400),
    "delete byte in value": (head(b"Host: x", b"X-A: a\x7fb"), 400),
    "bare cr in value": (head(b"Host: x", b"X-A: a\rb"), 400),
    "bare cr before line end": (head(b"Host: x", b"X-A: a\r"), 400),
    "bare lf in fields": (GET + b"X-A: a\nX-B: b\r\n\r\n", 400),
    "bare lf blank line": (GET + b"\n", 400),
    "folded value": (head(b"Host: x", b"X-A: a", b" b"), 400),
    "folded with tab": (head(b"Host: x", b"X-A: a", b"\tb"), 400),
    "fold on the first field": (head(b" Host: x"), 400),
    "other expectation": (head(b"Host: x", b"Expect: fireworks"), 417),
    "folded transfer encoding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
}

LENGTH = {
    name: (POST + b"Content-Length: " + value + b"\r\n\r\nabc" + SMUGGLED, status)
    for name, value, status in [
        ("plus sign", b"+3", 400),
        ("minus sign", b"-3", 400),
        ("underscore", b"1_0", 400),
        ("hexadecimal", b"0x3", 400),
        ("list of equal", b"3, 3", 400),
        ("list of different", b"3, 5", 400),
        ("empty", b"", 400),
        ("letters", b"abc", 400),
        ("inner space", b"3 3", 400),
        ("fraction", b"3.0", 400),
        ("exponent", b"3e0", 400),
        ("quoted", b'"3"', 400),
        ("vertical tab", b"\x0b3", 400),
        ("arabic digits", "\u0663".encode(), 400),
        ("just over 63 bits", b"9223372036854775808", 400),
        ("just over 64 bits", b"18446744073709551619", 400),
        ("thirty digits", b"100000000000000000000000000003", 400),
        ("all of 63 bits", b"9223372036854775807", 413),
    ]
}
LENGTH |= {
    "two equal": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "two different": (POST + b"Content-Length: 3\r\nContent-Length: 38\r\n\r\nabc" + SMUGGLED, 400),
    "space before colon": (POST + b"Content-Length : 38\r\n\r\n" + SMUGGLED, 400),
    "underscore name beside": (POST + b"Content_Length: 5\r\nContent-Length: x\r\n\r\nabc", 400),
    "of a get, not a number": (GET + b"Content-Length: x\r\n\r\n" + SMUGGLED, 400),
}

CODING = (
    {
        "length and chunked": (
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            400,
        ),
        "chunked and length": (
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
            400,
        ),
        "chunked on 1.0": (
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"
            + SMUGGLED,
            400,
        ),
        "two chunked lines": (
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            400,
        ),
        "identity then chunked": (
            POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            (400, 501),
        ),
    }
    | {
        f"coding {value.decode('latin-1')!r}": (
            POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n" + SMUGGLED,
            status,
        )
        for value, status in [
            (b"gzip, chunked", 501),
            (b"xchunked", 501),
            (b"gzip", 501),
            (b"identity", 501),
            (b"chunkedx", 501),
            (b"chunked, chunked", 400),
            (b"chunked, gzip", (400, 501)),
            (b"chunked, identity", (400, 501)),
            (b"", (400, 501)),
            (b",chunked", (400, 501)),
            (b"chunked;q=1", (400, 501)),
            (b"chunked\x00", 400),
            (b"\x0bchunked", 400),
            (b'"chunked"', (400, 501)),
            (b"\xa0chunked", (400, 501)),
        ]
    }
    | {"space before colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400)}
)

CHUNKS = {
    name: (CHUNKED + body + SMUGGLED, status)
    for name, body, status in [
        ("size 0x3", b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        ("size +3", b"+3\r\nabc\r\n0\r\n\r\n", 400),
        ("size -3", b"-3\r\nabc\r\n0\r\n\r\n", 400),
        ("size 0_3", b"0_3\r\nabc\r\n0\r\n\r\n", 400),
        ("space before size", b" 3\r\nabc\r\n0\r\n\r\n", 400),
        ("space after size", b"3 \r\nabc\r\n0\r\n\r\n", 400),
        ("tab after size", b"3\t\r\nabc\r\n0\r\n\r\n", 400),
        ("no size", b"\r\nabc\r\n0\r\n\r\n", 400),
        ("size g", b"g\r\nabc\r\n0\r\n\r\n", 400),
        ("seventeen digits", b"00000000000000003\r\nabc\r\n0\r\n\r\n", 400),
        ("size over 64 bits", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400),
        ("data one too long", b"3\r\nabcX\r\n0\r\n\r\n", 400),
        ("two bytes for the line end", b"3\r\nabcXX0\r\n\r\n", 400),
        ("data without line end", b"3\r\nabc0\r\n\r\n", 400),
        ("lf after size", b"3\nabc\r\n0\r\n\r\n", 400),
        ("lf after data", b"3\r\nabc\n0\r\n\r\n", 400),
        ("cr after size", b"3\rabc\r\n0\r\n\r\n", 400),
        ("lf in extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
        ("nul in extension", b"3;a\0\r\nabc\r\n0\r\n\r\n", 400),
        ("long extension", b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n", 400),
        ("trailer without colon", b"0\r\nnonsense\r\n\r\n", 400),
        ("folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", 400),
        ("trailer with lf", b"0\r\nA: b\nC: d\r\n\r\n", 400),
        ("huge trailers", b"0\r\n" + b"A: " + b"b" * 70000 + b"\r\n\r\n", (400, 431)),
    ]
}

REFUSED = {
    f"{group}: {name}": case
    for group, cases in [
        ("request line", REQUEST_LINE),
        ("fields", FIELDS),
        ("content length", LENGTH),
        ("transfer encoding", CODING),
        ("chunks", CHUNKS),
    ]
    for name, case in cases.items()
}

# name: (raw request, expected status, expected body or None)
SERVED = {
    "one blank line in front": (b"\r\n" + GET + b"\r\n", 200, None),
    "two blank lines in front": (b"\r\n\r\n" + GET + b"\r\n", 200, None),
    "lower case method": (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 200, None),
    "invented method": (b"M-SEARCH / HTTP/1.1\r\nHost: x\r\n\r\n", 200, None),
    "empty host": (head(b"Host:"), 200, None),
    "host with port": (head(b"Host: x:80"), 200, None),
    "host is an ipv6 address": (head(b"Host: [::1]:80"), 200, None),
    "no space after colon": (head(b"Host:x", b"X-A:b"), 200, None),
    "every token character": (head(b"Host: x", b"!#$%&'*+-.^`|~09azAZ: b"), 200, None),
    "length zero": (POST + b"Content-Length: 0\r\n\r\n", 200, b""),
    "length with leading zeros": (POST + b"Content-Length: 003\r\n\r\nabc", 200, b"abc"),
    "length with outer spaces": (POST + b"Content-Length: \t3 \r\n\r\nabc", 200, b"abc"),
    "length of a get": (b"GET /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
    "post without framing": (POST + b"\r\n", 200, b""),
    "chunked": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 200, b"abc"),
    "chunked in capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, b"abc"),
    "chunk size in capitals": (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", 200, b"0123456789"),
    "chunk size with zeros": (CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n", 200, b"abc"),
    "chunk extension": (CHUNKED + b'3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n', 200, b"abc"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n", 200, b"abc"),
    "empty chunked body": (CHUNKED + b"0\r\n\r\n", 200, b""),
    "expect in capitals": (POST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
}
