# SPDX-License-Identifier: MIT
"""No unexpected Swift runtime calls in the functions of .ci/hotpath, read from the objects of release FOLDER.

The helpers the compiler splits off a function (closures, outlined copies, specialisations) count as part of
it, so calls to them are followed; calls to functions of ours are not: those that are hot have their own line.
"""
import collections
import glob
import os
import re
import subprocess
import sys

import source

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
CALL = re.compile(r"\t(?:call|jmp|bl?)\s.*<([^+>]+)>")
RELOCATION = re.compile(r"\sR_\w+\t(\S+?)(?:[+-]0x[0-9a-f]+)?$")
PLACE = re.compile(r"^(/.*\.swift):(\d+)(?: |$)")
RUNTIME = re.compile(r"^(?:_*swift_(?!unexpectedError|willThrow)\w+|_swift_\w+)$")
LIBRARY = re.compile(r"^\$s(?:S[SaDh]|s\d+_?(?:StringGuts|Contiguous\w+|ArrayBuffer))[^MNWV]\w*$")
SPLIT_OFF = re.compile(r"^(?:closure #|implicit closure|outlined |merged |partial apply|specialized |"
                       r"generic specialization|function signature spec|lazy protocol witness)")


def disassembly(folder):
    """{function: [(callee, file:line)]} of all objects of EvyCore."""
    objects = sorted(glob.glob(os.path.join(folder, "EvyCore.build", "**", "*.o"), recursive=True))
    if not objects:
        sys.exit(f"{folder}/EvyCore.build holds no objects: build with -c release first")
    listing = subprocess.run(["objdump", "-drl", "--no-show-raw-insn", *objects], check=True,
                             capture_output=True, text=True).stdout
    functions, current, place = collections.defaultdict(list), None, "?:1"
    for line in listing.splitlines():
        if found := FUNCTION.match(line):
            current = functions[found.group(1)]
        elif found := PLACE.match(line):
            place = f"{os.path.relpath(found.group(1), source.ROOT)}:{found.group(2)}"
        elif current is not None and (found := RELOCATION.search(line) or CALL.search(line)):
            current.append((found.group(1), place))
    return functions


def demangled(names):
    tool = subprocess.run(["swift", "demangle", "--simplified", "--compact"], input="\n".join(names),
                          check=True, capture_output=True, text=True)
    return dict(zip(names, tool.stdout.splitlines()))


def plain(name):
    """`specialized HTTP1HeadParser.parse(...)` is still HTTP1HeadParser.parse."""
    return re.sub(r"^(?:specialized |merged )+", "", name)


def runtime_calls(functions, readable, start):
    """(callee, file:line) of the runtime calls of one function and of what was split off it."""
    seen, todo = {start}, [start]
    while todo:
        for callee, place in functions[todo.pop()]:
            if RUNTIME.match(callee) or LIBRARY.match(callee):
                yield callee, place
            elif callee in functions and callee not in seen and SPLIT_OFF.match(readable[callee]):
                seen.add(callee)
                todo.append(callee)


def findings(folder):
    functions = disassembly(folder)
    readable = demangled([name for name in functions])
    for number, line in enumerate(source.text_of(".ci/hotpath").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, allowed = line.partition(" : ")
        optional, pattern = pattern.startswith("?"), pattern.lstrip("?").strip()
        hot = [name for name in functions if plain(readable[name]).startswith(pattern)]
        if not hot and not optional:
            yield f".ci/hotpath:{number}: no function {pattern} in the objects: renamed, or inlined (then ?)"
        told = set()
        for name in hot:
            for callee, place in runtime_calls(functions, readable, name):
                if callee not in allowed.split() and (callee, place) not in told:
                    told.add((callee, place))
                    yield f"{place}: {pattern} calls {demangled([callee])[callee]}"


if __name__ == "__main__":
    source.report(list(findings(sys.argv[1])))
