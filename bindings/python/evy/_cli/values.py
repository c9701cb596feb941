# SPDX-License-Identifier: MIT
"""values - turns what an operator wrote, as a text or as Python, into the value of a setting."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
from collections.abc import Callable
from typing import Any

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


class SettingError(ValueError):
    """A setting that cannot be used; the text names it."""


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ValueError(f"{value!r} is no text")


def texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [part for one in value for part in texts(str(one))]


def lines(value: Any) -> list[str]:
    """Like texts, but a comma is a part of the text."""
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


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
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is no whole number") from None
    if number < 0 or number != float(value):
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
    except (TypeError, ValueError):
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
    if value is None or isinstance(value, int):
        return value
    if value.isdigit():
        return int(value)
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {value!r}") from None


def group(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if value.isdigit():
        return int(value)
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {value!r}") from None


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


def pairs(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(str(name), str(one)) for name, one in value.items()]
    return [one if isinstance(one, tuple) else pair(one) for one in lines(value)]


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
