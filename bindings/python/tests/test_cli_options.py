# SPDX-License-Identifier: MIT
# test_cli_options - where settings come from, and the texts about those that cannot be used.

import concurrent.futures
import os
import re
import subprocess
import sys

import pytest
from cli_harness import APP, PACKAGE, evy_cli  # noqa: F401


def run_in(folder, arguments, environ=None):
    """Runs the command to its end: (status, stdout, stderr)."""
    variables = {name: value for name, value in os.environ.items() if name != "WEB_CONCURRENCY"}
    done = subprocess.run(
        [sys.executable, "-m", "evy", *map(str, arguments)],
        cwd=folder, env={**variables, "PYTHONPATH": str(PACKAGE), **(environ or {})},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def evy(tmp_path):
    """evy(*arguments, **environ) runs the command in a folder with app.py."""
    (tmp_path / "app.py").write_text(APP)

    def run(*arguments, **environ):
        return run_in(tmp_path, arguments, environ)

    run.folder = tmp_path
    return run


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """outcome(*arguments) of commands that leave no trace: all run side by side, ahead of the first test."""
    folder = tmp_path_factory.mktemp("outcomes")
    (folder / "app.py").write_text(APP)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "needy.py").write_text("import absent\n")
    (folder / "raising.py").write_text("raise ValueError('no')\n")
    commands = [command_of(arguments) for arguments, _ in SETTINGS]
    commands += [("--check-config", application) for application, _ in APPLICATIONS]
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        found = dict(zip(commands, pool.map(lambda command: run_in(folder, command), commands)))
    return lambda *arguments: found[arguments]


def command_of(arguments):
    check = [] if arguments[0] == "-b" else ["--check-config"]
    return (*check, *arguments, "app:app")


def settings(evy, *arguments, **environ):
    """What --print-config tells, by name, as Python text."""
    status, out, err = evy("--print-config", *arguments, **environ)
    assert status == 0, err
    return dict(line.removesuffix("  # default").split(" = ", 1) for line in out.splitlines())


def test_defaults(evy):
    found = settings(evy)
    assert found["bind"] == "['127.0.0.1:8000']" and found["workers"] == "1" and found["threads"] == "32"
    found = settings(evy, PORT="81", WEB_CONCURRENCY="5", FORWARDED_ALLOW_IPS="10.0.0.1")
    assert found["bind"] == "['0.0.0.0:81']" and found["workers"] == "5"
    assert found["forwarded_allow_ips"] == "'10.0.0.1'"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(evy):
    (evy.folder / "conf.py").write_text("workers = 2\nthreads = 3\ntimeout = 4\nbind = 'a:1'\nmine = 5\n")
    found = settings(evy, "-c", "conf.py", "-w", 7, EVY_CMD_ARGS="--workers 6 --threads 6")
    assert (found["workers"], found["threads"], found["timeout"]) == ("7", "6", "4")
    assert found["bind"] == "['a:1']"
    found = settings(evy, EVY_CMD_ARGS="-c conf.py", GUNICORN_CMD_ARGS="--workers 9")
    assert found["workers"] == "2"


def test_configuration_files(evy):
    (evy.folder / "evy.conf.py").write_text("import os\nworkers = 2 + 1\nraw_env = ['A=b,c']\n")
    assert settings(evy)["workers"] == "3"
    assert settings(evy)["raw_env"] == "[('A', 'b,c')]"
    (evy.folder / "package").mkdir()
    (evy.folder / "package" / "conf.py").write_text("workers = 8\nbind = ['a:1', 'b:2']\nkeepalive = 5")
    found = settings(evy, "-c", "python:package.conf")
    assert (found["workers"], found["bind"], found["keepalive"]) == ("8", "['a:1', 'b:2']", "5")


@pytest.mark.parametrize(
    "text, message",
    [
        ("workers = 'x'", r"conf.py: workers: 'x' is no whole number"),
        ("workers = 0", "conf.py: workers: 0 is too small"),
        ("statsd_host = 'a:1'", "conf.py: statsd_host: there is no statsd client"),
        ("def pre_request(worker, req): pass", "conf.py: pre_request: requests pass no hook"),
        ("worker_class = 'gevent'", "conf.py: worker_class: 'gevent' cannot be used: evy has a loop"),
        ("when_ready = 5", "conf.py: when_ready: 5 is not callable"),
        ("1 / 0", r"conf.py failed:\n.*ZeroDivisionError"),
        ("x = (", "conf.py failed:\n.*SyntaxError"),
    ],
)
def test_configuration_files_that_cannot_be_used(evy, text, message):
    (evy.folder / "conf.py").write_text(text)
    status, _, err = evy("-c", "conf.py", "app:app")
    assert status == 1 and re.match("evy: " + message, err, re.S), err


SETTINGS = [
    (["-k", "gevent"], "--worker-class: 'gevent' cannot be used.*green threads"),
    (["-k", "eventlet"], "--worker-class: 'eventlet'"),
    (["-k", "uvicorn.workers.UvicornWorker"], "--worker-class: .*serves WSGI applications"),
    (["-k", "tornado"], "--worker-class: 'tornado'"),
    (["--statsd-host=a:1"], "--statsd-host=a:1: there is no statsd client"),
    (["--log-config", "x"], "--log-config: logging of the server is set by"),
    (["-w", "0"], "--workers: 0 is too small"),
    (["-t", "-1"], "--timeout: '-1' is no number of seconds"),
    (["-m", "9"], "--umask: '9' is no octal number"),
    (["-u", "nobody-of-that-name"], "--user: there is no user 'nobody-of-that-name'"),
    (["-g", "nobody-of-that-name"], "--group: there is no group 'nobody-of-that-name'"),
    (["-e", "NAME"], "--env: 'NAME' is not NAME=VALUE"),
    (["--log-level", "loud"], "--log-level: 'loud' is none of debug"),
    (["--cert-reqs", "3"], "--cert-reqs: '3' is none of 0"),
    (["--cert-reqs", "2"], "--cert-reqs needs --certfile and --ca-certs"),
    (["--keyfile", "x"], "--keyfile is given without --certfile"),
    (["--certfile", "missing.pem"], "TLS: .*missing.pem"),
    (["--reload", "--preload"], "--reload and --preload"),
    (["-c", "missing.py"], "cannot read missing.py: No such file"),
    (["--chdir", "missing"], "--chdir missing: No such file"),
    (["--access-logfile", "missing/log"], "cannot open log missing/log: No such file"),
    (["--access-logformat", "%(h)s %(D)s"], r"--access-logformat: %\(D\)s: .*microseconds"),
    (["--access-logformat", "%(k)s"], r"--access-logformat: %\(k\)s: there is no such atom"),
    (["--access-logformat", "%({X-Thing}i)s"], r"--access-logformat: %\(\{X-Thing\}i\)s cannot"),
    (["--access-logformat", "%(nonsense)s"], "--access-logformat: .*nonsense"),
    (["-b", "nonsense:port"], "--bind nonsense:port: not HOST:PORT"),
    (["-b", "8000"], "--bind 8000: a host. Say :8000 for a port"),
    (["-b", "127.0.0.1:99999"], "--bind 127.0.0.1:99999: not HOST:PORT"),
    (["-b", "fd://77"], "cannot listen on fd://77: descriptor 77"),
    (["-b", "systemd:web"], "cannot listen on systemd:web: no socket of the name 'web'"),
    (["-b", "unix:app.py"], "cannot listen on unix:app.py: app.py exists, and is no socket"),
    (["-b", "unix:a?made=1"], r"--bind unix:a\?made=1: not unix:PATH"),
    (["-o", "nonsense=1"], ".*nonsense.*no such option"),
    (["-o", "threads=none"], ".*threads"),
    (["--forwarded-allow-ips", "300.1.1.1"], "--forwarded-allow-ips: "),
]  # fmt: skip


@pytest.mark.parametrize("arguments, message", SETTINGS)
def test_settings_that_cannot_be_used(outcome, arguments, message):
    status, out, err = outcome(*command_of(arguments))
    assert status == 1 and not out and re.match("evy: " + message, err, re.S), err


def test_an_address_in_use(evy, evy_cli):
    run = evy_cli()
    status, _, err = evy("-b", f"127.0.0.1:{run.port}", "app:app")
    assert status == 1 and re.match(r"evy: cannot listen on 127\.0\.0\.1:\d+: Address already in use", err)
    (evy.folder / "sub").mkdir()
    unix = evy_cli(bind="unix:sub/sock")
    assert unix.urls
    status, _, err = evy("-b", "unix:sub/sock", "app:app")
    assert status == 1 and "another process listens there" in err


def test_command_lines_that_are_wrong(evy):
    status, _, err = evy("--nonsense", "app:app")
    assert status == 2 and err.startswith("evy: unrecognized arguments: --nonsense\nusage: python -m evy")
    status, _, err = evy("app:app", EVY_CMD_ARGS="--nonsense")
    assert status == 1 and err.startswith("evy: EVY_CMD_ARGS: unrecognized arguments: --nonsense")
    status, _, err = evy()
    assert status == 1 and err.startswith("evy: no application was named\nusage: python -m evy")


def test_help_and_version(evy):
    status, out, _ = evy("--help")
    assert status == 0
    for heading in ("application:", "sockets:", "processes:", "times:", "TLS:", "logs and status:"):
        assert f"\n{heading}\n" in out
    for option in ("--bind", "--graceful-timeout", "--limit-request-field_size", "--status-bind"):
        assert re.search(rf"^  .*{option}\b", out, re.M)
    status, out, _ = evy("--version")
    assert status == 0 and re.fullmatch(r"evy \d+\.\d+\.\d+ \(library \d.*\)\n", out)


def test_settings_without_effect_are_accepted_and_said(evy):
    status, _, err = evy(
        "--check-config", "--worker-tmp-dir", "/dev/shm", "-k", "sync", "--no-sendfile", "-R", "app:app"
    )
    assert status == 0
    assert "evy: --worker-tmp-dir has no effect: heartbeats go through a socket" in err
    assert "evy: --no-sendfile has no effect" in err
    assert "evy: worker class sync: one request at a time" in err
    assert settings(evy, "-k", "sync")["threads"] == "1"
    assert settings(evy, "-k", "sync", "--threads", 4)["threads"] == "4"
    assert settings(evy, "-k", "gthread")["threads"] == "32"


def test_a_flag_whose_value_may_be_left_out(evy):
    for words, meant in (
        ([], "off"),
        (["--proxy-protocol", "off"], "off"),
        (["--proxy-protocol=v2"], "require"),
    ):
        assert settings(evy, *words, "app:app")["proxy_protocol"] == repr(meant)
    for words in (
        ["--proxy-protocol", "app:app"],
        ["app:app", "--proxy-protocol"],
        ["--proxy-protocol", "-w", 1],
    ):
        assert settings(evy, *words)["proxy_protocol"] == "'require'"


APPLICATIONS = [
    ("missing", "there is no module 'missing' in "),
    ("missing.part:app", "there is no module 'missing' in "),
    ("app.py", r"there is no module 'app.py' in .*\(did you mean 'app'\?\)"),
    ("app:ap", r"module 'app' has no attribute 'ap' \(did you mean 'app'\?\)"),
    ("app", "module 'app' has no attribute 'application'"),
    ("app:holder.inner.deep", "app:holder.inner has no attribute 'deep'"),
    ("app:number", "app:number is a int, which is no WSGI application: not callable"),
    ("app:make(oops)", "app:make.oops.: only literals can be arguments"),
    ("app:make(1, 2)", "app:make.1, 2. failed: TypeError: make"),
    ("app:1 + 1", "app:1 . 1: '1 . 1' is neither a name nor a call"),
    ("broken:app", "cannot import module 'broken': SyntaxError.*broken.py.*def f"),
    ("needy:app", "cannot import module 'needy': No module named 'absent'.*import absent"),
    ("raising:app", "cannot import module 'raising': ValueError: no.*raise ValueError"),
]


@pytest.mark.parametrize("application, message", APPLICATIONS)
def test_applications_that_cannot_be_loaded(outcome, application, message):
    status, _, err = outcome("--check-config", application)
    assert status == 1 and re.match("evy: " + message, err, re.S), err


def test_a_configuration_that_is_fine(evy):
    assert evy("--check-config", "-w", 2, "app:app") == (0, "", "")
    (evy.folder / "conf.py").write_text("wsgi_app = 'app:holder.inner'")
    assert evy("--check-config", "-c", "conf.py") == (0, "", "")
