# SPDX-License-Identifier: MIT
# test_cli_bad_values - values of the wrong kind: told by name at the start, and harmless under a reload.

import os
import re
import signal

import pytest
from cli_harness import evy_cli, is_alive  # noqa: F401
from client import wait_until
from test_cli_options import evy  # noqa: F401

LONG_HOST = "h" * 70
# Lines of a configuration file, and what is said about them.
VALUES = [
    ("bind = 8000", "bind: 8000 is neither a text nor a list"),
    ("bind = b'a:1'", "bind: b'a:1' is neither a text nor a list"),
    ("bind = []", "--bind: no address is given"),
    (f"bind = '{LONG_HOST}:1'", f"cannot listen on {LONG_HOST}:1: "),
    ("bind = 'a\\0b:1'", "bind: 'a.x00b:1' holds a NUL"),
    ("options = 5", "options: 5 is neither"),
    ("options = ['\\udcff=1']", "options: '.udcff=1' is not UTF-8"),
    ("user = 1.5", "user: 1.5 is no text"),
    ("user = 99999999999999", "user: 99999999999999 is no number of a user"),
    ("group = -1", "group: -1 is no number of a group"),
    ("workers = float('inf')", "workers: inf is no whole number"),
    ("raw_env = {'A=B': 'x'}", "raw_env: 'A=B' is no name: it holds a ="),
    ("raw_env = {'A': 'x\\0'}", "raw_env: .* holds a NUL"),
    ("reload_extra_files = 5", "reload_extra_files: 5 is neither"),
    ("chdir = 'a\\0b'", "chdir: 'a.x00b' holds a NUL"),
    ("accesslog = 'a\\0b'", "accesslog: 'a.x00b' holds a NUL"),
    ("certfile = ''", "certfile: '' is no path of a file .for clear text, leave it out"),
    ("certfile = 'a\\0b'", "certfile: 'a.x00b' holds a NUL"),
    ("pidfile = '\\ud800'", "pidfile: '.ud800' is no text: it holds half"),
    ("forwarded_allow_ips = '\\udcff'", "forwarded_allow_ips: '.udcff' is not UTF-8"),
    (
        "class Odd:\n    def __str__(self): return 1 / 0\nheader_map = Odd()",
        "header_map: ZeroDivisionError: division by zero",
    ),
]


@pytest.fixture
def reloaded(evy_cli):
    """reloaded(text, message) has a running master read the text: it says so, and goes on as before."""
    config = evy_cli.folder / "settings.py"
    before = "bind = ['127.0.0.1:0', 'unix:sock']\npidfile = 'pid'\nraw_env = ['NAME=before']\n"
    config.write_text(before)
    run = evy_cli("-c", "settings.py", bind=None)
    assert run.get().body == b"Hello"
    workers = run.workers()
    count = 0

    def reload(text, message):
        nonlocal count
        count += 1
        config.write_text(f"{before}{text}\n")
        run.signal(signal.SIGHUP)
        said = run.err.expect("not reloaded, everything stays as it was", count)
        assert re.search(message, said if count == 1 else said[-1]), said
        assert run.workers() == workers

    reload.run, reload.config, reload.before = run, config, before
    return reload


def test_a_reload_to_values_of_the_wrong_kind_changes_nothing(reloaded):
    for text, message in VALUES:
        reloaded(text, message)
    assert reloaded.run.get().body == b"Hello"
    assert reloaded.run.end(signal.SIGTERM) == 0
    assert not {"pid", "sock"} & set(os.listdir(reloaded.run.folder))


def test_a_reload_that_fails_leaves_the_surroundings(reloaded):
    """Folder, environment and umask: workers that start behind it are as those before."""
    run = reloaded.run
    app = run.folder / "app.py"
    where = "repr((os.environ.get('NAME'), os.environ.get('MORE'), os.getcwd(), os.umask(0o22))).encode()"
    app.write_text(app.read_text().replace("b'Hello'", where))
    (run.folder / "other").mkdir()
    reloaded("raw_env = ['MORE=x']\nchdir = 'other'\numask = 0o77\naccess_log_format = '%(D)s'", "%.D.s")
    old = run.workers()
    os.kill(old[0], signal.SIGTERM)
    wait_until(lambda: not is_alive(old[0]), "the end of the old worker")
    mask = os.umask(0o22)
    os.umask(mask)
    assert run.get().body.decode() == repr(("before", None, str(run.folder), mask))


def test_a_reload_in_which_foreign_code_fails_changes_nothing(reloaded):
    reloaded(
        "import os\nclass Path(str):\n    def encode(self, *_): raise RuntimeError('no')\n"
        "ciphers = Path('\\u00e9')",
        "ciphers: RuntimeError: no",
    )
    assert reloaded.run.get().body == b"Hello"


@pytest.mark.parametrize("text, message", VALUES)
def test_a_start_with_values_of_the_wrong_kind(evy, text, message):
    (evy.folder / "conf.py").write_text(text)
    arguments = [] if "bind" in text else ["-b", "127.0.0.1:0"]
    status, _, err = evy("-c", "conf.py", *arguments, "app:app")
    assert status == 1 and re.match(f"evy: (conf.py: )?{message}", err) and "Traceback" not in err, err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-n", b"\xff", "app:app"], "--name: '.udcff' is not UTF-8"),
        (["-o", b"\xff=1", "app:app"], "--option: '.udcff=1' is not UTF-8"),
        ([b"app:\xff"], "wsgi_app: 'app:.udcff' is not UTF-8"),
        ([b"\xff:app"], "wsgi_app: '.udcff:app' is not UTF-8"),
    ],
)
def test_arguments_that_are_not_utf8(evy, arguments, message):
    words = [one if isinstance(one, str) else os.fsdecode(one) for one in arguments]
    status, _, err = evy("-b", "127.0.0.1:0", *words)
    assert status == 1 and re.match(f"evy: {message}", err) and "Traceback" not in err, err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-b", ""], "--bind: no address is given"),
        (["-b", " , "], "--bind: no address is given"),
        (["-b", "127.0.0.1:99999999"], "--bind 127.0.0.1:99999999: not HOST:PORT"),
        (["-b", "unix:sock?mode=9"], "--bind unix:sock.mode=9: '9' is no octal number"),
        (["-b", "unix:sock?user=nobody-of-that-name"], "--bind unix:sock.user=.*: there is no user"),
        (["-b", "unix:?mode=600"], "--bind unix:.mode=600: not unix:PATH"),
        (["--status-bind", "a:b:c"], "--bind a:b:c: not HOST:PORT"),
        (["-u", "99999999999999"], "--user: '99999999999999' is no number of a user"),
        (["-g", "4294967295"], "--group: '4294967295' is no number of a group"),
    ],
)
def test_a_check_reads_addresses_and_users(evy, arguments, message):
    for check in (["--check-config"], []):
        if arguments[0] != "-b":
            check = [*check, "-b", "127.0.0.1:0"]
        status, _, err = evy(*check, *arguments, "app:app")
        assert status == 1 and re.match(f"evy: {message}", err), err
    assert "sock" not in os.listdir(evy.folder)


def test_a_check_opens_nothing(evy):
    words = ["-b", "unix:sock?mode=660", "-b", "fd://77", "-b", "systemd:web", "-b", "203.0.113.1:80"]
    assert evy("--check-config", *words, "app:app") == (0, "", "")
    assert "sock" not in os.listdir(evy.folder)


@pytest.mark.parametrize("code", ["0", "", "1"])
def test_a_check_of_an_application_that_exits(evy, code):
    (evy.folder / "leaving.py").write_text(f"import sys\nsys.exit({code})\n")
    status, _, err = evy("--check-config", "leaving:app")
    assert status == 1 and err.startswith("evy: leaving:app ended the process: SystemExit("), err


def test_variables_that_are_not_utf8(evy):
    for name in ("FORWARDED_ALLOW_IPS", "SCRIPT_NAME"):
        status, _, err = evy("--check-config", "app:app", **{name: os.fsdecode(b"\xff")})
        assert status == 1 and err.startswith("evy: ") and "Traceback" not in err, err


def test_files_whose_names_are_not_utf8(evy, evy_cli):
    name = os.fsdecode(b"\xff")
    (evy.folder / name).mkdir()
    run = evy_cli("--access-logfile", f"{name}/log", "-p", f"{name}/pid", "-e", f"A={name}")
    assert run.get().body == b"Hello"
    assert {"log", "pid"} <= set(os.listdir(evy.folder / name))


def test_an_ssl_version_of_gunicorn(evy):
    (evy.folder / "conf.py").write_text("import ssl\nssl_version = ssl.PROTOCOL_TLS_SERVER")
    status, _, err = evy("--check-config", "-c", "conf.py", "app:app")
    assert status == 0 and "ssl_version has no effect" in err
