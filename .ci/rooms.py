# SPDX-License-Identifier: MIT
"""Room borders: typechecks each room of EvyCore together with only the rooms that .ci/FLOORS lets it know."""
import concurrent.futures
import os
import re
import subprocess

import source

CORE = "Sources/EvyCore"
IMPORT = re.compile(r"^\s*(?:@\w+\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+"
                    r"(?:(?:struct|enum|func|class|protocol|var|let|typealias)\s+)?(\w+)", re.M)
SWIFTC = [
    "swiftc", "-typecheck", "-parse-as-library", "-swift-version", "6", "-module-name", "EvyCore",
    "-suppress-warnings", "-I", "Include", "-I", "Sources/COpenSSL", "-I", "Sources/CSystem/include",
    "-enable-upcoming-feature", "InternalImportsByDefault", "-enable-upcoming-feature", "ExistentialAny",
    "-enable-upcoming-feature", "MemberImportVisibility",
]


def read_floors():
    """[(line number, floor, room, rooms known, modules)], lowest floor first."""
    rows = []
    for number, line in enumerate(source.text_of(".ci/FLOORS").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            place, known, modules = (part.split() for part in line.split(":"))
            rows.append((number, int(place[0]), place[1], known, set(modules)))
    floor_of = {room: floor for _, floor, room, _, _ in rows}
    below = {room: [other for other in floor_of if floor_of[other] < floor] for _, floor, room, _, _ in rows}
    return [(number, floor, room, below[room] if known == ["below"] else known, modules)
            for number, floor, room, known, modules in rows]


def check_table(rows):
    floor_of = {room: floor for _, floor, room, _, _ in rows}
    for number, floor, room, known, _ in rows:
        for other in known:
            if floor_of.get(other, floor) >= floor:
                yield f".ci/FLOORS:{number}: {room} may only know rooms of lower floors, not {other}"
    for entry in sorted(os.listdir(os.path.join(source.ROOT, CORE))):
        if entry not in floor_of:
            yield f"{CORE}/{entry}:1: not a room of .ci/FLOORS"


def check_imports(room, modules):
    for path in source.files(".swift", folders=(f"{CORE}/{room}",)):
        text = source.blanked(source.text_of(path))
        for found in IMPORT.finditer(text):
            if found.group(1) not in modules:
                line = source.line_of(text, found.start(1))
                yield f"{path}:{line}: room {room} may not import {found.group(1)}, see .ci/FLOORS"


def check_border(room, known):
    own = source.files(".swift", folders=(f"{CORE}/{room}",))
    lower = source.files(".swift", folders=tuple(f"{CORE}/{other}" for other in known))
    if not own:
        return []
    done = subprocess.run(SWIFTC + lower + own, cwd=source.ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    errors = [line.replace(source.ROOT + "/", "") for line in done.stderr.splitlines()
              if re.match(r"\S+:\d+:\d+: error: ", line)]
    told = [f"{line} [room {room} knows {' '.join(known) or 'no room'}]" for line in dict.fromkeys(errors)]
    return told or [f"{CORE}/{room}:1: swiftc failed:\n{done.stderr}"]


def findings():
    rows = read_floors()
    yield from check_table(rows)
    for _, _, room, _, modules in rows:
        yield from check_imports(room, modules)
    # The top room with all below it is the whole core, which the build itself has checked.
    top = max(floor for _, floor, _, _, _ in rows)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from (finding for result in pool.map(
            lambda row: check_border(row[2], row[3]), [row for row in rows if row[1] < top])
            for finding in result)


if __name__ == "__main__":
    source.report(list(findings()))
