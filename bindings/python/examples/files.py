# SPDX-License-Identifier: MIT
"""The files of a folder, sent by the kernel through wsgi.file_wrapper: python examples/files.py [FOLDER]"""

import mimetypes
import os
import pathlib
import sys

import evy
from evy.web import wsgi

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()


def opened(path):
    """A file below FOLDER, also by way of links; else None."""
    try:
        found = (FOLDER / os.fsdecode(path.encode("latin-1")).lstrip("/")).resolve()
        return found.open("rb") if FOLDER in found.parents and found.is_file() else None
    except OSError:
        return None


def files(env, start_response):
    file = opened(env["PATH_INFO"])
    if file is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found\r\n"]
    kind, packing = mimetypes.guess_type(file.name)
    if kind is None or packing:  # page.html.gz is no page
        kind = "application/octet-stream"
    length = str(os.fstat(file.fileno()).st_size)
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", length)])
    return env["wsgi.file_wrapper"](file)


wsgi.server(evy.listen(("", 8090)), files)
