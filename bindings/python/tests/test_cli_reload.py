# SPDX-License-Identifier: MIT
# test_cli_reload - --reload: changed sources bring new workers, broken ones say so.

import os

from cli_harness import evy_cli  # noqa: F401
from client import wait_until


def change(path, text):
    """A new text, written as editors do: into a file that then takes the name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def test_a_change_brings_new_workers(evy_cli):
    app = evy_cli.folder / "app.py"
    (evy_cli.folder / "part.py").write_text("word = b'one'")
    app.write_text(
        app.read_text().replace("import json", "import part, json").replace("b'Hello'", "part.word")
    )
    run = evy_cli("--reload", "-w", 2)
    assert run.get().body == b"one"
    change(evy_cli.folder / "part.py", "word = b'two'")
    wait_until(lambda: run.get().body == b"two", "the new code")
    run.err.expect("part.py has changed: workers are replaced")
    wait_until(lambda: len(run.workers()) == 2, "two workers")


def test_broken_code_is_shown_until_it_is_mended(evy_cli):
    app = evy_cli.folder / "app.py"
    source = app.read_text()
    app.write_text("def broken(:\n")
    run = evy_cli("--reload")
    answer = run.get()
    assert answer.status == 500 and b"SyntaxError" in answer.body and b"def broken(:" in answer.body
    run.err.expect("cannot load the application")
    change(app, source)
    wait_until(lambda: run.get().status == 200, "the mended code")
    change(app, source + "\nraise ValueError('again')\n")
    wait_until(lambda: b"ValueError: again" in run.get().body, "the error")
    change(app, source)
    wait_until(lambda: run.get().body == b"Hello", "the mended code")


def test_further_files_are_watched(evy_cli):
    template = evy_cli.folder / "page.html"
    template.write_text("one")
    run = evy_cli("--reload", "--reload-extra-file", "page.html", "--reload-extra-file", "later.html")
    before = run.get("/pid").body
    change(template, "two")
    wait_until(lambda: run.get("/pid").body != before, "a new worker")
    before = run.get("/pid").body
    (evy_cli.folder / "later.html").write_text("three")
    wait_until(lambda: run.get("/pid").body != before, "another worker")
