# SPDX-License-Identifier: MIT
"""Becomes one server with one worker and no access log: launch.py SERVER PORT THREADS [CERTIFICATE KEY]"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HOST, BACKLOG, APPLICATION = "127.0.0.1", 2048, "apps:application"


def application():
    import apps

    return apps.application


def evy(port, threads, tls):
    sys.path.insert(0, os.path.join(ROOT, "bindings", "python"))
    import evy
    from evy.web import wsgi

    sock = evy.listen((HOST, port), backlog=BACKLOG)
    if tls:
        sock = evy.wrap_ssl(sock, certfile=tls[0], keyfile=tls[1], server_side=True)
    options = {"threads": threads} if threads > 1 else {}
    wsgi.server(sock, application(), log_output=False, **options)


def evy_ctypes(port, threads, tls):
    os.environ["EVY_BRIDGE"] = "ctypes"
    evy(port, threads, tls)


def fastpysgi(port, threads, tls):
    import fastpysgi

    server = fastpysgi.server
    server.bindlist = [(HOST, port)]
    if tls:
        server.tls_list = [(tls[0], tls[1], None)]
    server.init(application(), HOST, port)
    server.run()


def bjoern(port, threads, tls):
    import bjoern

    bjoern.run(application(), HOST, port)


def granian(port, threads, tls):
    pair = ["--ssl-certificate", tls[0], "--ssl-keyfile", tls[1]] if tls else []
    become("granian", "--interface", "wsgi", "--workers", 1, "--blocking-threads", threads, "--http", "1",
           "--no-ws", "--no-log", "--backlog", BACKLOG, "--host", HOST, "--port", port, *pair, APPLICATION)


def gunicorn(port, threads, tls):
    """The sync worker, as long as one thread will do."""
    pair = ["--certfile", tls[0], "--keyfile", tls[1]] if tls else []
    kind = ["-k", "gthread", "--threads", threads, "--keep-alive", 60] if threads > 1 else ["-k", "sync"]
    become("gunicorn", "-w", 1, *kind, "--timeout", 0, "--log-level", "critical", "-b", f"{HOST}:{port}",
           *pair, APPLICATION)


def waitress(port, threads, tls):
    import waitress

    waitress.serve(application(), host=HOST, port=port, threads=threads, connection_limit=2000,
                   backlog=BACKLOG, channel_timeout=120)


def become(program, *arguments):
    path = os.path.join(os.path.dirname(sys.executable), program)
    os.environ["PYTHONPATH"] = HERE
    os.execv(path, [path, *map(str, arguments)])


SERVERS = {"evy": evy, "evy-ctypes": evy_ctypes, "fastpysgi": fastpysgi, "bjoern": bjoern, "granian": granian,
           "gunicorn": gunicorn, "waitress": waitress}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:6])
