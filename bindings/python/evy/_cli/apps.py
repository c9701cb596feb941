# SPDX-License-Identifier: MIT
"""apps - turns MODULE:APP into the application, and says exactly what is missing when it cannot."""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


class AppError(Exception):
    """The application cannot be loaded. details: the traceback of its own code. files: where that is."""

    def __init__(self, text: str, details: str = "", files: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.details = details
        self.files = files


def load(location: str | None, is_factory: bool) -> Callable[..., Any]:
    """The application that location names: "module", "module:object.attribute", "module:maker('x', y=1)".

    Errors: AppError; SystemExit and KeyboardInterrupt of its code pass through.
    """
    if not location:
        raise AppError("no application was named: say MODULE:APP, or set wsgi_app in the configuration file")
    module_name, _, expression = location.partition(":")
    expression = expression or "application"
    path, arguments = _parsed(location, expression)
    found = _attribute(_module(module_name), module_name, path)
    if is_factory and arguments is None:
        arguments = ([], {})
    if arguments is not None:
        found = _made(found, location, arguments)
    if not callable(found):
        raise AppError(f"{location} is a {type(found).__name__}, which is no WSGI application: not callable")
    return found


def load_here(location: str | None, is_factory: bool) -> Callable[..., Any]:
    """As load(), in a process that has to go on: SystemExit of the application's code is an AppError too."""
    try:
        return load(location, is_factory)
    except SystemExit as error:
        raise _failure(f"{location} ended the process: SystemExit({error.code!r})", error) from None


def _parsed(location: str, expression: str) -> tuple[list[str], tuple[list[Any], dict[str, Any]] | None]:
    """Names from the module down, and the arguments of a call; None: it is no call."""
    try:
        node: ast.expr = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise AppError(f"{location}: {expression!r} is neither a name nor a call") from None
    arguments = None
    if isinstance(node, ast.Call):
        try:
            arguments = (
                [ast.literal_eval(one) for one in node.args],
                {str(one.arg): ast.literal_eval(one.value) for one in node.keywords},
            )
        except ValueError:
            raise AppError(f"{location}: only literals can be arguments of {expression!r}") from None
        node = node.func
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise AppError(f"{location}: {expression!r} is neither a name nor a call")
    return [node.id, *names], arguments


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that it imports in turn may be what is missing: that is the application's own error.
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise _failure(f"cannot import module {name!r}: {error}", error) from None
        file = name.removesuffix(".py").replace(".", os.sep) + ".py"
        hint = f" (did you mean {name[:-3]!r}?)" if name.endswith(".py") and os.path.exists(file) else ""
        text = f"there is no module {error.name!r} in {_here()} or on the path{hint}"
        raise AppError(text) from None
    except Exception as error:
        raise _failure(f"cannot import module {name!r}: {type(error).__name__}: {error}", error) from None


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "the current folder, which was removed,"


def _attribute(module: Any, module_name: str, names: list[str]) -> Any:
    found = module
    for index, name in enumerate(names):
        try:
            found = getattr(found, name)
        except AttributeError:
            owner = f"{module_name}:{'.'.join(names[:index])}" if index else f"module {module_name!r}"
            near = difflib.get_close_matches(name, [one for one in dir(found) if one[0] != "_"], 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise AppError(f"{owner} has no attribute {name!r}{hint}") from None
    return found


def _made(maker: Any, location: str, arguments: tuple[list[Any], dict[str, Any]]) -> Any:
    if not callable(maker):
        raise AppError(f"{location} is a {type(maker).__name__}, which makes no application: not callable")
    try:
        return maker(*arguments[0], **arguments[1])
    except Exception as error:
        raise _failure(f"{location} failed: {type(error).__name__}: {error}", error) from None


def _failure(text: str, error: BaseException) -> AppError:
    """Of the application's own code: its traceback begins where that code does."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        files.append(error.filename)
    own = [
        frame
        for frame in frames
        if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
    ]
    details = ["Traceback (most recent call last):\n", *traceback.format_list(own)]
    details += traceback.format_exception_only(type(error), error)
    return AppError(text, "".join(details).rstrip(), tuple(one for one in files if os.path.exists(one)))


def failing_app(error: AppError) -> Callable[..., Any]:
    """Answers every request with what is wrong; for development only."""
    body = f"{error}\n\n{error.details}\n".encode()

    def application(_env: Any, start_response: Any) -> list[bytes]:
        start_response(
            "500 Internal Server Error",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        return [body]

    return application


def add_paths(pythonpath: str | None) -> None:
    """The current folder, and those of --pythonpath, become the first places for modules."""
    folders = [os.getcwd()]
    folders += [os.path.abspath(one) for one in (pythonpath or "").split(",") if one]
    for folder in reversed(folders):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
