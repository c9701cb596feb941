# SPDX-License-Identifier: MIT
"""LIBRARY is what a host may load: named, never unloaded, no Swift beside it, small, one version."""
import os
import re
import subprocess
import sys
import tempfile

import source

STRIPPED_MAX = 7_200_000
NEEDED = re.compile(r"lib(ssl|crypto|m|stdc\+\+|gcc_s|c)\.so\.\d+$|ld-linux-[\w-]+\.so\.\d+$")


def versions():
    """Every place that holds the version says the same; the SONAME's number is its major part."""
    header = source.text_of("Include/evy.h")
    parts = [int(re.search(rf"EVY_VERSION_{part} (\d+)", header).group(1))
             for part in ("MAJOR", "MINOR", "PATCH")]
    number = int(re.search(r"EVY_VERSION_NUM (0x[0-9a-f]+)", header).group(1), 16)
    if number != parts[0] << 16 | parts[1] << 8 | parts[2]:
        yield "Include/evy.h:1: EVY_VERSION_NUM is not MAJOR, MINOR and PATCH"
    project = re.search(r"project\(evy VERSION ([\d.]+)", source.text_of("CMakeLists.txt")).group(1)
    if project != ".".join(map(str, parts)):
        yield f"CMakeLists.txt:1: version {project} is not evy.h's"
    soname = re.search(r"-soname=libevy\.so\.(\d+)", source.text_of("Package.swift")).group(1)
    if int(soname) != parts[0]:
        yield f"Package.swift:1: SONAME number {soname} is not evy.h's major version"


def dynamic(library):
    major = re.search(r"EVY_VERSION_MAJOR (\d+)", source.text_of("Include/evy.h")).group(1)
    table = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True).stdout
    if f"soname: [libevy.so.{major}]" not in table:
        yield f"{library}:1: SONAME is not libevy.so.{major}"
    if "NODELETE" not in table:
        yield f"{library}:1: not marked NODELETE: dlclose would end the host"
    if "TEXTREL" in table:
        yield f"{library}:1: has text relocations"
    for name in re.findall(r"Shared library: \[(.*?)\]", table):
        if not NEEDED.match(name):
            yield f"{library}:1: needs {name}, which a C host does not have"
    for path in re.findall(r"(?:rpath|runpath): \[(.*?)\]", table):
        if any(entry and not entry.startswith("$ORIGIN") for entry in path.split(":")):
            yield f"{library}:1: looks for libraries in {path}"


def size(library):
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "libevy.so")
        subprocess.run(["strip", "-o", stripped, library], check=True)
        count = os.path.getsize(stripped)
    if count >= STRIPPED_MAX:
        yield f"{library}:1: {count} bytes stripped, not below {STRIPPED_MAX}"
    print(f"{library}: {count} bytes stripped")


if __name__ == "__main__":
    source.report([*versions(), *dynamic(sys.argv[1]), *size(sys.argv[1])])
