# SPDX-License-Identifier: MIT
"""banner - tells whoever started the server what it serves, and where."""

from __future__ import annotations

import os
import sys
from typing import Any

from evy._cli.state import State
from evy._lib import version
from evy._version import __version__

_BOLD, _DIM, _BLUE, _GREEN, _OFF = "\033[1m", "\033[2m", "\033[36m", "\033[32m", "\033[0m"


def show(state: State, status: Any) -> None:
    """On stderr, where the log level lets such things through."""
    stream = sys.stderr
    if stream is None or not state.logs.error.takes("info"):
        return
    is_coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    try:
        stream.write(text(state, status, is_coloured))
        stream.flush()
    except OSError:
        return


def text(state: State, status: Any, is_coloured: bool) -> str:
    settings = state.settings

    def painted(colour: str, words: str) -> str:
        return f"{colour}{words}{_OFF}" if is_coloured else words

    urls = [painted(_BLUE, one.url(state.tls is not None)) for one in state.listeners]
    library = version()
    rows = [("app", settings.wsgi_app or "")]
    rows += [("listening" if index == 0 else "", url) for index, url in enumerate(urls)]
    processes = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    rows.append(
        ("workers", f"{processes}, {settings.threads} thread{'s' if settings.threads > 1 else ''} each")
    )
    rows.append(("TLS", f"{settings.certfile}" if state.tls is not None else "off"))
    if status is not None:
        rows.append(("status", painted(_BLUE, status.listener.url(False))))
    rows.append(("pid", str(state.pid)))
    if settings.reload:
        rows.append(("reload", painted(_GREEN, "when a source file changes")))
    head = f"{painted(_BOLD, f'evy {__version__}')} {painted(_DIM, f'(library {library})')}"
    return "\n".join([head, *(f"  {painted(_DIM, f'{name:<10}')}{value}" for name, value in rows)]) + "\n"
