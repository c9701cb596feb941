# SPDX-License-Identifier: MIT
"""The applications under measurement; `application` chooses by path, so one process serves every case."""

import time

from flask import Flask

HELLO = b"Hello, World!"
BODY = b"x" * 102_400
PIECE = b"0123456789abcdef" * 64  # 1 KiB


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def post(environ, start_response):
    """Answers with the number of bytes it read, so that none can be left unread."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    count = b"%d" % len(body)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(count)))])
    return [count]


def body(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "102400")])
    return [BODY]


def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (PIECE for _ in range(10))


def sleep(environ, start_response):
    time.sleep(0.01)
    return hello(environ, start_response)


flask = Flask(__name__)


@flask.get("/flask")
def flask_hello():
    return "Hello, World!", 200, {"Content-Type": "text/plain"}


ROUTES = {"/": hello, "/post": post, "/body": body, "/pieces": pieces, "/sleep": sleep, "/flask": flask}


def application(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
