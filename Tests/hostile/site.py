# SPDX-License-Identifier: MIT
# site - a WSGI server in a process of its own: prints its ports, then what its post hooks saw.
#   site.py KEY CERTIFICATE OPTION=VALUE...

import collections
import json
import sys
import threading

import evy

PIECE = bytes(65536)
ends = collections.Counter()


class Nothing:
    def write(self, text):
        pass


def site(env, start_response):
    ends["begun"] += 1
    env["evy.posthooks"].append((lambda env: ends.update([env["evy.aborted"] or "complete"]), (), {}))
    path = env["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (PIECE for _ in range(80))
    if path == "/buffered":
        env["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [bytes(4_000_000)] if path == "/fixed" else [b"Hello, World!\r\n"]


def main():
    key, certificate, *rest = sys.argv[1:]
    options = {"max_size": 20000, "log": Nothing(), **dict(option.split("=") for option in rest)}
    doors = [evy.listen(("127.0.0.1", 0), backlog=4096) for _ in range(2)]
    ports = [door.getsockname()[1] for door in doors]
    doors[1] = evy.wrap_ssl(doors[1], key, certificate, server_side=True)
    server = evy.wsgi.Server(doors, site, **options)
    server.start()
    print(json.dumps(ports), flush=True)
    for line in sys.stdin:
        told = {"ends": ends, "threads": threading.active_count(), "stats": server.stats()._asdict()}
        print(json.dumps(told), flush=True)
    server.stop(0)
    server.join(10)
    print(json.dumps({"ends": ends}), flush=True)


main()
