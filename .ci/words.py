# SPDX-License-Identifier: MIT
"""Words and constructs that must not appear: Foundation, unwraps with !, print in Sources, to-do notes."""
import re

import source

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# (pattern, what to say, where: folders it holds for)
SWIFT = [
    (r"\bimport\s+(?:Foundation\w*|Dispatch)\b", "Glibc and the standard library do", "everywhere"),
    (r"\btry!", "try! ends the process", "outside tests"),
    (r"\bas!", "as! ends the process", "outside tests"),
    (r"(?<!\bas)(?<!\btry)(?<=[\w)\]}>?])!(?!=)", "an unwrap with ! ends the process", "outside tests"),
    (r"(?<![.\w])(?:print|debugPrint|dump)\(", "the library never prints, it logs", "Sources"),
    (r"\bunsafeBitCast\b", "unsafeBitCast", "everywhere"),
    (r"\bstatic var \w+(?: *: *[^={\n]+)? *=(?!=)", "global mutable state", "Sources"),
    (r"\bfatalError\(", "fatalError ends the host's process", "Sources"),
    (r"\bSIMD\d+<U?Int8>", "SIMD comparisons of bytes are slow: use CSystem's scans", "Sources"),
    (r"\bfunc [a-z]+_", "a name with an underscore", "rooms"),
]
C = [
    (r"\b(?:sprintf|strcpy|strcat|gets|strtok)\s*\(", "a call without a bound", "outside tests"),
    (r"\b(?:printf|puts|abort|exit|signal|sigaction)\s*\(", "not the library's to do", "Sources"),
]


def applies(where, path):
    return {
        "everywhere": True,
        "outside tests": not path.startswith(("Tests/", "Benchmarks/")),
        "Sources": path.startswith("Sources/"),
        "rooms": path.startswith("Sources/EvyCore/") and "/ABI/" not in path and "/Python/" not in path,
    }[where]


# Promises the compiler takes on trust, and the word the comment above must hold.
PROMISES = [(r"@unchecked\s+Sendable", "Thread:"), (r"\bnonisolated\s*\(\s*unsafe\s*\)", "SAFETY:"),
            (r"\bunowned\s*\(\s*unsafe\s*\)", "SAFETY:")]


def promises(path, text, code):
    lines = text.splitlines()
    for pattern, label in PROMISES:
        for found in re.finditer(pattern, code):
            number = source.line_of(code, found.start())
            if not any(label in line for line in lines[max(0, number - 15):number]):
                yield f"{path}:{number}: {found.group()} without a `{label}` comment above it"


def findings():
    for path in source.files(".swift", ".c", ".h", ".py", ".sh"):
        text = source.text_of(path)
        code = source.blanked(text)
        for found in UNFINISHED.finditer(text):
            line = source.line_of(text, found.start())
            yield f"{path}:{line}: {found.group()}: finish it, or open an issue"
        rules = SWIFT if path.endswith(".swift") else C if path.endswith((".c", ".h")) else []
        for pattern, why, where in rules:
            if applies(where, path):
                for found in re.finditer(pattern, code):
                    yield f"{path}:{source.line_of(code, found.start())}: {why}"
        if path.endswith(".swift") and path.startswith("Sources/"):
            yield from promises(path, text, code)


if __name__ == "__main__":
    source.report(list(findings()))
