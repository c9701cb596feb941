# SPDX-License-Identifier: MIT
"""docs/options.md is what LIBRARY says of its options; with --write it becomes that."""
import ctypes
import sys

import source

PAGE = "docs/options.md"
HEAD = """# Options

What `evy_option_name` and its sisters tell, as a page: `make options` writes it. C sets them with
`evy_config_set`, Python with keywords of `wsgi.server` and `evy.wsgi.Server`, Swift with the members of
`Options`. Limits and deadlines stand with their reasons in [threat-model.md](threat-model.md).

A time is `500ms`, `30s`, `2m`, or `-1` for ever; a size `8k`, `16m`, `1g`; a bool `true` or `false`. Those of
TLS are told of at `evy_tls_set` in [evy.h](../Include/evy.h).

| option | type | default | |
|---|---|---|---|
"""


def rows(library):
    functions = [getattr(library, f"evy_option_{what}") for what in ("type", "default", "help")]
    for function in (library.evy_option_name, *functions):
        function.restype = ctypes.c_char_p
    index = 0
    while (name := library.evy_option_name(index)) is not None:
        kind, standard, told = (function(name).decode().replace("|", "\\|") for function in functions)
        yield f"| `{name.decode()}` | {kind} | {f'`{standard}`' if standard else ''} | {told} |\n"
        index += 1


def main(library, *arguments):
    page = HEAD + "".join(rows(ctypes.CDLL(library)))
    if arguments == ("--write",):
        with open(PAGE, "w") as out:
            out.write(page)
    elif source.text_of(PAGE) != page:
        source.report([f"{PAGE}:1: is not what the library says; make options writes it"])


if __name__ == "__main__":
    main(*sys.argv[1:])
