# SPDX-License-Identifier: MIT
# record_eventlet - asks eventlet everything of moved_cases, and writes down its answers.
"""python record_eventlet.py, with eventlet 0.41.3 and the Flask of requirements.txt; no part of the tests."""

import importlib
import json
import logging
import signal
import subprocess
import sys

import moved_cases


def serve(name):
    """A process that serves one case and logs through a Logger, to standard output."""
    import eventlet
    from eventlet import wsgi

    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("flask_site").disabled = True
    site, _ = moved_cases.CASES[name]
    sock = eventlet.listen(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    keywords = {**moved_cases.KEYWORDS, **moved_cases.OF_CASE.get(name, {})}
    application = importlib.import_module(site).application
    wsgi.server(sock, application, logging.getLogger("moved"), **keywords)


def record(name):
    server = subprocess.Popen(
        [sys.executable, __file__, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        answer = moved_cases.exchange(int(server.stdout.readline()), moved_cases.CASES[name][1])
    finally:
        server.send_signal(signal.SIGINT)  # eventlet logs ahead of the end of a connection
    lines = [line for line in server.communicate()[0].splitlines() if " - - [" in line]
    return {
        "answer": moved_cases.without_moments(answer),
        "log": [moved_cases.without_moments(line) for line in lines],
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        told = {name: record(name) for name in moved_cases.CASES}
        moved_cases.RECORDING.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
