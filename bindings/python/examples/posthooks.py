# SPDX-License-Identifier: MIT
"""A bill for what each client really got, also for one that left early: python examples/posthooks.py

Try: curl -s http://localhost:8090/ | head -c 1000000 > /dev/null
"""

import evy
from evy.web import wsgi

PIECE = b"x" * 65536
PIECES = 160


def bill(env, customer):
    # bytes_sent went to the kernel; of these the client's TCP acknowledged bytes_acked (None: not known).
    end = env["evy.aborted"] or "complete"
    print(customer, env["evy.bytes_sent"], env["evy.bytes_acked"], end, flush=True)


def download(env, start_response):
    env["evy.posthooks"].append((bill, (env["REMOTE_ADDR"],), {}))
    length = str(len(PIECE) * PIECES)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", length)])
    return (PIECE for _ in range(PIECES))


wsgi.server(evy.listen(("", 8090)), download)
