# SPDX-License-Identifier: MIT
"""A server beside asyncio: python examples/embedded.py"""

import asyncio
import collections
import signal

import evy
from evy.web import wsgi


async def main():
    loop = asyncio.get_running_loop()
    visits = collections.Counter()
    over = asyncio.Event()

    async def count(path):
        visits[path] += 1
        return visits[path]

    def application(env, start_response):
        # On a thread of the server: what belongs to the loop is asked of the loop.
        number = asyncio.run_coroutine_threadsafe(count(env["PATH_INFO"]), loop).result(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"visit %d\r\n" % number]

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, over.set)
    server = wsgi.Server(evy.listen(("", 8090)), application, threads=8).start()
    await over.wait()
    server.stop(5)
    # Requests that still run need the loop, so it must not wait for them itself.
    await asyncio.to_thread(server.join)


asyncio.run(main())
