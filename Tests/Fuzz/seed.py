# SPDX-License-Identifier: MIT
# seed.py - turns the conformance cases into the first inputs of the fuzz targets.
# Usage: seed.py CASES HEAD_DIRECTORY CHUNKED_DIRECTORY
import pathlib, re, sys

cases, head_directory, chunked_directory = map(pathlib.Path, sys.argv[1:])
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


def unescape(line):
    pattern = rb"\\(x[0-9a-f]{2}|.)"
    return re.sub(pattern, lambda m: ESCAPES.get(m[1]) or bytes([int(m[1][1:], 16)]), line)


def requests(text):
    for case in text.split(b"\n== ")[1:]:
        lines = case.split(b"\n")[1:]
        yield b"".join(unescape(line) for line in lines if not line.startswith((b"set ", b"--> ")))


for directory in (head_directory, chunked_directory):
    directory.mkdir(parents=True, exist_ok=True)
for path in sorted(cases.glob("*.http")):
    for number, request in enumerate(requests(b"\n" + path.read_bytes())):
        name = f"{path.stem}-{number:03}"
        (head_directory / name).write_bytes(b"\x00\x00\x40\x80" + request)
        (head_directory / f"{name}-lax").write_bytes(b"\x00\x7f\x40\x80" + request)
        head, blank, body = request.partition(b"\r\n\r\n")
        if b"chunked" in head.lower() and body:
            (chunked_directory / name).write_bytes(b"\x00\x40\x80" + body)
