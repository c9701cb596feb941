# SPDX-License-Identifier: MIT
"""_fields - turns status texts and header lists of WSGI into what the library takes, and says what is wrong.

Spec: PEP 3333, "The start_response() Callable"; RFC 9110 section 5.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STATUS = re.compile(r"([2-5][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CONTENT_LENGTH = re.compile(r"[0-9]{1,18}\Z")


def status_line(status: Any) -> tuple[int, bytes | None]:
    """Number and phrase of "200 OK"; None: the library's own phrase. Errors: TypeError, ValueError."""
    if not isinstance(status, str):
        raise TypeError(f"the status has to be a str like '200 OK', not {type(status).__name__}")
    return _status_line(status)


@lru_cache(maxsize=256)
def _status_line(status: str) -> tuple[int, bytes | None]:
    match = _STATUS.match(status)
    if match is None:
        raise ValueError(f"status {status!r}: it has to be like '200 OK', from 200 to 599")
    try:
        return int(match[1]), match[2].encode("latin-1") if match[2] else None
    except UnicodeEncodeError:
        raise ValueError(f"status {status!r} holds characters that are not latin-1") from None


@lru_cache(maxsize=1024)
def _checked(name: str) -> str:
    """A header name that is one; a ValueError is not remembered."""
    if not _NAME.match(name):
        raise ValueError(name)
    return name


@lru_cache(maxsize=1024)
def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in _checked(name).split("-"))


def field_block(headers: Any, capitalizes: bool) -> tuple[bytes, int | None]:
    """name NUL value NUL name NUL value NUL, and the Content-Length in it.

    Checked so that no value can pretend to be another field. Errors: TypeError, ValueError; they name the
    header.
    """
    # Quick ways first; what goes wrong on them is looked at again by _complaint.
    if not isinstance(headers, list):
        raise TypeError(
            f"response headers have to be a list of (name, value), not {type(headers).__name__}"
        )
    convert = _capitalized if capitalizes else _checked
    parts: list[str] = []
    length: int | None = None
    try:
        for pair in headers:
            if not isinstance(pair, tuple):
                raise TypeError
            name, value = pair
            name = convert(name)
            if len(name) == 14 and name.lower() == "content-length":
                length = _content_length(value)
            parts.append(name)
            parts.append(value)
        if not parts:
            return b"", None
        # The last NUL keeps an empty last value from looking like a name without one.
        parts.append("")
        block = "\0".join(parts).encode("latin-1")
    except (TypeError, ValueError, AttributeError):
        raise _complaint(headers) from None
    if block.count(b"\0") != len(parts) - 1 or b"\r" in block or b"\n" in block:
        raise _complaint(headers)
    return block, length


def _content_length(value: str) -> int:
    if not _CONTENT_LENGTH.match(value):
        raise ValueError
    return int(value)


def _complaint(headers: list[Any]) -> Exception:
    """What is wrong with these headers; something is."""
    for pair in headers:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return TypeError(f"a response header has to be a tuple (name, value), not {pair!r}")
        for text in pair:
            if not isinstance(text, str):
                kind = type(text).__name__
                return TypeError(f"response header {pair[0]!r}: name and value are str, {text!r} is {kind}")
        name, value = pair
        if not _NAME.match(name):
            why = "CR, LF or NUL in" if re.search("[\r\n\0]", name) else "characters not allowed in"
            return ValueError(f"response header {name!r}: {why} its name")
        if re.search("[\r\n\0]", value):
            return ValueError(f"response header {name!r}: CR, LF or NUL in its value {value!r}")
        if any(character > "\xff" for character in value):
            return ValueError(f"response header {name!r}: its value {value!r} is not latin-1")
        if name.lower() == "content-length" and not _CONTENT_LENGTH.match(value):
            return ValueError(f"response header {name!r}: {value!r} is not a number of bytes")
    return ValueError("the response headers cannot be used")
