# SPDX-License-Identifier: MIT
"""surroundings - folder, environment, module path and umask of this process, as the settings say."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from evy._cli import apps
from evy._cli.values import SettingError


def take(settings: Any, folder: str, environ: dict[str, str] | None) -> None:
    """folder: where a relative --chdir begins. environ: what to begin with; None: as is.

    Errors: SettingError.
    """
    if environ is not None:
        os.environ.clear()
        os.environ.update(environ)
    os.environ.update(settings.raw_env)
    try:
        os.chdir(os.path.join(folder, settings.chdir or ""))
    except OSError as error:
        raise SettingError(f"--chdir {settings.chdir}: {error.strerror}") from None
    apps.add_paths(settings.pythonpath)
    if settings.umask is not None:
        os.umask(settings.umask)


@contextlib.contextmanager
def kept_on_failure() -> Iterator[None]:
    """Where what is inside raises, all is as it was before."""
    environ, path = dict(os.environ), list(sys.path)
    umask = os.umask(0o077)
    os.umask(umask)
    # By descriptor: the folder may have another name by then, or none.
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
    except BaseException:
        os.umask(umask)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environ)
        os.fchdir(folder)
        raise
    finally:
        os.close(folder)
