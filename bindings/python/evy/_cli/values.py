# SPDX-License-Identifier: MIT
"""values - turns what an operator wrote, as a text or as Python, into the value of a setting."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
from collections.abc import Callable, Iterable
from typing import Any

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_OWNERS_MAX = (1 << 32) - 1
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


class SettingError(ValueError):
    """A setting that cannot be used; the text names it."""


def path(value: Any) -> str | None:
    """A text as the kernel takes it: any bytes but NUL."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    try:
        if b"\0" in os.fsencode(value):
            raise ValueError(f"{value!r} holds a NUL")
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is no text: it holds half of a character") from None
    return value


def tls_path(value: Any) -> str | None:
    """As path(); an empty one, as of a variable that is not set, must not pass for none: it means TLS."""
    if value == "":
        raise ValueError("'' is no path of a file (for clear text, leave it out)")
    return path(value)


def text(value: Any) -> str | None:
    """As the library takes it: UTF-8."""
    found = path(value)
    if found is not None and not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{value!r} is not UTF-8") from None
    return found


def texts(value: Any) -> list[str]:
    return [part.strip() for one in lines(value) for part in one.split(",") if part.strip()]


def lines(value: Any) -> list[str]:
    """Like texts, but a comma is a part of the text."""
    if value is None or isinstance(value, (str, os.PathLike)):
        value = [] if value is None else [value]
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise ValueError(f"{value!r} is neither a text nor a list of texts")
    return [str(path(one if isinstance(one, os.PathLike) else str(one))) for one in value]


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{value!r} is neither true nor false")


def whole(value: Any) -> int:
    """A whole number of at least 0."""
    try:
        number = int(value)
        is_whole = number == float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is no whole number") from None
    if number < 0 or not is_whole:
        raise ValueError(f"{value!r} is no whole number of at least 0")
    return number


def positive(value: Any) -> int:
    number = whole(value)
    if number == 0:
        raise ValueError("0 is too small")
    return number


def seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is no number of seconds") from None
    if not 0 <= number < 1e7:
        raise ValueError(f"{value!r} is no number of seconds between 0 and 10000000")
    return int(number) if number == int(number) else number


def mask(value: Any) -> int | None:
    """A umask: texts are octal, as in chmod(1)."""
    if value is None:
        return None
    try:
        number = value if isinstance(value, int) else int(value, 8)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is no octal number") from None
    if not 0 <= number <= 0o777:
        raise ValueError(f"{value!r} is no mask between 0 and 0777")
    return number


def user(value: Any) -> int | None:
    """A user's number, from a name or a number."""
    return _owner(value, "user", lambda name: pwd.getpwnam(name).pw_uid)


def group(value: Any) -> int | None:
    return _owner(value, "group", lambda name: grp.getgrnam(name).gr_gid)


def _owner(value: Any, kind: str, number_of: Callable[[str], int]) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        # The last number means "nobody in particular" to the kernel.
        if not 0 <= int(value) < _OWNERS_MAX:
            raise ValueError(f"{value!r} is no number of a {kind}")
        return int(value)
    try:
        return number_of(str(path(value)))
    except KeyError:
        raise ValueError(f"there is no {kind} {value!r}") from None


def log_level(value: Any) -> str:
    word = str(value).lower()
    if word not in LOG_LEVELS:
        raise ValueError(f"{value!r} is none of {', '.join(LOG_LEVELS)}")
    return word


def cert_reqs(value: Any) -> int:
    """0, 1, 2 as in module ssl, or none, optional, required."""
    words = {"none": 0, "optional": 1, "required": 2}
    word = str(int(value) if isinstance(value, ssl.VerifyMode) else value).lower().replace("cert_", "")
    if word in words:
        return words[word]
    if word in ("0", "1", "2"):
        return int(word)
    raise ValueError(f"{value!r} is none of 0 (none), 1 (optional), 2 (required)")


def proxy_protocol(value: Any) -> str:
    """The library's word for it; gunicorn's modes all ask for a header, of either version."""
    word = str(value).lower()
    if word in ("v1", "v2", "auto", "require", "true", "1", "yes", "on"):
        return "require"
    if word in ("off", "false", "0", "no", "none"):
        return "off"
    raise ValueError(f"{value!r} is none of off, v1, v2, auto")


def header_map(value: Any) -> str:
    word = {"dangerous": "allow"}.get(str(value), str(value))
    if word not in ("drop", "refuse", "allow"):
        raise ValueError(f"{value!r} is none of drop, refuse, dangerous")
    return word


def pair(one: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = one.partition("=")
    if not equals or not name:
        raise ValueError(f"{one!r} is not NAME=VALUE")
    return name, value


def _named(name: str, value: str) -> tuple[str, str]:
    """What a dictionary holds has not been taken apart: its names may hold anything."""
    if "=" in name:
        raise ValueError(f"{name!r} is no name: it holds a =")
    return pair(str(path(f"{name}={value}")))


def pairs(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [_named(str(name), str(one)) for name, one in value.items()]
    return [pair(one) for one in lines(value)]


def options(value: Any) -> list[tuple[str, str]]:
    """Pairs as the library takes them: UTF-8."""
    found = pairs(value)
    for one in found:
        text("=".join(one))
    return found


def anything(value: Any) -> Any:
    return value


def hook(value: Any) -> Callable[..., Any] | None:
    if value is None or callable(value):
        return value
    raise ValueError(f"{value!r} is not callable")


def worker_class(value: Any) -> str:
    name = value if isinstance(value, str) else getattr(value, "__name__", str(value))
    if name in ("sync", "gthread"):
        return name
    kind = name.lower()
    if "gevent" in kind or "eventlet" in kind:
        why = "evy has a loop of its own in the library, which does not run green threads"
    elif "uvicorn" in kind or "asgi" in kind or "aiohttp" in kind:
        why = "this command serves WSGI applications"
    elif "tornado" in kind:
        why = "it would bring another event loop; a Tornado application has to run under its own server"
    else:
        why = "workers are evy's own, and a class for gunicorn cannot run in them"
    raise ValueError(f"{name!r} cannot be used: {why}. Leave the option out, or say sync or gthread")
