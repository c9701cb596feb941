# SPDX-License-Identifier: MIT
"""_application - runs a WSGI application and its post hooks for the callbacks of the library."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from evy import _errors, _lib
from evy._lib import lib
from evy.web._environ import Environ, outcome
from evy.web._input import attach
from evy.web._log import Log, report_unraisable
from evy.web._response import Response

PHRASES = {400: "400 Bad Request", 408: "408 Request Timeout", 413: "413 Content Too Large"}


class Application:
    """One WSGI callable behind a server.

    Ownership: the callbacks handed to the library live as long as this object, so the server keeps it until
    the library has finished. Thread: the library's threads, many at once; no exception leaves a callback.
    """

    def __init__(
        self,
        site: Callable[..., Any],
        environ: Environ,
        log: Log,
        *,
        is_buffered: bool,
        capitalizes: bool,
        piece_bytes_min: int,
        shows_traceback: bool,
        run: Callable[..., Any] | None,
        on_exit: Callable[[BaseException], None],
    ) -> None:
        self._site = site
        self._environ = environ
        self._log = log
        self._is_buffered = is_buffered
        self._capitalizes = capitalizes
        self._piece_bytes_min = piece_bytes_min
        self._shows_traceback = shows_traceback
        self._run = run
        self._on_exit = on_exit
        self._hooked: dict[int, dict[str, Any]] = {}
        self._inside: set[int] = set()
        self.on_request = _lib.HandlerFunction(self._request_arrived)
        self._on_hooks = _lib.HandlerFunction(self._response_over)

    @property
    def is_inside(self) -> bool:
        """The calling thread is running the application or one of its hooks."""
        return threading.get_ident() in self._inside

    # The request

    def _request_arrived(self, _user: int | None, req: int) -> None:
        try:
            if self._run is None:
                self._serve(req)
            else:
                self._run(self._serve, req)
        except BaseException:
            report_unraisable("a request")

    def _serve(self, req: int) -> None:
        env = self._environ.make(req)
        is_head = env["REQUEST_METHOD"] == "HEAD"
        response = Response(req, is_head, self._capitalizes, self._piece_bytes_min)
        live = None
        inside = threading.get_ident()
        self._inside.add(inside)
        try:
            live = attach(req, env, self._is_buffered)
            self._call(env, response)
        except _errors.ClientGone:
            pass
        except _errors.BodyError as error:
            self._body_failed(response, error)
        except BaseException as error:
            self._failed(response, error)
        finally:
            if live is not None:
                live.detach()
            self._add_hooks(req, env)
            self._inside.discard(inside)

    def _call(self, env: dict[str, Any], response: Response) -> None:
        result = self._site(env, response.start)
        try:
            response.run(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _failed(self, response: Response, error: BaseException) -> None:
        """A response that had begun is left unfinished: the library cuts it, so that the client can tell."""
        self._log.error("exception in the application")
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._on_exit(error)
        if not response.has_begun:
            self._answer(
                response,
                "500 Internal Server Error",
                traceback.format_exc() if self._shows_traceback else "Internal Server Error\n",
            )

    def _body_failed(self, response: Response, error: _errors.BodyError) -> None:
        """The client's fault, which the application did not handle: no traceback."""
        if error.status is not None and not response.has_begun:
            phrase = PHRASES[error.status]
            self._answer(response, phrase, f"{phrase[4:]}\n")

    def _answer(self, response: Response, status: str, text: str) -> None:
        try:
            response.fail(status, text)
        except _errors.ClientGone:
            return

    # Post hooks

    def _add_hooks(self, req: int, env: dict[str, Any]) -> None:
        if not env.get("evy.posthooks"):
            return
        self._hooked[req] = env
        status = lib.evy_posthook_add(req, self._on_hooks, None, _lib.NO_DROP)
        if status < 0:
            del self._hooked[req]
            self._log.line(f"post hooks were not run: {_errors.make(status)}", _lib.LOG_ERROR)

    def _response_over(self, _user: int | None, req: int) -> None:
        inside = threading.get_ident()
        self._inside.add(inside)
        try:
            env = self._hooked.pop(req)
            env.update(outcome(req))
            # Hooks that a hook appends to the list run too.
            for hook in env["evy.posthooks"]:
                self._call_hook(env, hook)
        except BaseException:
            report_unraisable("post hooks")
        finally:
            self._inside.discard(inside)

    def _call_hook(self, env: dict[str, Any], hook: Any) -> None:
        try:
            function, args, kwargs = hook
            function(env, *args, **kwargs)
        except BaseException as error:
            self._log.error(f"exception in post hook {hook!r}")
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                self._on_exit(error)
