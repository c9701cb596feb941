# SPDX-License-Identifier: MIT
"""Every function of evy.h must have a row in each program: checklist.py HEADER PROGRAM...

A program tells its rows with --list. The functions are counted twice, by their declarations and by every name
with a parameter list, so that one that is declared in some new way is not overlooked.
"""

import pathlib
import re
import subprocess
import sys

DECLARED = re.compile(r"^EVY_API\s[^;(]*?\b(evy_\w+)\s*\(", re.MULTILINE)
CALLABLE = re.compile(r"\b(evy_\w+)\s*\(")


def declared(header):
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(header).read_text(), flags=re.DOTALL)
    names = DECLARED.findall(text)
    odd = set(CALLABLE.findall(text)) - set(names)
    return names, [f"{header}: {name} is declared, but not with EVY_API" for name in sorted(odd)]


def listed(program):
    run = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
    return run.stdout.split()


def main(header, programs):
    names, complaints = declared(header)
    if len(names) < 90:
        complaints.append(f"{header}: only {len(names)} functions were found")
    for program in programs:
        rows = listed(program)
        complaints += [f"{program}: no row for {name}" for name in names if name not in rows]
        complaints += [f"{program}: {name}, which {header} lacks" for name in set(rows) - set(names)]
        complaints += [f"{program}: several rows for {name}" for name in set(rows) if rows.count(name) > 1]
    for complaint in complaints:
        print(complaint)
    print(f"{len(names)} functions, {len(programs)} programs, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
