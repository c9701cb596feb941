# SPDX-License-Identifier: MIT
# seed.py - turns the conformance cases into the first inputs of the fuzz targets.
# Usage: seed.py CASES HEAD_DIRECTORY CHUNKED_DIRECTORY
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Conformance"))
from cases import all_cases  # noqa: E402

cases, head_directory, chunked_directory = map(pathlib.Path, sys.argv[1:])
for directory in (head_directory, chunked_directory):
    directory.mkdir(parents=True, exist_ok=True)
for number, case in enumerate(all_cases(cases)):
    name = f"{case.file.replace('/', '-').removesuffix('.http')}-{number:03}"
    (head_directory / name).write_bytes(b"\x00\x00\x40\x80" + case.bytes)
    (head_directory / f"{name}-lax").write_bytes(b"\x00\x7f\x40\x80" + case.bytes)
    head, blank, body = case.bytes.partition(b"\r\n\r\n")
    if b"chunked" in head.lower() and body:
        (chunked_directory / name).write_bytes(b"\x00\x40\x80" + body)
