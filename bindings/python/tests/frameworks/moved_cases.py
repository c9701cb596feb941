# SPDX-License-Identifier: MIT
# moved_cases - requests whose answers were recorded from eventlet, and what of the answers may differ.

import json
import pathlib
import re
import socket

RECORDING = pathlib.Path(__file__).resolve().parent / "eventlet-0.41.3.json"
PATIENCE = 20
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nn\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + b"0123456789" * 7000 + b"\r\n--b--\r\n"
)


def head(line, *fields, version="1.1", ends=True):
    """The client asks for the end, or the server has to have its own reason."""
    fields = ["Host: recorded.test", *fields, *(["Connection: close"] if ends else [])]
    return "\r\n".join([f"{line} HTTP/{version}", *fields, "", ""]).encode("latin-1")


def sized(line, body, *fields, **keywords):
    return head(line, *fields, f"Content-Length: {len(body)}", **keywords) + body


def chunked(line, *pieces, fields=(), **keywords):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return head(line, *fields, "Transfer-Encoding: chunked", **keywords) + body


# name: (site, what is sent on one connection; the server ends it)
FLASK = {
    "hello": head("GET /hello"),
    "head": head("HEAD /hello"),
    "json": head("GET /json"),
    "json-post": sized("POST /json", b'{"a": [1, "\\u00e9"]}', "Content-Type: application/json"),
    "upload": sized("POST /upload", FORM, "Content-Type: multipart/form-data; boundary=b"),
    "raw": sized("POST /raw", b"raw bytes"),
    "stream": head("GET /stream"),
    "stream-1.0": head("GET /stream", version="1.0"),
    "go": head("GET /go"),
    "go-post": sized("POST /go", b""),
    "missing": head("GET /missing"),
    "fail": head("GET /fail"),
    "method": head("DELETE /upload"),
    "echo": head("GET /echo/gr%C3%BC%C3%9Fe/%20x?q=a%26b&q=%C3%A9"),
    "scheme": head("GET /scheme"),
    "three-in-a-row": head("GET /hello", ends=False) + head("GET /json", ends=False) + head("GET /stream"),
}
STORE = {
    "put": sized("PUT /a/c/o", b"0123456789"),
    "put-then-get": sized("PUT /a/c/p", b"01234", ends=False) + head("GET /a/c/p"),
    "put-chunked": chunked("PUT /a/c/q", b"abc", b"defgh", fields=["X-Trans-Id-Extra: 7"]),
    "continue": sized("PUT /a/c/e", b"01234", "Expect: 100-continue"),
    "continue-with-headers": sized("PUT /a/c/f", b"01234", "Expect: 100-continue",
                                   "X-Backend-Obj-Metadata-Footer: yes"),
    "continue-twice": sized("PUT /a/c/g", b"01234", "Expect: 100-continue",
                            "X-Backend-Obj-Metadata-Footer: yes", "X-Backend-Obj-Multiphase-Commit: yes"),
    "continue-in-capitals": sized("PUT /a/c/h", b"01234", "Expect: 100-CONTINUE"),
    "continue-refused": head("PUT /full/o", "Expect: 100-continue", "Content-Length: 5", ends=False),
    "joined-pieces": head("GET /stream"),
    "every-piece": head("GET /stream?0"),
    "pieces-of-50": head("GET /stream?50"),
    "written": head("GET /written"),
    "pieces-1.0": head("GET /stream", version="1.0"),
    "environ": head("GET /environ", "X-Mixed-CASE:  v ", "x-two: 1", "X-Two: 2"),
    "environ-query": head("GET /environ?a=b%20c", "Cookie: a=1", "Cookie: b=2", "Accept: x", "Accept: y"),
    "environ-empty-query": head("GET /environ?"),
    "environ-underscore": head("GET /environ", "X_Under: 1", "X-Under: 2"),
    "environ-type": head("GET /environ", "Content-Type: text/css; charset=utf-8"),
    "environ-path": head("GET /environ/%C3%A9%2Fx/%zz+?q"),
    "environ-1.0": head("GET /environ", version="1.0"),
    "environ-no-host": b"GET /environ HTTP/1.1\r\nConnection: close\r\n\r\n",
    "lines": sized("POST /body", b"one\ntwo\nthree"),
    "lines-chunked": chunked("POST /body", b"one\ntw", b"o\nthree"),
    "hooks": head("GET /a/none", "X-Trans-Id-Extra: 1", ends=False)
    + sized("PUT /a/c/n", b"p", "X-Trans-Id-Extra: 2", ends=False)
    + head("GET /stream", "X-Trans-Id-Extra: 3", ends=False)
    + head("GET /hooks"),
    "head": head("HEAD /a/none"),
    "fail": head("GET /fail"),
    "fail-late": head("GET /fail-late"),
    "text": head("GET /text"),
    "nothing": head("GET /nothing", ends=False) + head("GET /nothing"),
    "keep-alive": head("GET /a/none", "Connection: keep-alive", ends=False) + head("GET /a/none"),
    "keep-alive-1.0": head("GET /a/none", "Connection: keep-alive", ends=False, version="1.0")
    + head("GET /a/none", version="1.0"),
    "unread-body": sized("POST /a/none", b"u" * 1000, ends=False) + head("GET /a/none"),
    "long-line": head("GET /" + "l" * 8200),
    "long-header": head("GET /a/none", "X-Long: " + "l" * 8200),
    "many-headers": head("GET /a/none", *(f"X-{number}: {'h' * 8000}" for number in range(9))),
    "bad-length": head("POST /a/none", "Content-Length: x"),
    "negative-length": head("POST /a/none", "Content-Length: -1"),
    "both-framings": head("POST /a/none", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
}
CASES = {
    **{f"flask {name}": ("flask_site", sent) for name, sent in FLASK.items()},
    **{f"store {name}": ("swift_like_site", sent) for name, sent in STORE.items()},
    "store lower-case": ("swift_like_site", head("GET /text")),
}
# Refusals say HTTP/1.1 here, give their reason in the body too, and are logged: the same is their status.
REFUSED = {
    "store bad-length",
    "store both-framings",
    "store long-header",
    "store long-line",
    "store many-headers",
    "store negative-length",
}
# eventlet sends the body of an answer to HEAD, which breaks the connection for whoever reads it right.
BODILESS = {"store head"}
# Keywords of wsgi.server() beside site, sock and log. lower-case: as Swift does.
KEYWORDS = {"debug": False, "log_output": True}
OF_CASE = {"store lower-case": {"capitalize_response_headers": False}}


def exchange(port, sent):
    """What comes back on one connection until its end."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        try:
            if b"Expect: " in sent:
                # Like a client that means it: the body follows the go-ahead.
                expecting, end, sent = sent.partition(b"\r\n\r\n")
                client.sendall(expecting + end)
                client.recv(1, socket.MSG_PEEK)
            client.sendall(sent)
        except ConnectionError:
            pass  # refused in mid-request
        pieces = []
        try:
            while piece := client.recv(1 << 16):
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces).decode("latin-1")


def without_moments(answer):
    """An answer, or a line of the access log, without what two runs can't have in common."""
    answer = re.sub(r"\r\nDate: [^\r]+", "\r\nDate: D", answer)
    # Flask keeps them in a set: their order is another one in every process.
    answer = re.sub(r"(?<=\r\nAllow: )[^\r]+", lambda found: ", ".join(sorted(found[0].split(", "))), answer)
    answer = re.sub(r"\[\d\d/\w+/\d{4} \d\d:\d\d:\d\d\]", "[T]", answer)
    return re.sub(r" \d+\.\d{6}$", " S", answer)


def recorded():
    return json.loads(RECORDING.read_text())
