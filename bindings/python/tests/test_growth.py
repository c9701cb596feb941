# SPDX-License-Identifier: MIT
# test_growth - memory stays where it is, however many requests come.

import os

from client import Connection, raw_request
from programs import HAS_BRIDGE

GROWTH = """
import evy, gc
class Nothing:
    def write(self, text): pass
count = [0]
def site(env, start_response):
    env['evy.posthooks'].append((lambda env: count.__setitem__(0, count[0] + 1), (), {}))
    body = env['wsgi.input'].read()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [body] if env['QUERY_STRING'] == 'list' else iter([body, b'end'])
sock = evy.listen(('127.0.0.1', 0))
print(sock.getsockname()[1])
evy.wsgi.server(sock, site, log=Nothing())
print(count[0])
"""

# A tracing collector and a JIT compiler take their time to settle, and leave garbage lying for a while; so do
# threads that free each other's objects.
IS_TRACING = not HAS_BRIDGE
GROWTH_BYTES_MAX = 16 << 20 if IS_TRACING else 1 << 20


def test_memory_stays_where_it_is(program):
    """EVY_GROWTH_REQUESTS says how many requests; half of them are answered by a generator."""
    total = int(os.environ.get("EVY_GROWTH_REQUESTS", "10000"))
    run = program(GROWTH)
    port = int(run.out.expect(r"^\d+$"))
    batch = b"".join(raw_request("POST", f"/?{kind}", body=b"x" * 100) for kind in ("list", "iter")) * 10

    def load(requests):
        client = Connection(port=port)
        for _ in range(requests // 20):
            client.send(batch)
            for _ in range(20):
                assert client.response().status == 200
        client.close()

    asked = total * 5 if IS_TRACING else total // 5
    load(asked)
    growths = []
    # On a busy machine a thread may take its first turn late, and with it memory of its own, once.
    while len(growths) < 5 and (not growths or growths[-1] >= GROWTH_BYTES_MAX):
        before = run.resident_bytes()
        load(total)
        asked += total
        growths.append(run.resident_bytes() - before)
    assert growths[-1] < GROWTH_BYTES_MAX, f"{growths} bytes over {total} requests each"
    assert run.end() == 0
    assert run.out.lines[-1] == str(asked)
