# SPDX-License-Identifier: MIT
# test_cli_children - processes that the application or a hook forks, and signals that come in numbers.

import os
import signal

import pytest
from cli_harness import evy_cli  # noqa: F401
from client import wait_until

FORKING = """
import os, signal, time

def fork():
    # Over its pipe the child says that it is there: the fork is behind it then.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b'x')
        while True:
            signal.pause()
    os.read(reader, 1)
    return child

def end_of(child, number):
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    return str(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"""
FORKING_APP = """
from forking import fork, end_of

def app(env, start_response):
    number = int(env['PATH_INFO'][1:])
    body = end_of(fork(), number) if number else '0'
    start_response('200 OK', [])
    return [body.encode()]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_a_child_of_a_request_is_the_child_s(evy_cli, number):
    (evy_cli.folder / "forking.py").write_text(FORKING)
    (evy_cli.folder / "app.py").write_text(FORKING_APP)
    run = evy_cli()
    assert run.get(f"/{number}").body == b"%d" % -number
    workers = run.workers()
    assert run.get("/0").body == b"0"
    assert run.workers() == workers and run.end(signal.SIGTERM) == 0
    assert len(run.err.matching("worker .* starts")) == 1


def test_a_signal_to_a_child_of_a_hook_is_the_child_s(evy_cli):
    (evy_cli.folder / "forking.py").write_text(FORKING)
    (evy_cli.folder / "conf.py").write_text(
        "import sys\n"
        "sys.path.insert(0, '.')\n"
        "from forking import fork, end_of\n"
        "def when_ready(server):\n"
        "    server.log.info('ends with %s', end_of(fork(), 15))\n"
    )
    run = evy_cli("-c", "conf.py")
    run.err.expect("ends with -15")
    assert run.get().body == b"Hello"
    run.signal(signal.SIGUSR1)
    run.err.expect("signal usr1")
    assert not run.err.matching("signal term") and run.end(signal.SIGTERM) == 0


def test_no_number_of_signals_hides_the_one_behind_them(evy_cli):
    (evy_cli.folder / "conf.py").write_text(
        "import os, time\n"
        "def on_reload(server):\n"
        "    open('begun', 'w').close()\n"
        "    while not os.path.exists('go'):\n"
        "        time.sleep(0.001)\n"
    )
    run = evy_cli("-c", "conf.py")
    assert run.get().body == b"Hello"
    run.signal(signal.SIGHUP)
    wait_until((run.folder / "begun").exists, "the hook")
    for _ in range(1500):
        run.signal(signal.SIGUSR1)
        # Until the kernel has handed it over: it keeps only one of a kind.
        wait_until(lambda: not is_pending(run.pid, signal.SIGUSR1), "the signal to be taken")
    run.signal(signal.SIGTERM)
    wait_until(lambda: not is_pending(run.pid, signal.SIGTERM), "the signal to be taken")
    (run.folder / "go").touch()
    assert run.ended() == 0
    assert run.err.matching("signal usr1") and run.err.matching("signal term")


def is_pending(pid, number):
    with open(f"/proc/{pid}/status") as file:
        facts = dict(line.split(":", 1) for line in file)
    return bool((int(facts["SigPnd"], 16) | int(facts["ShdPnd"], 16)) >> (number - 1) & 1)
