# SPDX-License-Identifier: MIT
"""options - gathers the settings from configuration file, EVY_CMD_ARGS and command line; the latter wins."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from evy._cli import configfile
from evy._cli.table import GROUPS, INERT, REFUSED, REFUSED_FLAGS, SETTINGS, Setting
from evy._cli.values import SettingError
from evy._lib import version
from evy._version import __version__

ARGUMENTS_VARIABLE = "EVY_CMD_ARGS"
DEFAULT_FILE = "evy.conf.py"

USAGE = "python -m evy [OPTION...] MODULE:APP"
DESCRIPTION = """\
Serves a WSGI application: a master process binds the sockets, workers that it forks share them.
MODULE:APP names a callable, MODULE.PATH:OBJECT.ATTRIBUTE too; MODULE alone means MODULE:application.
"""
EPILOG = """\
signals to the master: TERM stop when requests have finished, INT and QUIT stop now, HUP new settings and
code without a gap, USR1 open the logs anew, USR2 start a new master beside this one, TTIN and TTOU one
worker more or less, WINCH stop the workers and stay.
More options come from the environment variable EVY_CMD_ARGS. docs/operating.md has the whole story.
"""


class Settings:
    """Every setting as an attribute, under gunicorn's name.

    given: the names that somebody set. notes: what the operator should hear about them.
    """

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.notes: list[str] = []
        self._values: dict[str, Any] = {}
        for one in SETTINGS.values():
            self._values[one.name] = one.default() if callable(one.default) else one.default

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def set(self, name: str, value: Any, source: str) -> None:
        """source: how the operator wrote the setting. Errors: SettingError."""
        setting = SETTINGS[name]
        try:
            self._values[name] = setting.read(value)
        except ValueError as error:
            raise SettingError(f"{source}: {error}") from None
        except Exception as error:  # configuration files hold any object
            raise SettingError(f"{source}: {type(error).__name__}: {error}") from None
        self.given.add(name)
        if setting.note is not None:
            self._note(f"{source} has no effect: {setting.note}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def take_file(self, names: Mapping[str, Any], path: str) -> None:
        """What a configuration file has defined; names that are no setting are its own business."""
        for name, value in names.items():
            if name in REFUSED and value not in (None, False, "", [], {}):
                raise SettingError(f"{path}: {name}: {REFUSED[name]}")
            if name in SETTINGS and name not in ("config", "check_config", "print_config"):
                self.set(name, value, f"{path}: {name}")

    def settle(self) -> None:
        """What follows from several settings together. Errors: SettingError."""
        if self.worker_class == "sync" and "threads" not in self.given:
            self._values["threads"] = 1
            self._note("worker class sync: one request at a time in a worker (--threads 1)")
        if not self.bind:
            raise SettingError("--bind: no address is given")
        if self.reload and self.preload_app:
            raise SettingError("--reload and --preload: a preloaded application cannot be reloaded")
        if self.keyfile and not self.certfile:
            raise SettingError("--keyfile is given without --certfile")
        if self.cert_reqs and not (self.ca_certs and self.certfile):
            raise SettingError("--cert-reqs needs --certfile and --ca-certs")
        if self.ca_certs and not self.cert_reqs and "cert_reqs" not in self.given:
            self._note("--ca-certs has no effect without --cert-reqs 1 or 2")

    def items(self) -> list[tuple[str, Any]]:
        return sorted(self._values.items())


class _Parser(argparse.ArgumentParser):
    def __init__(self, source: str | None) -> None:
        super().__init__(
            prog="python -m evy",
            usage=USAGE,
            description=DESCRIPTION,
            epilog=EPILOG,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=28, width=100
            ),
            add_help=False,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        self._source = source

    def error(self, message: str) -> NoReturn:
        if self._source is not None:
            raise SettingError(f"{self._source}: {message}")
        self.exit(2, f"evy: {message}\nusage: {USAGE}; --help lists the options\n")


def make_parser(source: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command line; source: of another text, whose errors are SettingErrors."""
    parser = _Parser(source)
    parser.add_argument("wsgi_app", nargs="?", metavar="MODULE:APP", help=argparse.SUPPRESS)
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for setting in SETTINGS.values():
            if setting.group == title and setting.flags:
                _add(group, setting)
        if title == GROUPS[-2]:
            group.add_argument(
                "-v",
                "--version",
                action="version",
                help="print versions",
                version=f"evy {__version__} (library {version()})",
            )
            group.add_argument("-h", "--help", action="help", help="print this")
    return parser


def _add(group: Any, setting: Setting) -> None:
    shown = f"{setting.note}" if setting.group == INERT else setting.help
    if isinstance(setting.default, (str, int)) and setting.default and setting.group != INERT:
        shown += f" [{setting.default}]"
    keywords: dict[str, Any] = {"dest": setting.name, "help": shown}
    if setting.is_flag:
        keywords["action"] = "store_const"
        keywords["const"] = True if setting.constant is None else setting.constant
    else:
        keywords["metavar"] = setting.metavar
        if setting.constant is not None:
            keywords.update(nargs="?", const=setting.constant)
        elif setting.is_list:
            keywords["action"] = "append"
    group.add_argument(*setting.flags.split(), **keywords)


def _completed(arguments: list[str]) -> list[str]:
    """A flag whose value may be left out gets it, where what follows is none: it is the application.

    Errors: SettingError for gunicorn's flags whose effect would be missed.
    """
    for one in arguments:
        refused = REFUSED_FLAGS.get(one.partition("=")[0])
        if refused is not None:
            raise SettingError(f"{one}: {REFUSED[refused]}")
    found: list[str] = []
    for one, following in zip(arguments, [*arguments[1:], ""]):
        setting = next((it for it in SETTINGS.values() if one in it.flags.split() and it.constant), None)
        if setting is not None and not setting.is_flag:
            try:
                setting.read(following)
            except ValueError:
                one = f"{one}={setting.constant}"
        found.append(one)
    return found


def _flag_of(name: str) -> str:
    return SETTINGS[name].flags.split()[-1] if SETTINGS[name].flags else name


def load(arguments: list[str], environ: Mapping[str, str], folder: str) -> Settings:
    """All settings. folder: where relative paths of configuration files begin.

    Ends the program with status 2 on a wrong command line, as commands do. Errors: SettingError.
    """
    command_line = vars(make_parser().parse_args(_completed(arguments)))
    try:
        words = shlex.split(environ.get(ARGUMENTS_VARIABLE, ""))
    except ValueError as error:
        raise SettingError(f"{ARGUMENTS_VARIABLE}: {error}") from None
    from_environ = vars(make_parser(ARGUMENTS_VARIABLE).parse_args(_completed(words)))
    settings = Settings()
    file = command_line.get("config", from_environ.get("config"))
    if file is None and os.path.exists(os.path.join(folder, DEFAULT_FILE)):
        file = DEFAULT_FILE
    if file:
        settings.take_file(configfile.names(file, folder), file)
    for source, given in ((f"{ARGUMENTS_VARIABLE}: ", from_environ), ("", command_line)):
        for name, value in given.items():
            settings.set(name, value, source + _flag_of(name))
    settings.settle()
    return settings
