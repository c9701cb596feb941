# SPDX-License-Identifier: MIT
"""_bridge - the way from the library to an application without ctypes in between, where CPython allows it.

The library (evy_config_python) makes environ, calls the application and sends an answer of one piece. For the
rest of PEP 3333 it calls a method of Bridge, which does what Application does without a bridge; so both ways
behave the same. EVY_BRIDGE=ctypes chooses to do without, EVY_BRIDGE=cpython insists.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from itertools import chain
from typing import Any

from evy import _errors
from evy._config import Config
from evy.web._application import Application
from evy.web._files import FileWrapper
from evy.web._input import EmptyInput, MemoryInput
from evy.web._response import ALREADY_HANDLED, WSGI_LOCAL, Response

CHOICES = ("auto", "cpython", "ctypes")


class Bridge:
    """What the library reads of the attributes below, once; request is the evy_req as a number.

    application: the WSGI callable. environ: the keys all requests have in common. empty, input: make
    wsgi.input of no body, and of the bytes of one. capitalizes: header names, as in Manner. streams: the
    library may send the pieces of an iterable itself. local: its already_handled is taken back ahead of each
    call of the application, as Application.serve does. over: stands for every request that is over.
    Thread: those lent to the library; it holds the interpreter lock. No exception leaves a method but those
    that materialize() is to hand on.
    """

    def __init__(self, application: Application) -> None:
        self._owner = application
        self.application = application.site
        self.environ = application.environ.base
        self.empty = EmptyInput
        self.input = MemoryInput
        self.file_wrapper = FileWrapper
        self.capitalizes = application.manner.capitalizes
        self._piece_bytes = application.manner.asked_piece_bytes(self.environ)
        self.streams = application.manner.on_writable is None and self._piece_bytes == 0
        self.already_handled = ALREADY_HANDLED
        self.local = WSGI_LOCAL
        self.over = Response.over()

    def serve(self, request: int) -> None:
        """A request that is not for the quick way."""
        self._owner.serve(request)

    def respond(
        self, request: int, env: dict[str, Any], thread: int, head: bytes | None = None
    ) -> Response:
        """What stands for the answer from here on: the application has asked for more than the quick way.

        thread: the handler's; any may have asked. head: of a start_response that the library has taken.
        """
        response = Response(request, env, self._owner.manner, self._owner.idle)
        response.enter(thread)
        if head is not None:
            response.started(head, self._piece_bytes)
        return response

    def finish(self, request: int, env: dict[str, Any], response: Response, result: Any) -> None:
        """Sends what the application has returned."""
        self._owner.conclude(request, env, response, result)

    def failed(self, request: int, env: dict[str, Any], response: Response, error: BaseException) -> None:
        """The application has raised."""
        self._owner.conclude(request, env, response, None, error)

    def resume(self, request: int, env: dict[str, Any], response: Response, rest: tuple[Any, ...]) -> None:
        """Goes on with an iterable that the library has begun: (result, item, iterator, error, is_sent).

        item: taken from the iterator, and not sent; None: there is no more. error: raised by the iterator or
        by the result when asked for one, or, where result is None, by its close(). is_sent: the answer is, as
        a whole.
        """
        result, item, iterator, error, is_sent = rest
        if is_sent:
            response.has_begun = response.has_ended = True
        if error is not None and result is not None:
            iterator, error = _raising(error), None
        elif iterator is not None:
            # One that has ended is not asked again: it may wait for ever for what would come then.
            iterator = iter(()) if item is None else chain((item,), iterator)
        self._owner.conclude(request, env, response, result, error, iterator)

    def answered(self, request: int, env: dict[str, Any], response: Response) -> None:
        """The library has sent the answer, and there are hooks."""
        response.has_begun = response.has_ended = True
        self._owner.leave(request, env, response)


def _raising(error: BaseException) -> Iterator[bytes]:
    """An iterator as it was left by an exception: the exception comes where the next item would."""
    raise error
    yield b""


def obstacle() -> str | None:
    """Why this interpreter cannot have the bridge; None: it can."""
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the bridge needs the interpreter lock, which free-threaded builds do not have"
    return None


def attach(config: Config, application: Application, needs_python: str | None) -> bool:
    """Gives the application to the library. False: it has to be called through ctypes.

    needs_python: why each request of this server has to go through Python; None: it has not.
    Errors: ConfigError, where EVY_BRIDGE insists on what this interpreter cannot have.
    """
    choice = os.environ.get("EVY_BRIDGE", "auto")
    if choice not in CHOICES:
        raise _errors.ConfigError(f"EVY_BRIDGE is {choice!r}: it is one of {', '.join(CHOICES)}")
    if choice == "ctypes":
        return False
    if choice == "auto" and sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise _errors.ConfigError(
            "this Python is a free-threaded build, and the fast bridge needs the interpreter lock: "
            "EVY_BRIDGE=ctypes goes the slow way"
        )
    if needs_python is not None:
        return False
    try:
        bridge = Bridge(application)
    except (TypeError, ValueError):
        # A number of bytes in environ is none: so start_response says at each request.
        return False
    reason = obstacle() or config.bridge(bridge)
    if reason is not None and choice == "cpython":
        raise _errors.ConfigError(f"EVY_BRIDGE=cpython: {reason}")
    return reason is None

