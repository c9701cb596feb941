# SPDX-License-Identifier: MIT
"""accessformat - turns an access log format with gunicorn's atoms into one with evy's fields."""

from __future__ import annotations

import re

from evy._cli.values import SettingError
from evy.web.wsgi import DEFAULT_LOG_FORMAT

PRESETS = ("common", "combined", "json")

# gunicorn's atoms; the user's name is never known here, and stands as "-" in every common format.
ATOMS = {
    "h": "%(client_ip)s",
    "l": "-",
    "u": "-",
    "t": "[%(time_local)s]",
    "r": "%(request_line)s",
    "m": "%(method)s",
    "U": "%(path)s",
    "q": "%(query)s",
    "H": "%(protocol)s",
    "s": "%(status_code)s",
    "st": "%(status_code)s",
    "b": "%(body_bytes)s",
    "B": "%(body_bytes)s",
    "f": "%(referer)s",
    "a": "%(user_agent)s",
    "T": "%(wall_seconds)d",
    "L": "%(wall_seconds).6f",
    "p": "<%(pid)s>",
}
HEADERS = {
    "host": "host",
    "referer": "referer",
    "user-agent": "user_agent",
    "x-forwarded-for": "x_forwarded_for",
}
UNITS = {"M": "milliseconds", "D": "microseconds"}

_TOKEN = re.compile(r"%%|%\((?P<name>[^)]*)\)(?P<spec>[-+ #0]*\d*(?:\.\d+)?)(?P<kind>[a-zA-Z])")


def translate(text: str) -> str:
    """A preset's name stays, "evy" is the format of evy.web.wsgi.

    Errors: SettingError names an atom that evy does not know; fields are left to the library to judge.
    """
    if text in PRESETS:
        return text
    if text == "evy":
        return DEFAULT_LOG_FORMAT
    return _TOKEN.sub(_field, text)


def _field(token: re.Match[str]) -> str:
    name = token["name"]
    if name is None:
        return token[0]
    if name in ATOMS:
        return ATOMS[name]
    atom = f"--access-logformat: %({name}){token['kind']}"
    if name in UNITS:
        raise SettingError(f"{atom}: there is no field in {UNITS[name]}; %(L)s has seconds with 6 decimals")
    header = re.fullmatch(r"\{(.+)\}([a-z])", name)
    if header is None:
        if len(name) < 2:
            raise SettingError(f"{atom}: there is no such atom")
        return token[0]
    field = HEADERS.get(header[1].lower())
    if header[2] != "i" or field is None:
        known = ", ".join(f"%({{{one}}}i)s" for one in HEADERS)
        raise SettingError(f"{atom} cannot be logged; of headers there are {known}")
    return f"%({field}){token['spec']}s"
