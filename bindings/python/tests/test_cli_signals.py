# SPDX-License-Identifier: MIT
# test_cli_signals - what a running master does on each signal.

import contextlib
import os
import re
import signal

import pytest
from cli_harness import evy_cli, is_alive, name_of  # noqa: F401
from client import PATIENCE, Connection, raw_request, wait_until


def begin_waiting(run, name="go"):
    """A connection with a request that the application answers once the file `name` is there."""
    connection = Connection(port=run.port)
    connection.send(raw_request("GET", f"/wait/{name}"))
    wait_until((run.folder / f"{name}.begun").exists, "the request to have begun")
    return connection


def test_term_lets_requests_finish(evy_cli):
    run = evy_cli("-w", 2)
    with begin_waiting(run) as connection:
        run.signal(signal.SIGTERM)
        run.err.expect("signal term")
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    assert run.ended() == 0
    assert run.err.lines[-1].endswith("the master ends")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_end_now(evy_cli, number):
    run = evy_cli("--graceful-timeout", 60)
    with begin_waiting(run) as connection:
        run.signal(number)
        assert run.ended() == 0
        assert connection.ending()[0] == b""


def test_the_grace_ends(evy_cli):
    run = evy_cli("--graceful-timeout", 0.2)
    with begin_waiting(run):
        run.signal(signal.SIGTERM)
        assert run.ended() == 0


def test_quit_shortens_a_grace(evy_cli):
    run = evy_cli("--graceful-timeout", 600)
    with begin_waiting(run):
        run.signal(signal.SIGTERM)
        run.err.expect("signal term")
        run.signal(signal.SIGQUIT)
        assert run.ended() == 0


def test_the_terminal_interrupts_everybody(evy_cli):
    run = evy_cli("-w", 2)
    assert run.get().body == b"Hello"
    os.killpg(run.pid, signal.SIGINT)
    assert run.ended() == 0
    assert not run.err.matching("Traceback")


def test_hup_brings_new_code_and_settings(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("workers = 1")
    run = evy_cli("-c", "settings.py")
    assert run.get().body == b"Hello"
    old = run.workers()
    (run.folder / "app.py").write_text((run.folder / "app.py").read_text().replace("b'Hello'", "b'Other'"))
    config.write_text("workers = 2\naccesslog = 'access'\n")
    run.signal(signal.SIGHUP)
    run.err.expect("reloaded")
    wait_until(lambda: len(run.workers()) == 2 and not set(old) & set(run.workers()), "new workers")
    assert run.get().body == b"Other"
    wait_until(lambda: (run.folder / "access").read_text().count("GET / HTTP/1.1") == 1, "an access line")
    assert run.end(signal.SIGTERM) == 0


def test_hup_drains_the_old_only_behind_the_new(evy_cli):
    run = evy_cli()
    with begin_waiting(run) as connection:
        run.signal(signal.SIGHUP)
        run.err.expect("reloaded")
        assert run.get().body == b"Hello"
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    wait_until(lambda: len(run.workers()) == 1, "one worker")


def test_hup_with_settings_that_cannot_be_used_changes_nothing(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("workers = 1")
    run = evy_cli("-c", "settings.py")
    assert run.get().body == b"Hello"
    workers = run.workers()
    config.write_text("workers = 'many'")
    run.signal(signal.SIGHUP)
    run.err.expect("not reloaded.*settings.py: workers: 'many' is no whole number")
    config.write_text("raise SystemExit(9)")
    run.signal(signal.SIGHUP)
    run.err.expect("not reloaded.*settings.py failed:")
    config.write_text("access_log_format = '%(D)s'")
    run.signal(signal.SIGHUP)
    run.err.expect(r"not reloaded.*%\(D\)s")
    assert run.get().body == b"Hello" and run.workers() == workers


def test_hup_with_code_that_cannot_be_loaded_keeps_the_old_workers(evy_cli):
    run = evy_cli()
    assert run.get().body == b"Hello"
    source = (run.folder / "app.py").read_text()
    (run.folder / "app.py").write_text("def broken(:\n")
    run.signal(signal.SIGHUP)
    run.err.expect("cannot load the application.*SyntaxError")
    run.err.expect("ended while it started: exit status 4.*the old workers go on")
    assert run.get().body == b"Hello"
    (run.folder / "app.py").write_text(source.replace("b'Hello'", "b'Mended'"))
    run.err.expect("reloaded")
    # The old worker has been told to stop, and may take a client still until it has.
    wait_until(lambda: len(run.workers()) == 1, "one worker")
    assert run.get().body == b"Mended"


def test_hup_with_code_that_cannot_be_loaded_while_the_first_worker_starts(evy_cli):
    """The first worker serves, or will, but the master has not heard of it yet."""
    app = evy_cli.folder / "app.py"
    source = app.read_text()
    waits = "import os, time\nopen('begun', 'w').close()\n"
    waits += "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
    app.write_text(waits + source)
    run = evy_cli()
    wait_until((run.folder / "begun").exists, "the first worker to have read its application")
    first = run.workers()
    app.write_text("def broken(:\n")
    run.signal(signal.SIGHUP)
    run.err.expect("ended while it started: exit status 4.*the old workers go on")
    app.write_text(source)
    (run.folder / "go").touch()
    assert run.get().body == b"Hello"
    run.err.expect("reloaded")
    wait_until(lambda: len(run.workers()) == 1 and run.workers() != first, "one worker, not the first")
    assert run.get().body == b"Hello"


def test_hup_moves_to_other_addresses(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text(f"bind = ['127.0.0.1:0', 'unix:{evy_cli.folder}/one']")
    run = evy_cli("-c", "settings.py", bind=None)
    one, two = str(run.folder / "one"), str(run.folder / "two")
    port = run.port
    config.write_text(f"bind = ['127.0.0.1:0', 'unix:{evy_cli.folder}/two']")
    run.signal(signal.SIGHUP)
    run.err.expect("reloaded")
    assert not os.path.exists(one)
    with Connection(address=two, family=1) as connection:
        assert connection.get("/").body == b"Hello"
    assert run.get(port=port).body == b"Hello"
    assert run.end(signal.SIGTERM) == 0
    assert not os.path.exists(two)


def test_hup_brings_new_certificates_and_a_new_environment(evy_cli, pairs):
    config, cert, key = (evy_cli.folder / name for name in ("settings.py", "cert", "key"))
    config.write_text("raw_env = ['ONE=1', 'TWO=2']\ncertfile = 'cert'\nkeyfile = 'key'")
    app = evy_cli.folder / "app.py"
    app.write_text(
        app.read_text().replace("b'Hello'", "repr(sorted(set(os.environ) & {'ONE', 'TWO'})).encode()")
    )

    def use(name, private):
        cert.write_bytes((pairs / name).read_bytes())
        key.write_bytes((pairs / private).read_bytes())

    def seen():
        with Connection(port=run.port, tls=True) as connection:
            body = connection.get("/").body
            return body, connection.socket.getpeercert(binary_form=True)

    use("cert.crt", "private.key")
    run = evy_cli("-c", "settings.py")
    body, first = seen()
    assert body == b"['ONE', 'TWO']"
    use("other.crt", "private.key")
    run.signal(signal.SIGHUP)
    run.err.expect("not reloaded.*TLS: .*match")
    assert seen()[1] == first
    use("other.crt", "other.key")
    config.write_text("raw_env = ['ONE=1']\ncertfile = 'cert'\nkeyfile = 'key'")
    run.signal(signal.SIGHUP)
    run.err.expect("INFO. reloaded")
    # The old worker has been told to stop, and may take a client still until it has.
    wait_until(lambda: len(run.workers()) == 1, "one worker")
    body, second = seen()
    assert body == b"['ONE']" and second != first


def test_usr1_opens_the_logs_anew(evy_cli):
    run = evy_cli("--access-logfile", "access", "--error-logfile", "errors", "-w", 2, "--capture-output")
    access, errors = run.folder / "access", run.folder / "errors"
    for target in ("/one", "/print"):
        run.get(target)
    wait_until(lambda: access.read_text().count("\n") == 2, "access lines")
    access.rename(run.folder / "access.1")
    errors.rename(run.folder / "errors.1")
    run.signal(signal.SIGUSR1)
    wait_until(lambda: access.exists() and errors.exists(), "new files")
    # Each worker hears of it by itself, so ask until a round of requests writes nothing to the old file.

    def counts():
        return [path.read_text().count("/pid") for path in (run.folder / "access.1", access)]

    def all_write_anew():
        old, new = counts()
        for _ in range(8):
            run.get("/pid")
        wait_until(lambda: sum(counts()) == old + new + 8, "8 lines in either file")
        return counts() == [old, new + 8]

    wait_until(all_write_anew, "no more lines in the old file")

    def prints_anew():
        # One worker may have answered all eight, and the other not have heard of it yet.
        run.get("/print")
        return "printed by the application\n" in errors.read_text() and "complained\n" in errors.read_text()

    wait_until(prints_anew, "output in the new log")
    assert run.end(signal.SIGTERM) == 0
    assert "the master ends" in errors.read_text()


def test_usr1_reaches_workers_that_drain_and_write_elsewhere(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("errorlog = 'errors'\naccesslog = 'access'")
    run = evy_cli("-c", "settings.py")
    access, errors = run.folder / "access", run.folder / "errors"
    wait_until(lambda: errors.exists() and "starts" in errors.read_text(), "a worker")
    port = int(re.search(r":(\d+)$", run.err.expect("^  listening"))[1])
    with Connection(port=port) as connection:
        connection.send(raw_request("GET", "/wait/go"))
        wait_until((run.folder / "go.begun").exists, "the request to have begun")
        old = run.workers()[0]
        config.write_text("accesslog = 'access'")
        run.signal(signal.SIGHUP)
        run.err.expect("reloaded")
        access.rename(run.folder / "moved")
        run.signal(signal.SIGUSR1)
        wait_until(lambda: str(run.folder / "moved") not in files_of(old), "the old worker to let go")
        assert {str(access), str(errors)} <= files_of(old)
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    wait_until(lambda: "/wait/go" in access.read_text(), "the line in the new file")
    assert run.end(signal.SIGTERM) == 0 and not (run.folder / "moved").read_text()


def files_of(pid):
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"{folder}/{name}"))
    return found


def test_ttin_and_ttou(evy_cli):
    run = evy_cli("-w", 1)
    run.err.expect("starts")
    run.signal(signal.SIGTTIN)
    wait_until(lambda: len(run.workers()) == 2, "a second worker")
    run.signal(signal.SIGTTOU)
    wait_until(lambda: len(run.workers()) == 1, "one worker")
    run.signal(signal.SIGTTOU)
    run.err.expect("signal ttou", 2)
    assert run.get().body == b"Hello" and len(run.workers()) == 1


def test_winch_stops_the_workers_and_hup_brings_them_back(evy_cli):
    run = evy_cli("-w", 2)
    assert run.get().body == b"Hello"
    run.signal(signal.SIGWINCH)
    wait_until(lambda: not run.workers(), "no worker")
    connection = Connection(port=run.port)  # nobody refuses: it waits
    connection.send(raw_request("GET", "/"))
    run.signal(signal.SIGHUP)
    assert connection.response().body == b"Hello"


def pid_in(path):
    def pid():
        try:
            return int(path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    return wait_until(pid, f"a pid in {path.name}")


def test_usr2_starts_a_second_master_that_takes_the_place_of_the_first(evy_cli):
    run = evy_cli("-w", 2, "-p", "pid", "--bind", "unix:sock")
    pid, second = run.folder / "pid", run.folder / "pid.2"
    assert run.get().body == b"Hello" and pid_in(pid) == run.pid
    run.signal(signal.SIGUSR2)
    new = pid_in(second)
    assert new != run.pid and pid_in(pid) == run.pid
    run.signal(signal.SIGUSR2)
    run.err.expect("ignored: two masters")
    run.err.expect("worker .* starts", 4)
    run.signal(signal.SIGTERM)
    assert run.process.wait(PATIENCE) == 0
    wait_until(lambda: not second.exists() and pid.exists() and pid_in(pid) == new, "the pid file")
    assert run.get().body == b"Hello"
    with Connection(address=str(run.folder / "sock"), family=1) as connection:
        assert connection.get("/").body == b"Hello"
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not is_alive(new), "the end of the new master")
    assert not pid.exists() and not (run.folder / "sock").exists()


def test_usr2_can_be_taken_back(evy_cli):
    run = evy_cli("-p", "pid")
    assert pid_in(run.folder / "pid") == run.pid
    run.signal(signal.SIGUSR2)
    new = pid_in(run.folder / "pid.2")
    run.err.expect("worker .* starts", 2)
    os.kill(new, signal.SIGTERM)
    run.err.expect(f"the new master {new} ended: exit status 0")
    assert run.get().body == b"Hello"
    assert not (run.folder / "pid.2").exists() and pid_in(run.folder / "pid") == run.pid


def test_usr2_with_settings_that_cannot_be_used_leaves_the_old_master(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("workers = 1")
    run = evy_cli("-c", "settings.py")
    assert run.get().body == b"Hello"
    config.write_text("workers = 'many'")
    run.signal(signal.SIGUSR2)
    run.err.expect("the new master .* ended: exit status 1")
    assert run.get().body == b"Hello"


def test_workers_end_with_a_master_that_was_killed(evy_cli):
    run = evy_cli("-w", 2)
    assert run.get().body == b"Hello"
    workers = wait_until(lambda: len(run.workers()) == 2 and run.workers(), "two workers")
    with begin_waiting(run) as connection:
        os.kill(run.pid, signal.SIGKILL)
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")


def test_names_of_the_processes(evy_cli):
    run = evy_cli("-n", "shop")
    assert run.get().body == b"Hello"
    assert name_of(run.pid) == "shop master" and name_of(run.workers()[0]) == "shop worker"
