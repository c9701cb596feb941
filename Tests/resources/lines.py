# SPDX-License-Identifier: MIT
# lines - requests for the sake of their access lines.

from support import Connection, raw_request


def ask(server, count, text="x" * 150):
    """As many lines, a multiple of ten, each with that text in it."""
    with Connection(server) as connection:
        for _ in range(0, count, 10):
            connection.send(raw_request("GET", f"/hello?{text}") * 10)
            for _ in range(10):
                assert connection.response().status == 200
