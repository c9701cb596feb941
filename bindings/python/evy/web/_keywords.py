# SPDX-License-Identifier: MIT
"""_keywords - turns the ancestors' keywords into options of the library."""

from __future__ import annotations

import os
import numbers
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from evy import _errors, _lib
from evy._config import Config
from evy.web._environ import OVERRIDABLE
from evy.web._response import Manner

_LOG_START = '%(client_ip)s - - [%(date_time)s] "%(request_line)s"'
DEFAULT_LOG_FORMAT = _LOG_START + " %(status_code)s %(body_length)s %(wall_seconds).6f"
# Compatibility with eventlet 0.41 (behaviour that evy changed on purpose otherwise).
COMPAT_OPTIONS = {
    "server_protocol_fixed": True,
    "header_join": "comma",
    "header_size_status": 400,
    "allow_missing_host": True,
    "allow_unknown_expect": True,
}
COMPAT_PIECE_BYTES_MIN = 4096
COMPAT_CONNECTIONS_MAX = 1024
_LENIENT = ("allow_missing_host", "allow_bare_lf", "allow_obs_fold", "lenient_content_length")
_PATCHERS = {"gevent.monkey": "is_module_patched", "eventlet.patcher": "is_monkey_patched"}
_GRACE_SECONDS_MAX = 1e9
_VERSIONS = {"HTTP/1.0": "1.0", "HTTP/1.1": "1.1"}


def is_compat(compat: str | None) -> bool:
    if compat not in (None, "eventlet"):
        raise _errors.ConfigError(f"compat {compat!r}: it is None or 'eventlet'")
    return compat is not None


def grace_ms(grace: Any) -> int:
    """As evy_server_stop takes it; an infinite one too. Errors: TypeError, ConfigError."""
    if grace is None:
        return _lib.FOR_EVER
    if not isinstance(grace, numbers.Real):
        raise TypeError(f"grace is a {type(grace).__name__}, not a number of seconds or None")
    if not grace >= 0:  # NaN neither
        raise _errors.ConfigError(f"grace {grace!r}: it is a number of seconds, or None for ever")
    return round(min(grace, _GRACE_SECONDS_MAX) * 1000)


def streams_chunks(chunked_input: str | None, compat: bool) -> bool:
    if chunked_input not in (None, "buffer", "stream"):
        raise _errors.ConfigError(f"chunked_input {chunked_input!r}: it is 'buffer' or 'stream'")
    return compat if chunked_input is None else chunked_input == "stream"


def manner(piece_bytes_min: int | None, capitalizes: bool, compat: bool) -> Manner:
    if piece_bytes_min is None:
        piece_bytes_min = COMPAT_PIECE_BYTES_MIN if compat else 0
    if not isinstance(piece_bytes_min, int) or piece_bytes_min < 0:
        raise _errors.ConfigError(f"minimum_chunk_size {piece_bytes_min!r}: it is a number of bytes")
    keys: tuple[str, ...] = ("evy.minimum_write_chunk_size",)
    if compat:
        keys = ("eventlet.minimum_write_chunk_size", *keys)
    return Manner(bool(capitalizes), piece_bytes_min, keys, restarts=compat)


def error_body(debug: bool, compat: bool) -> str | None:
    """What is said of an exception of the application; None: its traceback."""
    if debug:
        return None
    return "" if compat else "Internal Server Error\n"


def connection_options(
    max_size: int | None,
    max_http_version: str,
    keepalive: bool | float | None,
    socket_timeout: float | None,
    compat: bool,
) -> dict[str, Any]:
    if max_http_version not in _VERSIONS:
        raise _errors.ConfigError(f"max_http_version {max_http_version!r} is neither HTTP/1.0 nor HTTP/1.1")
    options: dict[str, Any] = dict(COMPAT_OPTIONS) if compat else {}
    options["lent_threads"] = True
    options["max_http_version"] = _VERSIONS[max_http_version]
    options["keep_alive"] = bool(keepalive)
    if max_size is None and compat:
        max_size = COMPAT_CONNECTIONS_MAX
    if max_size is not None:
        options["max_connections"] = max_size
    if socket_timeout is not None:
        for name in (
            "handshake_timeout",
            "header_timeout",
            "body_timeout",
            "write_timeout",
            "idle_timeout",
        ):
            options[name] = socket_timeout
    if keepalive and not isinstance(keepalive, bool):
        options["idle_timeout"] = keepalive
    return options


def needs_python(config: Config, environ: Any, custom_pool: Any, compat: bool) -> str | None:
    """What asks for Python code around every call of the application; None: nothing does."""
    if custom_pool is not None:
        return "the application runs in a custom_pool"
    if compat:
        return "environ has the ancestors' keys"
    if any(key in OVERRIDABLE for key in environ or ()):
        return "keyword environ overrides what a request says"
    if config.get("allow_encoded_nul") == "true":
        return "option allow_encoded_nul is on"
    return None


def proxy_options(trusted_proxies: Any, proxy_protocol: bool | str | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if trusted_proxies is not None:
        is_text = isinstance(trusted_proxies, str)
        options["trusted_proxies"] = trusted_proxies if is_text else ",".join(map(str, trusted_proxies))
    if isinstance(proxy_protocol, bool):
        options["proxy_protocol"] = "require" if proxy_protocol else "off"
    elif proxy_protocol is not None:
        options["proxy_protocol"] = proxy_protocol
    return options


def protocol_keywords(protocol: Any, minimum_chunk_size: int | None) -> dict[str, Any]:
    """What class attributes of the ancestors' HttpProtocol ask for."""
    keywords: dict[str, Any] = {}
    if minimum_chunk_size is None:
        keywords["minimum_chunk_size"] = getattr(protocol, "minimum_chunk_size", None)
    if not getattr(protocol, "reject_bad_requests", True):
        keywords.update(dict.fromkeys(_LENIENT, True))
    return keywords


class Threads(NamedTuple):
    """How a server's threads are used.

    lent: how many Python lends. can_wait: a handler may wait for its client, the loop goes on elsewhere.
    is_multithreaded: the application may be called by several at the same time.
    """

    lent: int
    can_wait: bool
    is_multithreaded: bool


def threads_of(config: Config) -> Threads:
    """For each loop one that turns it, one for each handler, and a spare, so that a handler that is about to
    wait always finds somebody to take the loop. With threads=1 those that turn the loops run the handlers.
    """
    threads = int(config.get("threads"))
    asked = config.get("loops") if config.has("loops") else "1"
    loops = (int(asked) if asked.isdigit() else 0) or os.cpu_count() or 1
    if threads == 1:
        return Threads(loops, False, loops > 1)
    return Threads(loops * (threads + 2), True, True)


def refuse_green_threads() -> None:
    """Threads that are no threads would wait for each other. Errors: StateError."""
    for module, question in _PATCHERS.items():
        ask = getattr(sys.modules.get(module), question, None)
        if ask is not None and (ask("threading") or ask("thread")):
            name = module.split(".", 1)[0]
            raise _errors.StateError(
                f"{name} has replaced Python's threads, which evy needs: leave out the monkey-patching"
            )


def pool_runner(pool: Any) -> Callable[..., Any] | None:
    """A function that runs another in the pool and waits for it; None: no pool."""
    if pool is None:
        return None
    if hasattr(pool, "submit"):
        return lambda function, *args: pool.submit(function, *args).result()
    if hasattr(pool, "spawn"):
        return lambda function, *args: _wait(pool.spawn(function, *args))
    raise TypeError(f"custom_pool is a {type(pool).__name__}: it has neither submit() nor spawn()")


def _wait(task: Any) -> Any:
    """eventlet's green threads have wait(), gevent's greenlets get()."""
    return task.wait() if hasattr(task, "wait") else task.get()
