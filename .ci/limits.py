# SPDX-License-Identifier: MIT
"""docs/threat-model.md has a row with its default for each limit and deadline, and names the switches."""
import re

import source

PAGE = "docs/threat-model.md"
TABLES = ("Sources/EvyCore/Server/OptionTable.swift", "Sources/EvyCore/Server/ProxyOptions.swift")
ROW = re.compile(r'OptionRow\(\s*"(\w+)",\s*\.(\w+)\(.*?\),\s*"?([\w.-]*)"?')
NUMBERS = ("int", "size", "time")
# Of the others, those that decide whom and what to believe.
SWITCH = re.compile(r"allow_|lenient_|underscore_|prox(?:y|ies)|forwarded_headers")


def options():
    for path in TABLES:
        yield from ROW.findall(source.text_of(path))


def findings():
    page = source.text_of(PAGE)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", page, re.M))
    seen = set()
    for name, slot, standard in options():
        seen.add(name)
        if slot in NUMBERS and rows.get(name) != standard:
            yield f"{PAGE}:1: option {name}: no row with its default {standard} (found: {rows.get(name)})"
        elif SWITCH.search(name) and f"`{name}" not in page and f"`{name}=" not in page:
            yield f"{PAGE}:1: option {name} is not named"
    for name in rows.keys() - seen:
        yield f"{PAGE}:1: there is no option {name}"
    if len(seen) < 30:
        yield f"{TABLES[0]}:1: only {len(seen)} options found, has its form changed?"


if __name__ == "__main__":
    source.report(list(findings()))
