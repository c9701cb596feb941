# SPDX-License-Identifier: MIT
"""What the checks share: which files there are, and Swift or C text without comments and strings."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("Sources", "Include", "Tests", "Examples", "Benchmarks", "bindings", ".ci")
SKIP = {"__pycache__", "build", ".build", "node_modules", ".venv", "target"}


def files(*suffixes, folders=FOLDERS):
    """Paths relative to the root, sorted, of the files that we wrote."""
    found = [p for p in ("Package.swift",) if p.endswith(suffixes) and folders is FOLDERS]
    for folder in folders:
        for base, names, entries in os.walk(os.path.join(ROOT, folder)):
            names[:] = [n for n in names if n not in SKIP and not n.startswith((".build", "build-"))]
            found += [os.path.relpath(os.path.join(base, e), ROOT) for e in entries if e.endswith(suffixes)]
    return sorted(found)


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def report(findings):
    """Print file:line: text for each finding and end with the exit status."""
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


_TOKEN = re.compile(
    r'//[^\n]*|/\*|(?P<hash>#+)"(?:"")?|"""|"|\'(?:\\.|[^\'\\\n])*\'')


def blanked(text, keep_strings=False):
    """The same text, same length, same lines, with comments (and strings) turned into spaces."""
    out, at = [], 0
    while True:
        token = _TOKEN.search(text, at)
        if token is None:
            return "".join(out) + text[at:]
        out.append(text[at:token.start()])
        word = token.group()
        if word.startswith("//"):
            end, hide = token.end(), True
        elif word == "/*":
            end, hide = _comment_end(text, token.end()), True
        elif word.startswith("'"):
            end, hide = token.end(), not keep_strings
        else:
            end, hide = _string_end(text, token), not keep_strings
        piece = text[token.start():end]
        out.append(re.sub(r"[^\n]", " ", piece) if hide else piece)
        at = end


def _comment_end(text, at):
    """Swift comments nest; C ones that hold a second opener do not occur here."""
    depth = 1
    while depth:
        step = re.compile(r"/\*|\*/").search(text, at)
        if step is None:
            return len(text)
        depth += 1 if step.group() == "/*" else -1
        at = step.end()
    return at


def _string_end(text, token):
    """The end of a literal, however deep the interpolations (with literals of their own) in it go."""
    hashes = token.group("hash") or ""
    quotes = token.group()[len(hashes):]
    closer, escape, at = quotes + hashes, "\\" + hashes, token.end()
    while at < len(text):
        if text.startswith(closer, at):
            return at + len(closer)
        if text.startswith(escape + "(", at):
            at = _parenthesis_end(text, at + len(escape) + 1)
        elif text.startswith(escape, at):
            at += len(escape) + 1
        elif quotes == '"' and text[at] == "\n":
            return at
        else:
            at += 1
    return at


def _parenthesis_end(text, at):
    depth = 1
    while depth and at < len(text):
        token = _TOKEN.match(text, at)
        if token and '"' in token.group():
            at = _string_end(text, token)
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at
