# SPDX-License-Identifier: MIT
# fmt: off
"""table - every setting: gunicorn's name and flags, how it is read, its default and its help."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evy._cli import values

SOCKETS, PROCESSES, TIMES = "sockets", "processes", "times"
APPLICATION, TLS, LIMITS = "application", "TLS", "limits and proxies"
LOGS, CONFIGURATION = "logs and status", "configuration"
INERT = "accepted for gunicorn's sake, without effect"
GROUPS = (APPLICATION, SOCKETS, PROCESSES, TIMES, TLS, LIMITS, LOGS, CONFIGURATION, INERT)


@dataclass(frozen=True)
class Setting:
    """One setting. read: turns a text or a Python value into its value; ValueError says what is wrong.

    default: a value, or a function that gives it. note: it is accepted, and this is said about it.
    constant: the value of the flag given without one.
    """

    name: str
    flags: str
    read: Callable[[Any], Any]
    default: Any
    group: str
    help: str
    metavar: str | None = None
    constant: Any = None
    note: str | None = None

    @property
    def is_flag(self) -> bool:
        return self.read is values.flag

    @property
    def is_list(self) -> bool:
        return self.read in (values.texts, values.lines, values.pairs, values.options)


def _bind() -> list[str]:
    port = os.environ.get("PORT")
    return [f"0.0.0.0:{port}" if port else "127.0.0.1:8000"]


def _workers() -> int:
    try:
        return values.positive(os.environ.get("WEB_CONCURRENCY") or 1)
    except ValueError as error:
        raise values.SettingError(f"WEB_CONCURRENCY: {error}") from None


def _trusted() -> str | None:
    try:
        return values.text(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1,unix"))
    except ValueError as error:
        raise values.SettingError(f"FORWARDED_ALLOW_IPS: {error}") from None


_APPLICATION = (
    Setting("factory", "--factory", values.flag, False, APPLICATION,
            "MODULE:CALLABLE makes the application: it is called without arguments in each worker. "
            "MODULE:CALLABLE(...) with literals does the same without the option"),
    Setting("chdir", "--chdir", values.path, None, APPLICATION,
            "go to this folder before anything is loaded; it is the first place for modules", "FOLDER"),
    Setting("pythonpath", "--pythonpath", values.path, None, APPLICATION,
            "further folders to import from, with commas between", "FOLDERS"),
    Setting("raw_env", "-e --env", values.pairs, [], APPLICATION,
            "set an environment variable; may be repeated", "NAME=VALUE"),
    Setting("preload_app", "--preload", values.flag, False, APPLICATION,
            "load the application in the master, ahead of the forks: memory is shared, and a reload (HUP) "
            "does not bring new code"),
    Setting("reload", "--reload", values.flag, False, APPLICATION,
            "replace the workers when the source of a loaded module changes; for development"),
    Setting("reload_extra_files", "--reload-extra-file", values.lines, [], APPLICATION,
            "a further file to watch under --reload; may be repeated", "FILE"),
)
_SOCKETS = (
    Setting("bind", "-b --bind", values.texts, _bind, SOCKETS,
            "where to listen; may be repeated: HOST:PORT, :PORT, [::1]:PORT, unix:PATH (also with "
            "?mode=660&user=NAME&group=NAME), unix:@NAME, fd://N, systemd: or systemd:NAME. Default: "
            "127.0.0.1:8000, or 0.0.0.0:$PORT, or the sockets systemd passed", "ADDRESS"),
    Setting("backlog", "--backlog", values.positive, 2048, SOCKETS,
            "connections that may wait to be accepted, for each socket", "N"),
    Setting("reuse_port", "--reuse-port", values.flag, False, SOCKETS,
            "set SO_REUSEPORT, so that another program can listen on the same port"),
    Setting("umask", "-m --umask", values.mask, None, SOCKETS,
            "octal file mode mask of all processes; without it unix sockets are open to everybody",
            "MASK"),
)
_PROCESSES = (
    Setting("workers", "-w --workers", values.positive, _workers, PROCESSES,
            "processes that serve. Default: $WEB_CONCURRENCY, or 1", "N"),
    Setting("threads", "--threads", values.positive, 32, PROCESSES,
            "requests that may block side by side in one worker; connections beyond that are served too. "
            "1: one request at a time, for applications that are not thread-safe", "N"),
    Setting("worker_class", "-k --worker-class", values.worker_class, "gthread", PROCESSES,
            "gthread, or sync, which is --threads 1; all others are refused", "CLASS"),
    Setting("worker_connections", "--worker-connections", values.positive, 10000, PROCESSES,
            "open connections of one worker, idle ones included; further ones wait", "N"),
    Setting("max_requests", "--max-requests", values.whole, 0, PROCESSES,
            "replace a worker after so many requests, its successor first; 0: never", "N"),
    Setting("max_requests_jitter", "--max-requests-jitter", values.whole, 0, PROCESSES,
            "add a random number up to this to --max-requests, so that workers do not go together", "N"),
    Setting("daemon", "-D --daemon", values.flag, False, PROCESSES,
            "detach from the terminal once the sockets are open"),
    Setting("pidfile", "-p --pid", values.path, None, PROCESSES,
            "write the master's process id here", "FILE"),
    Setting("user", "-u --user", values.user, None, PROCESSES,
            "user of the workers, by name or number", "USER"),
    Setting("group", "-g --group", values.group, None, PROCESSES,
            "group of the workers, by name or number", "GROUP"),
    Setting("initgroups", "--initgroups", values.flag, False, PROCESSES,
            "give the workers the further groups of their user"),
    Setting("proc_name", "-n --name", values.text, None, PROCESSES,
            "name of the processes, as ps -o comm shows it (15 letters)", "NAME"),
)
_TIMES = (
    Setting("timeout", "-t --timeout", values.seconds, 30, TIMES,
            "a worker that does not answer the master's heartbeat for so many seconds is killed and "
            "replaced. The answer passes through the server: it stays away while the loop is stuck (with "
            "--threads 1 one slow request is enough), or while requests wait for one of --threads and none "
            "ends. Slow requests with a thread to spare are no reason. 0: never",
            "SECONDS"),
    Setting("graceful_timeout", "--graceful-timeout", values.seconds, 30, TIMES,
            "time that requests get to finish when a worker has to go", "SECONDS"),
    Setting("keepalive", "--keep-alive", values.seconds, 75, TIMES,
            "time a connection may wait for its next request; 0: none is kept", "SECONDS"),
)
_TLS = (
    Setting("certfile", "--certfile", values.tls_path, None, TLS,
            "certificate chain (PEM, leaf first): every address speaks TLS then", "FILE"),
    Setting("keyfile", "--keyfile", values.tls_path, None, TLS,
            "private key (PEM); without it --certfile holds the key too", "FILE"),
    Setting("ca_certs", "--ca-certs", values.tls_path, None, TLS,
            "certificates (PEM) that vouch for those of clients", "FILE"),
    Setting("cert_reqs", "--cert-reqs", values.cert_reqs, 0, TLS,
            "certificates of clients: 0 not asked for, 1 looked at, 2 required", "N"),
    Setting("ciphers", "--ciphers", values.text, None, TLS, "ciphers of TLS 1.2, in OpenSSL's words",
            "CIPHERS"),
)
_LIMITS = (
    Setting("limit_request_line", "--limit-request-line", values.whole, 8190, LIMITS,
            "longest request line in bytes; 0: the library's most", "N"),
    Setting("limit_request_fields", "--limit-request-fields", values.positive, 100, LIMITS,
            "most header fields of a request", "N"),
    Setting("limit_request_field_size", "--limit-request-field_size", values.whole, 8190, LIMITS,
            "longest header field in bytes; 0: the library's most", "N"),
    Setting("forwarded_allow_ips", "--forwarded-allow-ips", values.text, _trusted, LIMITS,
            "proxies whose forwarded headers count: addresses, networks, unix, * for all. The default, "
            "127.0.0.1,::1,unix or $FORWARDED_ALLOW_IPS, trusts them for X-Forwarded-Proto only; those "
            "given here also tell the client's address (see --forwarded-headers)", "PEERS"),
    Setting("forwarded_headers", "--forwarded-headers", values.text, None, LIMITS,
            "which of their headers count, with blanks between: x-forwarded-for, -proto, -host, -port, or "
            "forwarded. Name those that your proxies set themselves", "NAMES"),
    Setting("proxy_protocol", "--proxy-protocol", values.proxy_protocol, "off", LIMITS,
            "every connection begins with a PROXY protocol header, version 1 or 2", "MODE", "auto"),
    Setting("header_map", "--header-map", values.header_map, "drop", LIMITS,
            "header names that hold an underscore: drop, refuse, or dangerous to let them through", "WAY"),
    Setting("permit_obsolete_folding", "--permit-obsolete-folding", values.flag, False, LIMITS,
            "take header values that go on in a further line"),
)
_LOGS = (
    Setting("accesslog", "--access-logfile", values.path, None, LOGS,
            "access log; - for stdout. Default: none", "FILE"),
    Setting("access_log_format", "--access-logformat", values.text, "combined", LOGS,
            "common, combined, json, evy, or a text with gunicorn's %%(h)s or evy's %%(client_ip)s",
            "FORMAT"),
    Setting("errorlog", "--error-logfile --log-file", values.path, "-", LOGS,
            "the server's own log; - for stderr", "FILE"),
    Setting("loglevel", "--log-level", values.log_level, "info", LOGS,
            "debug, info, warning, error or critical", "LEVEL"),
    Setting("capture_output", "--capture-output", values.flag, False, LOGS,
            "send what the application prints to the server's log"),
    Setting("status_bind", "--status-bind", values.text, None, LOGS,
            "serve a status page, /status.json, /metrics and /health here; they have no password", "ADDRESS"),
)
_CONFIGURATION = (
    Setting("config", "-c --config", values.path, None, CONFIGURATION,
            "Python file with settings, or python:MODULE. Default: ./evy.conf.py, if there is one", "FILE"),
    Setting("check_config", "--check-config", values.flag, False, CONFIGURATION,
            "load settings and application, say what is wrong, and end"),
    Setting("print_config", "--print-config", values.flag, False, CONFIGURATION,
            "print every setting, and end"),
    Setting("options", "-o --option", values.options, [], CONFIGURATION,
            "any option of the library, such as max_body_size=64m; may be repeated", "NAME=VALUE"),
)
_LOOP = "evy has one loop for all of it"
_INERT = (
    Setting("worker_tmp_dir", "--worker-tmp-dir", values.path, None, INERT,
            "", "FOLDER", note="heartbeats go through a socket, there is no file"),
    Setting("reload_engine", "--reload-engine", values.text, "auto", INERT,
            "", "ENGINE", note="files are looked at once a second"),
    Setting("sendfile", "--no-sendfile", values.flag, True, INERT, "", constant=False,
            note="the library chooses how to send"),
    Setting("ssl_version", "--ssl-version", values.anything, None, INERT,
            "", "VERSION", note="TLS 1.2 and 1.3 are spoken, nothing older"),
    Setting("do_handshake_on_connect", "--do-handshake-on-connect", values.flag, False, INERT,
            "", note=_LOOP),
    Setting("suppress_ragged_eofs", "--suppress-ragged-eofs", values.flag, True, INERT, "", note=_LOOP),
    Setting("enable_stdio_inheritance", "-R --enable-stdio-inheritance", values.flag, False, INERT,
            "", note="output is inherited, only Python's own buffer is between"),
    Setting("secure_scheme_headers", "", values.anything, None, INERT,
            "", note="X-Forwarded-Proto tells the scheme, of those whom forwarded_allow_ips names"),
    Setting("forwarder_headers", "", values.anything, None, INERT, "", note="no header sets SCRIPT_NAME"),
    Setting("tmp_upload_dir", "", values.anything, None, INERT, "", note="TMPDIR says where files go"),
    Setting("http_protocols", "--http-protocols", values.anything, None, INERT, "", "NAMES",
            note="HTTP/1.1 is spoken"),
    Setting("disable_redirect_access_to_syslog", "--disable-redirect-access-to-syslog", values.flag,
            False, INERT, "", note="there is no syslog"),
)
HOOKS = (
    "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init", "worker_int",
    "pre_exec", "child_exit", "worker_exit", "nworkers_changed", "on_exit",
)
_HOOKS = tuple(Setting(name, "", values.hook, None, CONFIGURATION, "") for name in HOOKS)

# Settings of gunicorn that would change what happens, and that evy does not have: silence would mislead.
REFUSED = {
    "logger_class": "the log cannot be replaced by a class; errorlog and accesslog say where it goes",
    "logconfig": "logging of the server is set by errorlog, accesslog and loglevel alone",
    "logconfig_dict": "logging of the server is set by errorlog, accesslog and loglevel alone",
    "logconfig_json": "logging of the server is set by errorlog, accesslog and loglevel alone",
    "syslog": "the log goes to a file or to stderr: journald and rsyslog take it from there",
    "statsd_host": "there is no statsd client: use status_bind, its /metrics is for Prometheus",
    "pre_request": "requests pass no hook ahead of the application: wrap the application",
    "post_request": "use env['evy.posthooks'], or wrap the application",
    "worker_abort": "a stuck worker writes the stacks of its threads to the log instead",
    "ssl_context": "TLS is the library's own: use certfile, keyfile, ca_certs, cert_reqs and ciphers",
    "paste": "PasteDeploy files are not read: give MODULE:APP",
    "spew": "tracing every line is not the server's to do",
    "proxy_allow_ips": "with proxy_protocol every peer has to send the header: let only proxies reach it",
    "strip_header_spaces": "a blank ahead of the colon makes a request ambiguous, and it is refused",
    "casefold_http_method": "methods are given to the application as they came",
}

REFUSED_FLAGS = {
    "--logger-class": "logger_class", "--log-config": "logconfig", "--log-config-json": "logconfig_json",
    "--log-syslog": "syslog", "--statsd-host": "statsd_host", "--paste": "paste", "--paster": "paste",
    "--spew": "spew", "--proxy-allow-from": "proxy_allow_ips", "--strip-header-spaces": "strip_header_spaces",
    "--casefold-http-method": "casefold_http_method",
}

SETTINGS: dict[str, Setting] = {
    one.name: one
    for one in (*_APPLICATION, *_SOCKETS, *_PROCESSES, *_TIMES, *_TLS, *_LIMITS, *_LOGS, *_CONFIGURATION,
                *_INERT, *_HOOKS, Setting("wsgi_app", "", values.text, None, APPLICATION, ""))
}
