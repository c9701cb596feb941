# SPDX-License-Identifier: MIT
# test_moving - the pages for those who come from another server leave no setting of it out.
"""gunicorn-27.0.1.txt holds a line for each of gunicorn.config.KNOWN_SETTINGS: its name, and its flags."""

import pathlib
import re

import evy
import pytest
from evy._cli import table

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs"
SETTINGS = [line.split() for line in (HERE / "gunicorn-27.0.1.txt").read_text().splitlines()]
# What the page writes with a beginning alone, such as `--http2-...`.
FAMILY = re.compile(r"`(-*\w[\w-]*?[-_])…`")


def names_in(page):
    text = (DOCS / page).read_text()
    words = set(re.findall(r"-{0,2}\w[\w-]*", text))
    return words, tuple(FAMILY.findall(text))


def is_named(name, flags, page):
    words, families = names_in(page)
    return any(word in words or word.startswith(families) for word in (name, *flags))


@pytest.mark.parametrize("name, flags", [(name, flags) for name, *flags in SETTINGS])
def test_each_setting_of_gunicorn_is_taken_or_its_absence_is_told(name, flags):
    ours = table.SETTINGS.get(name)
    if ours is None or ours.group == table.INERT:
        assert is_named(name, flags, "moving-from-gunicorn.md")
    for flag in set(flags) - set(ours.flags.split() if ours is not None else flags):
        assert is_named(flag, (), "moving-from-gunicorn.md")


def test_settings_that_are_refused_are_gunicorns():
    """So that the page can be trusted the other way round too."""
    known = {name for name, *_ in SETTINGS}
    # Of older versions.
    assert set(table.REFUSED) - known <= {"logconfig_json"}


def test_what_the_page_for_eventlet_says_is_gone_is_gone():
    text = (DOCS / "moving-from-eventlet.md").read_text()
    gone = text.partition("## What is no longer there")[2].partition("\n## ")[0]
    names = re.findall(r"`eventlet\.(\w+)`", gone)
    assert names and not [name for name in names if hasattr(evy, name)]
