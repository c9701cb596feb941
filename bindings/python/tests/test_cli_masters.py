# SPDX-License-Identifier: MIT
# test_cli_masters - sockets at the end of a master, and between two of them.

import errno
import os
import re
import shutil
import signal
import socket

from cli_harness import ACTIVATE, APP, evy_cli, is_alive  # noqa: F401
from client import PATIENCE, Connection, wait_until
from test_cli_signals import begin_waiting, pid_in


def sockets(pid):
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return {one for one in found if one.startswith("socket:")}


def refuses(port):
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_a_master_that_stops_lets_its_sockets_go(evy_cli):
    """Or whoever comes meanwhile would wait in a queue, to be reset at the end."""
    (evy_cli.folder / "settings.py").write_text(
        "def child_exit(server, worker): server.log.info('addresses %s', server.address)\n"
    )
    run = evy_cli("-c", "settings.py", "-b", "unix:sock", "--status-bind", "127.0.0.1:0")
    port = run.port
    with begin_waiting(run) as connection:
        worker = run.workers()[0]
        assert len(sockets(run.pid) & sockets(worker)) == 2
        run.signal(signal.SIGTERM)
        wait_until(lambda: not sockets(run.pid) & sockets(worker), "the master to let go")
        wait_until(lambda: refuses(port), "clients to be refused")
        assert b'"state": "stopping"' in run.get("/status.json", port=run.status_port).body
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    assert run.ended() == 0 and not (run.folder / "sock").exists()
    assert f"127.0.0.1:{port}" in run.err.expect("addresses ") and not run.err.matching("exception in hook")


def test_an_address_that_a_reload_drops_refuses_while_the_old_worker_drains(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("bind = '127.0.0.1:0'")
    run = evy_cli("-c", "settings.py", bind=None)
    port = run.port
    with begin_waiting(run) as connection:
        config.write_text("bind = 'unix:sock'")
        run.signal(signal.SIGHUP)
        run.err.expect("reloaded")
        wait_until(lambda: refuses(port), "clients to be refused")
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"


# A new master that is slow: by the time it looks for sockets, the old one has ended.
LATE = """
import os, time
if "EVY_MASTER_PID" in os.environ:
    while os.getppid() == int(os.environ["EVY_MASTER_PID"]):
        time.sleep(0.01)
"""


def test_an_old_master_may_end_ahead_of_its_successors_start(evy_cli):
    (evy_cli.folder / "settings.py").write_text(LATE)
    run = evy_cli("-c", "settings.py", "-p", "pid", "-b", "unix:sock", "--status-bind", "127.0.0.1:0")
    port, pid = run.port, run.folder / "pid"
    assert run.get().body == b"Hello"
    run.signal(signal.SIGUSR2)
    run.err.expect("new master")
    run.signal(signal.SIGTERM)
    # Nobody refuses: the sockets are open in the process that starts.
    assert run.get(port=port).body == b"Hello"
    assert run.process.wait(PATIENCE) == 0
    wait_until(lambda: pid.exists() and not (run.folder / "pid.2").exists(), "the pid file")
    new = pid_in(pid)
    assert new != run.pid
    with Connection(address=str(run.folder / "sock"), family=1) as connection:
        assert connection.get("/").body == b"Hello"
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not is_alive(new), "the end of the new master")
    assert not {"pid", "pid.2", "sock"} & set(os.listdir(run.folder))


def test_a_successor_whose_settings_name_no_pid_file_any_more(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text("pidfile = 'pid'")
    run = evy_cli("-c", "settings.py")
    port = run.port
    assert run.get().body == b"Hello"
    run.signal(signal.SIGUSR2)
    new = pid_in(run.folder / "pid.2")
    run.err.expect("worker .* starts", 2)
    config.write_text("workers = 1")
    os.kill(new, signal.SIGHUP)
    run.err.expect("reloaded")
    run.signal(signal.SIGTERM)
    run.err.expect("the old master has ended")
    assert run.get(port=port).body == b"Hello" and is_alive(new)
    os.kill(new, signal.SIGTERM)
    assert run.ended() == 0 and not run.err.matching("exception in the master")
    assert not {"pid", "pid.2"} & set(os.listdir(run.folder))


def test_systemd_hears_of_the_successor_when_the_old_master_stops(evy_cli, tmp_path):
    (evy_cli.folder / "settings.py").write_text(LATE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(str(tmp_path / "notify"))
        inbox.settimeout(PATIENCE)
        run = evy_cli("-c", "settings.py", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert inbox.recv(999).decode() == f"READY=1\nMAINPID={run.pid}"
        run.signal(signal.SIGUSR2)
        new = re.search(r"new master (\d+)", run.err.expect("new master"))[1]
        run.signal(signal.SIGTERM)
        assert inbox.recv(999).decode() == f"MAINPID={new}"


def test_a_successor_that_fails_when_the_old_master_has_ended_leaves_no_file(evy_cli):
    config = evy_cli.folder / "settings.py"
    config.write_text(LATE)
    run = evy_cli("-c", "settings.py", "-p", "pid", "-b", "unix:sock")
    assert run.get().body == b"Hello"
    config.write_text(LATE + "certfile = 'missing'")
    run.signal(signal.SIGUSR2)
    run.err.expect("new master")
    run.signal(signal.SIGTERM)
    assert run.ended() == 0  # and with it the last who writes to its stderr
    run.err.expect("evy: TLS: .*missing")
    assert not {"pid", "pid.2", "sock"} & set(os.listdir(run.folder))


# Masters that wait for each other at their ends.
TOGETHER = """
import glob, os, time

def on_exit(server):
    open(f"over.{os.getpid()}", "w").close()
    while len(glob.glob("over.*")) < 2:
        time.sleep(0.01)
"""


def test_two_masters_that_end_together_leave_no_file(evy_cli):
    (evy_cli.folder / "settings.py").write_text(TOGETHER)
    run = evy_cli("-c", "settings.py", "-p", "pid", "-b", "unix:sock")
    assert run.get().body == b"Hello"
    run.signal(signal.SIGUSR2)
    new = pid_in(run.folder / "pid.2")
    run.err.expect("worker .* starts", 2)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.ended() == 0
    wait_until(lambda: not is_alive(new), "the end of the new master")
    assert not {"pid", "pid.2", "sock"} & set(os.listdir(run.folder))


def test_descriptors_that_are_no_listening_sockets_are_left_alone(evy_cli):
    """Variables of another time; 0 and 1 are what the harness has made them."""
    variables = {"EVY_SOCKETS": '{"127.0.0.1:0": [0], "unix:a": [true, "x"]}', "EVY_MASTER_PID": "1"}
    run = evy_cli("-p", "pid", environ=variables)
    assert run.get().body == b"Hello" and (run.folder / "pid").exists()


def test_a_host_with_several_addresses_is_served_at_each(evy_cli):
    (evy_cli.folder / "settings.py").write_text(
        "import socket\n"
        "def found(host, port, *_, **__):\n"
        "    assert host == 'several'\n"
        "    hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '203.0.113.1']\n"
        "    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (one, port)) for one in hosts]\n"
        "socket.getaddrinfo = found\n"
    )
    run = evy_cli("-c", "settings.py", "-p", "pid", "--status-bind", "several:0", bind="several:0")
    places = [one.removeprefix("http://").split(":") for one in run.urls]
    assert [host for host, _ in places] == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]

    def all_answer():
        for host, port in places[:2]:
            with Connection(address=(host, int(port))) as connection:
                assert connection.get("/").body == b"Hello"

    all_answer()
    run.signal(signal.SIGHUP)
    run.err.expect("INFO. reloaded")
    all_answer()
    run.signal(signal.SIGUSR2)
    new = pid_in(run.folder / "pid.2")
    run.signal(signal.SIGTERM)
    assert run.process.wait(PATIENCE) == 0
    all_answer()
    assert pid_in(run.folder / "pid") == new


def activated(tmp_path, program, *arguments):
    """A run with two sockets of systemd's and no --bind, and their ports."""
    (tmp_path / "app.py").write_text(APP)
    run = program(ACTIVATE, "-p", "pid", *arguments, "app:app")
    return run, [int(port) for port in run.out.expect(r"^\d+ \d+$").split()]


def answers(port):
    with Connection(port=port) as connection:
        return connection.get("/").body == b"Hello"


def test_an_upgrade_keeps_the_sockets_that_systemd_has_passed(tmp_path, program):
    run, ports = activated(tmp_path, program)
    run.err.expect("^  pid ")
    run.process.send_signal(signal.SIGUSR2)
    run.err.expect("^  pid ", 2)
    successor = pid_in(tmp_path / "pid.2")
    try:
        served = [int(line.rsplit(":", 1)[1]) for line in run.err.matching("http://")]
        assert served == ports * 2
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0
        assert all(answers(port) for port in ports)
    finally:
        os.kill(successor, signal.SIGTERM)
    wait_until(lambda: not is_alive(successor), "the end of the new master")


def test_a_daemon_keeps_the_sockets_that_systemd_has_passed(tmp_path, program):
    run, ports = activated(tmp_path, program, "-D", "--log-file", "errors")
    assert run.process.wait(PATIENCE) == 0
    daemon = pid_in(tmp_path / "pid")
    try:
        os.kill(daemon, signal.SIGHUP)
        wait_until(lambda: "reloaded" in (tmp_path / "errors").read_text(), "the reload")
        assert all(answers(port) for port in ports)
    finally:
        os.kill(daemon, signal.SIGTERM)
    wait_until(lambda: not is_alive(daemon), "the end of the daemon")


def test_the_folder_of_a_release_may_be_gone_when_the_next_one_takes_over(evy_cli, tmp_path):
    """As tools for deployment do it: `current` leads to the new one, and the oldest are removed."""
    (tmp_path / "app.py").unlink()
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(APP.replace("Hello", f"release {name}"))
    current = tmp_path / "current"
    current.symlink_to("1")
    run = evy_cli("--chdir", "current", "-p", tmp_path / "pid")
    port = run.port
    assert run.get(port=port).body == b"release 1"
    current.unlink()
    current.symlink_to("2")
    shutil.rmtree(tmp_path / "1")
    run.signal(signal.SIGTTIN)
    run.err.expect("there is no module 'app' in the current folder, which was removed, or on the path")
    run.signal(signal.SIGUSR2)
    successor = pid_in(tmp_path / "pid.2")
    run.err.expect(f"new master {successor}")
    run.err.expect("^  pid ", 2)
    run.signal(signal.SIGTERM)
    assert run.process.wait(PATIENCE) == 0
    assert wait_until(lambda: run.get(port=port), "an answer").body == b"release 2"
    os.kill(successor, signal.SIGTERM)
    wait_until(lambda: not is_alive(successor), "the end of the new master")
