# SPDX-License-Identifier: MIT
"""Inputs of a fuzz target in one text file, one a line: NAME BASE64.

pack.py unpack FILE DIRECTORY   writes each line as a file of its name
pack.py pack DIRECTORY FILE     the other way; files without a name worth keeping are named by their sum
"""
import base64
import hashlib
import pathlib
import re
import sys


def unpack(file, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for line in file.read_text().splitlines() if file.exists() else ():
        name, _, data = line.partition(" ")
        (directory / name).write_bytes(base64.b64decode(data))


def pack(directory, file):
    lines = []
    for path in directory.iterdir():
        data = path.read_bytes()
        is_sum = re.fullmatch(r"[0-9a-f]{40}", path.name)
        name = hashlib.sha1(data).hexdigest()[:12] if is_sum else path.name
        lines.append(f"{name} {base64.b64encode(data).decode()}\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(sorted(lines)))


command, first, second = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
{"unpack": unpack, "pack": pack}[command](first, second)
