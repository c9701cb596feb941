# SPDX-License-Identifier: MIT
"""others - the parsers evy is compared with, each as a function from bytes to an Outcome.

Each is driven as its own server drives it, by what it exports; limits are kept out of the way. A parse_*
appends the complete requests to a list and returns the end, with a detail where it refuses.
"""
import asyncio
from types import SimpleNamespace

import h11
import httptools
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParserPy
from gunicorn.config import Config
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from outcome import CLOSED, OPEN, REFUSED, SWITCHED, Outcome, Request


def parse_h11(data, requests):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    head, body = None, []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return REFUSED, str(error)
        if event is h11.NEED_DATA:
            return OPEN
        if isinstance(event, h11.Request):
            head, body = event, []
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            fields = tuple((bytes(n), bytes(v)) for n, v in head.headers)
            requests.append(
                Request(head.method, head.target, head.http_version, fields, b"".join(body)))
            if connection.their_state is h11.MIGHT_SWITCH_PROTOCOL:
                # 404, because a success would grant what CONNECT asks for.
                connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
            if connection.their_state is h11.MUST_CLOSE:
                return CLOSED
            # What start_next_cycle() would lead to behind any answer.
            rest, _ = connection.trailing_data
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
            connection.receive_data(rest)
        else:
            return OPEN


class Callbacks:
    """What llhttp calls; trailers come as fields do, behind the body."""

    def __init__(self, requests):
        self.requests, self.closes = requests, False
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self):
        self.target, self.fields, self.body, self.in_head = b"", [], [], True

    def on_url(self, piece):
        self.target += piece

    def on_header(self, name, value):
        if self.in_head:
            # value None: the line was empty behind its colon.
            self.fields.append((name.lower(), (value or b"").strip(b" \t")))

    def on_headers_complete(self):
        self.in_head = False
        self.version = self.parser.get_http_version().encode()
        self.method = self.parser.get_method()

    def on_body(self, piece):
        self.body.append(piece)

    def on_message_complete(self):
        self.closes = not self.parser.should_keep_alive()
        self.requests.append(
            Request(self.method, self.target, self.version, tuple(self.fields), b"".join(self.body)))


def parse_httptools(data, requests):
    callbacks = Callbacks(requests)
    try:
        callbacks.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return SWITCHED
    except httptools.HttpParserError as error:
        # What comes behind a last request is an error to llhttp; to us it does not count.
        if callbacks.closes:
            return CLOSED
        return REFUSED, str(error)
    return CLOSED if callbacks.closes else OPEN


def gunicorn_settings():
    """Its defaults, looked up once: Config would do it at every use."""
    config = Config()
    config.set("http_parser", "python")
    config.set("header_map", "dangerous")
    networks = config.forwarded_allow_networks()
    return SimpleNamespace(
        **{name: getattr(config, name) for name in config.settings},
        is_ssl=config.is_ssl, forwarded_allow_networks=lambda: networks)


GUNICORN = gunicorn_settings()


def parse_gunicorn(data, requests):
    parser = RequestParser(GUNICORN, [data], ("192.0.2.1", 80))
    while True:
        try:
            head = next(parser)
            body = head.body.read()
        except (StopIteration, NoMoreData):
            return OPEN
        except ChunkMissingTerminator as error:
            if b"\r\n".startswith(error.term):
                return OPEN
            return REFUSED, str(error)
        except ParseException as error:
            return REFUSED, f"{type(error).__name__}: {error}"
        fields = tuple((n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in head.headers)
        length = dict(fields).get(b"content-length")
        if length is not None and len(body) < int(length):
            return OPEN
        version = b"%d.%d" % head.version
        requests.append(
            Request(head.method.encode("latin-1"), head.uri.encode("latin-1"), version, fields, body))
        if head.should_close():
            return CLOSED


WAITRESS = Adjustments(max_request_header_size=1 << 20, max_request_body_size=1 << 62)


def parse_waitress(data, requests):
    while data:
        parser = HTTPRequestParser(WAITRESS)
        # As waitress.channel does: the first call takes the head, further ones the body.
        while data and not parser.completed:
            data = data[parser.received(data):]
        if parser.error is not None:
            return REFUSED, f"{parser.error.code} {parser.error.body}"
        if not parser.completed:
            break
        if parser.empty:
            continue
        fields = tuple(
            (n.lower().replace("_", "-").encode("latin-1"), v.encode("latin-1"))
            for n, v in parser.headers.items())
        requests.append(
            Request(parser.command.encode("latin-1"), parser.request_uri.encode("latin-1"),
                    parser.version.encode("latin-1"), fields, parser.get_body_stream().read()))
        if parser.connection_close:
            return CLOSED
    return OPEN


LOOP = asyncio.new_event_loop()


def parse_aiohttp(data, requests):
    """aiohttp's parser in Python, which shares nothing with llhttp."""
    parser = HttpRequestParserPy(
        BaseProtocol(LOOP), LOOP, limit=1 << 24, auto_decompress=False, max_msg_queue_size=1)
    while True:
        try:
            messages, is_switched, _rest = parser.feed_data(data)
        except HttpProcessingError as error:
            return REFUSED, f"{type(error).__name__}: {error.message}"
        if not messages:
            return OPEN
        head, payload = messages[0]
        if payload.exception() is not None:
            return REFUSED, f"body: {payload.exception()}"
        if not payload.is_eof():
            if head.method == "CONNECT":
                return SWITCHED
            return OPEN
        fields = tuple((n.lower(), v) for n, v in head.raw_headers)
        requests.append(
            Request(head.method.encode(), head.path.encode("utf-8", "surrogateescape"),
                    b"%d.%d" % head.version, fields, payload.read_nowait(-1)))
        if head.should_close:
            return CLOSED
        if is_switched:
            return SWITCHED
        parser.message_consumed()
        data = b""


def guarded(parse):
    """A parser that breaks down has refused, as far as the difference is concerned."""

    def run(data):
        requests = []
        try:
            end = parse(data, requests)
        except Exception as error:  # whatever it is, it is not ours
            end = REFUSED, f"breaks down: {type(error).__name__}: {error}"
        return Outcome(requests, *((end,) if isinstance(end, str) else end))

    return run


PARSERS = {
    "h11": guarded(parse_h11),
    "llhttp": guarded(parse_httptools),
    "gunicorn": guarded(parse_gunicorn),
    "waitress": guarded(parse_waitress),
    "aiohttp": guarded(parse_aiohttp),
}
