# SPDX-License-Identifier: MIT
# test_handover - a program binds a socket, children serve it, and are replaced under load: nobody notices.

import threading

import evy
from cli_harness import Load
from client import Connection, raw_request, wait_until

REPLACEMENTS = 4
LONG_SECONDS = 3

# A child: it serves the socket whose descriptor it is given until SIGTERM, and drains then.
CHILD = """
import os, socket, sys, time, evy
def site(env, start_response):
    body = bytes(200_000)
    if env['PATH_INFO'] != '/long':
        name = env['PATH_INFO'][1:]
        with open(name + '.new', 'w') as file:
            file.write(str(os.getpid()))
        os.rename(name + '.new', name)
        time.sleep(float(env['QUERY_STRING']))
        body = b'waited'
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
sock = socket.socket(fileno=int(sys.argv[1]))
server = evy.wsgi.server(sock, site, log_output=False, drain_delay=1, grace=600,
                         server_event=type('Event', (), {'send': lambda self, server: print('serves')})())
"""


def begin_long(port, folder, name):
    """A connection with a request of LONG_SECONDS, and the process id of the child that has it."""
    connection = Connection(port=port)
    connection.send(raw_request("GET", f"/{name}?{LONG_SECONDS}"))
    wait_until((folder / name).exists, "the long request")
    return connection, int((folder / name).read_text())


def test_children_are_replaced_under_load(program):
    """With a long request in flight at each stop, on new and on kept connections: nothing is refused, reset,
    cut or left unanswered, and the old child goes when its request has ended."""
    with evy.listen(("127.0.0.1", 0), backlog=1024) as sock:
        port = sock.getsockname()[1]

        def child():
            started = program(CHILD, sock.fileno(), pass_fds=[sock.fileno()])
            started.out.expect("^serves$")
            return started

        children = [child(), child()]
        with Load(port) as load:
            load.passed()
            for turn in range(REPLACEMENTS):
                connection, pid = begin_long(port, children[0].folder, f"turn{turn}")
                old = next(one for one in children if one.pid == pid)
                children = [one for one in children if one is not old] + [child()]
                old.process.terminate()
                load.passed(20)
                assert connection.response().body == b"waited"
                connection.close()
                # Far ahead of the end of its grace.
                assert old.ended() == 0 and not old.err.matching("Traceback"), old.err.lines
                load.passed()
    assert not load.refused, load.refused[:3]
    assert not load.cut, load.cut[:3]
    assert not load.unanswered_fresh and not load.unanswered_kept
    assert load.answered > 100 and load.bodies == {bytes(40)}


def test_a_stuck_handler_is_cut_at_the_deadline(serve):
    """Its client is let go at once. The handler itself cannot be ended by anybody: its hooks, and the end of
    the server, come with its return."""
    is_in, may_go, hooks = threading.Event(), threading.Event(), []

    def site(env, start_response):
        env["evy.posthooks"].append((hooks.append, (), {}))
        is_in.set()
        may_go.wait(30)
        start_response("200 OK", [])
        return [b"too late"]

    server = serve(site)
    with Connection(server) as stuck:
        stuck.send(raw_request("GET", "/"))
        assert is_in.wait(10)
        server.stop(0.2)
        assert stuck.ending()[0] == b""
    assert not server.join(0.1) and not hooks
    may_go.set()
    assert server.join(10)
    assert [env["evy.aborted"] for env in hooks] == ["shutdown"]
    assert not server.log.matching("Traceback")
