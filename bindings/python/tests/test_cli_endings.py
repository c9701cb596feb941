# SPDX-License-Identifier: MIT
# test_cli_endings - masters that end early, or at a wrong moment, leave nothing behind.

import os
import signal

import pytest
from cli_harness import evy_cli  # noqa: F401


def left(run):
    """Pid files and sockets."""
    names = os.listdir(run.folder)
    return sorted({"pid", "pid.2", "sock"} & set(names))


def begin(evy_cli, *arguments, **keywords):
    return evy_cli("-p", "pid", "-b", "unix:sock", *arguments, **keywords)


@pytest.mark.parametrize("what, said", [("sys.exit(1)", "SystemExit.1."), ("sys.exit()", "SystemExit.None.")])
def test_an_application_that_exits_when_it_is_preloaded(evy_cli, what, said):
    (evy_cli.folder / "leaving.py").write_text(f"import sys\n{what}\n")
    run = begin(evy_cli, "--preload", app="leaving:app")
    assert run.ended() == 4 and not left(run)
    run.err.expect(f"cannot start: leaving:app ended the process: {said}")
    run.err.expect("leaving.py.*line 2")


def test_an_application_that_is_interrupted_when_it_is_preloaded(evy_cli):
    (evy_cli.folder / "leaving.py").write_text("raise KeyboardInterrupt\n")
    run = begin(evy_cli, "--preload", app="leaving:app")
    assert run.ended() not in (0, None) and not left(run)


@pytest.mark.parametrize(
    "hook", ["on_starting(server)", "pre_fork(server, worker)", "when_ready(server)", "on_reload(server)"]
)
def test_a_hook_that_exits_ends_the_master(evy_cli, hook):
    (evy_cli.folder / "settings.py").write_text(f"def {hook}: raise SystemExit(5)\n")
    run = begin(evy_cli, "-c", "settings.py", "-w", 2)
    if hook.startswith("on_reload"):
        assert run.get().body == b"Hello"
        run.signal(signal.SIGHUP)
    assert run.ended() == 5 and not left(run)
    run.err.expect(r"a hook ends the master: SystemExit\(5\)")


def test_a_hook_that_exits_while_the_master_ends(evy_cli):
    (evy_cli.folder / "settings.py").write_text("def on_exit(server): raise SystemExit(5)\n")
    run = begin(evy_cli, "-c", "settings.py")
    assert run.get().body == b"Hello" and left(run) == ["pid", "sock"]
    assert run.end(signal.SIGTERM) == 0 and not left(run)


HANDLES = """
import asyncio, os, signal

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)

asyncio.run(main())
signal.signal(signal.SIGTERM, print)
"""


def test_a_preloaded_application_that_handles_signals_itself(evy_cli):
    """A loop of asyncio takes the wakeup descriptor of the process away when it is closed."""
    (evy_cli.folder / "handles.py").write_text(HANDLES + "from app import app\n")
    run = begin(evy_cli, "--preload", app="handles:app")
    assert run.get().body == b"Hello"
    assert run.end(signal.SIGTERM) == 0 and not left(run)


def test_a_signal_that_comes_while_the_application_is_preloaded(evy_cli):
    source = HANDLES.replace("signal.signal(signal.SIGTERM, print)", "os.kill(os.getpid(), signal.SIGTERM)")
    (evy_cli.folder / "handles.py").write_text(source + "from app import app\n")
    run = begin(evy_cli, "--preload", app="handles:app")
    assert run.ended() == 0 and not left(run)
    run.err.expect("signal term")
