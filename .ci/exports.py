# SPDX-License-Identifier: MIT
"""Include/evy.h = the exports of LIBRARY = the functions with `@implementation @_cdecl` in EvyCore/ABI."""
import re
import subprocess
import sys

import source

HEADER = "Include/evy.h"
DECLARED = re.compile(r"^EVY_API\s[^;(]*?\b(\w+)\s*\(", re.M)
EXPORT = re.compile(r'(?P<before>@implementation\s+)?@(?:_cdecl|c)\b\s*(?:\(\s*"?(?P<name>\w+)"?\s*\))?'
                    r'(?P<after>\s+@implementation)?(?:\s*@\w+)*\s*(?P<public>public\s+)?'
                    r'(?:func\s+(?P<function>\w+))?')


def declared():
    text = source.blanked(source.text_of(HEADER), keep_strings=True)
    return {found.group(1): source.line_of(text, found.start()) for found in DECLARED.finditer(text)}


def check_sources(header):
    implemented = set()
    for path in source.files(".swift", folders=("Sources",)):
        text = source.blanked(source.text_of(path), keep_strings=True)
        for found in EXPORT.finditer(text):
            place, function = f"{path}:{source.line_of(text, found.start())}", found.group("function")
            name = found.group("name") or function
            implemented.add(name)
            if name not in header:
                yield f"{place}: exports {name}, which {HEADER} does not declare"
            elif not (found.group("before") or found.group("after")):
                yield f"{place}: {name} needs @implementation, or nothing checks it against {HEADER}"
            elif function != name:
                yield f"{place}: {name} is implemented by a function called {function}"
            elif not found.group("public"):
                yield f"{place}: {name} has to be public, or the linker hides it"
    for name, line in header.items():
        if name not in implemented:
            yield f"{HEADER}:{line}: {name} is implemented nowhere in Sources"


def check_library(header, library):
    nm = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
    exported = {line.split()[-1] for line in nm.stdout.splitlines()}
    for name in sorted(exported - header.keys()):
        yield f"{library}:1: exports {name}, which {HEADER} does not declare"
    for name in sorted(header.keys() - exported):
        yield f"{HEADER}:{header[name]}: {library} does not export {name}"


if __name__ == "__main__":
    names = declared()
    source.report(list(check_sources(names)) + list(check_library(names, sys.argv[1])))
