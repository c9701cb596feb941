# SPDX-License-Identifier: MIT
"""A WSGI server with a page at / and none elsewhere: python examples/wsgi.py"""

import evy
from evy.web import wsgi


def hello_world(env, start_response):
    if env["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found\r\n"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!\r\n"]


wsgi.server(evy.listen(("", 8090)), hello_world)
