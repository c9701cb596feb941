# SPDX-License-Identifier: MIT
"""Sizes and shape: files of at most 400 lines, functions of at most 60, 110 columns, file headers."""
import ast
import re

import source

FILE_LINES, FUNCTION_LINES, COLUMNS = 400, 60, 110
# The contract is one file, and most of it is its reference.
CONTRACT = "Include/evy.h"
SWIFT_START = re.compile(
    r"(?<![\w.])(func\s+[^\s(<]+|init[?!]?(?=\s*[(<])|deinit(?=\s*\{)|subscript(?=\s*[(<]))")
C_START = re.compile(r"^[A-Za-z_][^;={}#]*?\b(\w+)\s*\([^;{}]*\)\s*\{", re.M)


def swift_functions(text):
    """(name, first offset, last offset) of every function with a body."""
    code = source.blanked(text)
    for start in SWIFT_START.finditer(code):
        brace = body_start(code, start.end())
        if brace is not None:
            yield start.group().split()[-1], start.start(), brace_end(code, brace)


def body_start(code, at):
    """The `{` of a declaration, or None for a requirement in a protocol."""
    depth = 0
    for offset in range(at, len(code)):
        char = code[offset]
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(char, 0)
        if depth < 0 or (depth == 0 and char == "}"):
            return None
        if depth == 0 and char == "{":
            return offset
        if depth == 0 and char == "\n" and ends_declaration(code, offset):
            return None
    return None


def ends_declaration(code, newline):
    following = code[newline:].lstrip()
    before = code[:newline].rstrip()
    continues = following.startswith(("{", "->", "where", "throws", "async", "(", ")", ","))
    return not continues and not before.endswith((",", "->", "where", "(", "&"))


def brace_end(code, brace):
    depth = 0
    for offset in range(brace, len(code)):
        depth += {"{": 1, "}": -1}.get(code[offset], 0)
        if depth == 0:
            return offset
    return len(code) - 1


def c_functions(text):
    code = re.sub(r"^\s*#.*(?:\\\n.*)*", lambda m: re.sub(r"[^\n]", " ", m.group()), source.blanked(text),
                  flags=re.M)
    code = code.replace('extern "C" {', " " * 12)
    at = 0
    while (start := C_START.search(code, at)) is not None:
        end = brace_end(code, start.end() - 1)
        yield start.group(1), start.start(), end
        at = end


def python_functions(path, text):
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def long_functions(path, text):
    if path.endswith(".py"):
        spans = python_functions(path, text)
    else:
        found = swift_functions(text) if path.endswith(".swift") else c_functions(text)
        spans = ((n, source.line_of(text, a), source.line_of(text, b)) for n, a, b in found)
    for name, first, last in spans:
        if last - first + 1 > FUNCTION_LINES:
            yield f"{path}:{first}: {name} has {last - first + 1} lines, more than {FUNCTION_LINES}"


def header(path, lines):
    """SPDX on top; in the core also what the file turns into what, and its room."""
    top = "\n".join(lines[:4])
    if "SPDX-License-Identifier: MIT" not in top:
        yield f"{path}:1: no SPDX-License-Identifier: MIT in the first lines"
    if not path.startswith("Sources/EvyCore/") or len(lines) < 3:
        return
    name = path.rsplit("/", 1)[1].removesuffix(".swift")
    if not re.match(rf"// {re.escape(name)} - \S", lines[1]):
        yield f"{path}:2: the second line should read `// {name} - what it turns into what.`"
    if not any(re.match(rf"// Room: {path.split('/')[2]}\b", line) for line in lines[2:5]):
        yield f"{path}:3: the third line should name the room, `// Room: {path.split('/')[2]} (purity).`"


def findings():
    for path in source.files(".swift", ".c", ".h", ".py", ".sh"):
        text = source.text_of(path)
        lines = text.splitlines()
        yield from header(path, lines)
        if len(lines) > FILE_LINES and path != CONTRACT:
            yield f"{path}:{FILE_LINES + 1}: {len(lines)} lines, more than {FILE_LINES}"
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                yield f"{path}:{number}: {len(line)} columns, more than {COLUMNS}"
            if line != line.rstrip() or "\t" in line:
                yield f"{path}:{number}: a tab, or blanks at the end of the line"
        if not path.endswith(".sh"):
            yield from long_functions(path, text)


if __name__ == "__main__":
    source.report(list(findings()))
