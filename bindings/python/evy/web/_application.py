# SPDX-License-Identifier: MIT
"""_application - runs a WSGI application and its post hooks for the callbacks of the library.

A request goes through make, attach, call, send, close, leave; what goes wrong on the way ends in failed. The
hooks come in a callback of their own, when the end of the answer is known.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from evy import _errors, _lib
from evy._lib import lib
from evy.web._environ import Environ, outcome
from evy.web._exchange import Idle
from evy.web._input import attach, find_folder, trailers
from evy.web._log import Log, report_unraisable
from evy.web._response import WSGI_LOCAL, Manner, Response

PHRASES = {
    400: "400 Bad Request",
    408: "408 Request Timeout",
    413: "413 Content Too Large",
    503: "503 Service Unavailable",
    507: "507 Insufficient Storage",
}
# Between lines about bodies that find no room.
_QUIET_SECONDS = 10
_ENDS = (SystemExit, KeyboardInterrupt)


class Work(NamedTuple):
    """A request between two callbacks. result: what the application returned, still to be sent and closed."""

    env: dict[str, Any]
    response: Response
    result: Any = None


class Application:
    """One WSGI callable behind a server.

    Ownership: the callbacks handed to the library live as long as this object, so the server keeps it until
    the library has finished. Thread: those lent to the library, many at once; no exception leaves a callback.
    """

    def __init__(
        self,
        site: Callable[..., Any],
        environ: Environ,
        log: Log,
        *,
        manner: Manner,
        hook_keys: tuple[str, ...],
        can_wait: bool,
        is_buffered: bool,
        streams_chunks: bool,
        error_body: str | None,
        run: Callable[..., Any] | None,
        on_exit: Callable[[BaseException], None],
    ) -> None:
        self.site = site
        self.environ = environ
        self._log = log
        self._hook_keys = hook_keys
        self._is_buffered = is_buffered
        self._streams_chunks = streams_chunks
        if not streams_chunks:
            find_folder()
        self._error_body = error_body
        self._run = run
        self._on_exit = on_exit
        self._open: dict[int, Work] = {}
        self._inside: set[int] = set()
        self.idle = Idle()
        self._spool_told = -float("inf")
        self.on_request = _lib.HandlerFunction(self._request_arrived)
        self._on_hooks = _lib.HandlerFunction(self._response_over)
        self._on_writable = _lib.HandlerFunction(self._client_took)
        self.manner = manner._replace(
            on_writable=None if can_wait else self._on_writable, is_pooled=run is not None
        )

    @property
    def is_inside(self) -> bool:
        """The calling thread is running the application or one of its hooks."""
        return threading.get_ident() in self._inside

    # The request

    def _request_arrived(self, _user: int | None, req: int) -> None:
        try:
            if self._run is None:
                self.serve(req)
            else:
                self._run(self.serve, req)
        except BaseException:
            # The library answers what nobody else has answered.
            self._log.error("a request could not be served")

    def serve(self, req: int) -> None:
        """The whole handler."""
        inside = threading.get_ident()
        self._inside.add(inside)
        try:
            env, response = self.make(req)
            try:
                self.attach(env, response)
                WSGI_LOCAL.already_handled = False
                result = self.site(env, response.start)
            except BaseException as error:
                self.conclude(req, env, response, None, error)
            else:
                self.conclude(req, env, response, result)
        finally:
            self._inside.discard(inside)

    def conclude(
        self,
        req: int,
        env: dict[str, Any],
        response: Response,
        result: Any,
        error: BaseException | None = None,
        rest: Iterator[Any] | None = None,
    ) -> None:
        """What comes after the call of the application, which has raised error or returned result.

        rest: what is to come of the result, where it was begun.
        """
        inside = threading.get_ident()
        is_outermost = inside not in self._inside
        self._inside.add(inside)
        paused = None
        try:
            try:
                if error is not None:
                    raise error
                run = partial(response.run, result) if rest is None else partial(response.go_on, rest)
                paused = self.send(result, run)
            except BaseException as raised:
                self.failed(env, response, raised)
            if paused is None:
                self.leave(req, env, response)
            else:
                self._pause(req, Work(env, response, paused))
        finally:
            error = None  # else its frames and this one would keep each other alive
            if is_outermost:
                self._inside.discard(inside)

    def make(self, req: int) -> tuple[dict[str, Any], Response]:
        """environ, but for what attach() adds, and the answer that is not begun."""
        env = self.environ.make(req)
        return env, Response(req, env, self.manner, self.idle)

    def attach(self, env: dict[str, Any], response: Response) -> None:
        """Adds wsgi.input and the functions of the request. Errors: BodyError, OSError."""
        attach(response, env, is_buffered=self._is_buffered, streams_chunks=self._streams_chunks)
        self.environ.bind(env, response)

    def send(self, result: Any, advance: Callable[[], bool]) -> Any:
        """Sends with advance(), and closes the result, unless it has to be resumed: then it is returned."""
        try:
            is_done = advance()
        except BaseException:
            _close(result)
            raise
        if not is_done:
            return result
        _close(result)
        return None

    def failed(self, env: dict[str, Any], response: Response, error: BaseException) -> None:
        """A response that had begun is left unfinished: the library cuts it, so that the client can tell."""
        if isinstance(error, _errors.ClientGone):
            return
        # Whoever reads behind the answer is told of it like of any other mistake.
        if isinstance(error, _errors.BodyError) and error.name != "EVY_E_STATE":
            # The client's fault, or the system's, which the application did not handle: no traceback.
            if isinstance(error, _errors.SpoolError):
                self._tell_of_spool(error)
            if error.status is not None and not response.has_begun:
                phrase = PHRASES[error.status]
                self._answer(response, phrase, f"{phrase[4:]}\n")
            return
        where = f"{env.get('REQUEST_METHOD')} {env.get('RAW_URI')}"
        self._log.error(f"exception in the application at {where!a}")
        if isinstance(error, _ENDS):
            self._on_exit(error)
        if not response.has_begun:
            text = traceback.format_exc() if self._error_body is None else self._error_body
            self._answer(response, "500 Internal Server Error", text)

    def _tell_of_spool(self, error: _errors.SpoolError) -> None:
        """Once, however many uploads meet the same full disk."""
        now = time.monotonic()
        if now - self._spool_told >= _QUIET_SECONDS:
            self._log.line(f"cannot keep chunked request bodies: {error.strerror}", _lib.LOG_ERROR)
        self._spool_told = now

    def _answer(self, response: Response, status: str, text: str) -> None:
        try:
            response.fail(status, text)
        except _errors.ClientGone:
            return

    def leave(self, req: int, env: dict[str, Any], response: Response) -> None:
        """The last of the handler: from here on only hooks know the request."""
        has_hooks = any(env.get(key) for key in self._hook_keys)
        response.leave(has_hooks and self._add_hooks(req, Work(env, response)))

    # An answer that its client takes slowly, where no thread can wait for it

    def _pause(self, req: int, work: Work) -> None:
        lib.evy_req_retain(req)
        # The hook brings the end, also that of a client that never takes the rest.
        if self._add_hooks(req, work):
            work.response.rest()
        else:
            self._quietly_close(work)
            lib.evy_req_release(req)
            work.response.leave(False)

    def _client_took(self, _user: int | None, req: int) -> None:
        try:
            work = self._open.get(req)
            if work is None or work.result is None:
                return
            if self._run is None:
                self._resume(req, work)
            else:
                self._run(self._resume, req, work)
        except BaseException:
            # Such as a pool that takes no more: without a cut client and request would wait for ever.
            self._log.error("a streamed answer could not go on")
            lib.evy_resp_abort(req)

    def _resume(self, req: int, work: Work) -> None:
        inside = threading.get_ident()
        self._inside.add(inside)
        work.response.enter()
        paused = None
        try:
            paused = self.send(work.result, work.response.resume)
        except BaseException as error:
            self.failed(work.env, work.response, error)
        finally:
            self._inside.discard(inside)
        if paused is not None:
            work.response.rest()
            return
        self._open[req] = work._replace(result=None)
        work.response.leave(True)
        lib.evy_req_release(req)

    def _quietly_close(self, work: Work) -> None:
        try:
            _close(work.result)
        except BaseException as error:
            self._log.error("exception in close() of the application's result")
            if isinstance(error, _ENDS):
                self._on_exit(error)

    # Post hooks

    def _add_hooks(self, req: int, work: Work) -> bool:
        self._open[req] = work
        status: int = lib.evy_posthook_add(req, self._on_hooks, None, _lib.NO_DROP)
        if status < 0:
            del self._open[req]
            self._log.line(f"post hooks were not run: {_errors.make(status)}", _lib.LOG_ERROR)
        return status >= 0

    def _response_over(self, _user: int | None, req: int) -> None:
        inside = threading.get_ident()
        self._inside.add(inside)
        work = self._open.pop(req)
        try:
            work.response.enter()
            if work.result is not None:
                self._quietly_close(work)
                work.response.leave(True)
                work.response.enter()
                lib.evy_req_release(req)
            work.env.update(outcome(req))
            if "HTTP_TRANSFER_ENCODING" in work.env:
                work.env["evy.trailers"] = trailers(work.response)
            for hook in self._hooks(work.env):
                self._call_hook(work.env, hook)
        except BaseException:
            report_unraisable("post hooks")
        finally:
            work.response.end()
            self._inside.discard(inside)

    def _hooks(self, env: dict[str, Any]) -> Iterator[Any]:
        """Those of environ; the ones that a hook appends come too."""
        seen: list[Any] = []
        for key in self._hook_keys:
            hooks = env.get(key)
            if hooks is None or any(hooks is one for one in seen):
                continue
            seen.append(hooks)
            if isinstance(hooks, (list, tuple)):
                yield from hooks
            else:
                self._log.line(
                    f"environ[{key!r}] is a {type(hooks).__name__}, not a list: no hooks of it were run",
                    _lib.LOG_ERROR,
                )

    def _call_hook(self, env: dict[str, Any], hook: Any) -> None:
        if not (isinstance(hook, (tuple, list)) and len(hook) == 3 and callable(hook[0])):
            why = "it has to be a tuple (function, args, kwargs)"
            self._log.line(f"exception in post hook {hook!r}: {why}", _lib.LOG_ERROR)
            return
        try:
            function, args, kwargs = hook
            function(env, *args, **kwargs)
        except BaseException as error:
            self._log.error(f"exception in post hook {hook!r}")
            if isinstance(error, _ENDS):
                self._on_exit(error)


def _close(result: Any) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()
