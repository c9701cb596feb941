# SPDX-License-Identifier: MIT
# swift_like_site - an object store in small, written for eventlet.wsgi in the way of OpenStack Swift.
"""What such services use of eventlet beyond WSGI: eventlet.posthooks, headers_raw, 100 Continue more than
once and with headers of their own, eventlet.minimum_write_chunk_size."""

import hashlib
import json

STORE = {}
FINISHED = []
# These tell the machine or the moment, so no recording could hold them.
CHANGING = {"REMOTE_PORT", "SERVER_PORT", "HTTP_HOST"}
# What evy tells beyond eventlet.
ADDED = {"RAW_URI", "REQUEST_URI", "SERVER_SOFTWARE"}
KEYS = ("eventlet.input", "eventlet.posthooks", "eventlet.set_idle", "wsgi.errors", "wsgi.input")


def trans_id(application):
    """The middleware: an id on every answer, and a note when it was sent."""

    def site(env, start_response):
        number = env.get("HTTP_X_TRANS_ID_EXTRA", "none")
        env["eventlet.posthooks"].append((finished, (number,), {"kind": env["REQUEST_METHOD"]}))

        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("x-trans-id", f"tx-{number}")], exc_info)

        return application(env, start)

    return site


def finished(env, number, kind):
    FINISHED.append(f"{kind} {env['PATH_INFO']} {number}")


def answer(start_response, body, kind="text/plain", status="200 OK"):
    start_response(status, [("content-type", kind), ("content-length", str(len(body)))])
    return [body]


def put(env, start_response):
    source = env["wsgi.input"]
    if env.get("HTTP_X_BACKEND_OBJ_METADATA_FOOTER"):
        source.set_hundred_continue_response_headers([("x-obj-metadata-footer", "yes"), ("X-Second", "2")])
    digest, size = hashlib.md5(), 0
    while piece := source.read(4):
        digest.update(piece)
        size += len(piece)
    if env.get("HTTP_X_BACKEND_OBJ_MULTIPHASE_COMMIT"):
        source.set_hundred_continue_response_headers([("x-obj-multiphase", "commit")])
        source.send_hundred_continue_response()
    STORE[env["PATH_INFO"]] = size
    start_response("201 Created", [("etag", digest.hexdigest()), ("Content-Length", "0")])
    return []


def refuse(env, start_response):
    """Answers without reading the body that the client holds back."""
    return answer(start_response, b"no room\n", status="507 Insufficient Storage")


def stream(env, start_response):
    if env.get("QUERY_STRING"):
        env["eventlet.minimum_write_chunk_size"] = int(env["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (b"s" * size for size in (10, 0, 100, 5000, 1, 1))


def written(env, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one ")
    write(b"two ")
    return [b"three\n"]


def environ(env, start_response):
    left_out = CHANGING | ADDED
    told = {key: value for key, value in env.items() if key not in left_out and "." not in key}
    told["headers_raw"] = [pair for pair in env["headers_raw"] if pair[0].lower() != "host"]
    told["keys"] = [key for key in KEYS if key in env]
    told["scheme"] = [env["wsgi.url_scheme"], list(env["wsgi.version"]), env["wsgi.run_once"]]
    return answer(start_response, json.dumps(told, sort_keys=True, indent=1).encode(), "application/json")


def body(env, start_response):
    lines = list(iter(env["wsgi.input"].readline, b""))
    return answer(start_response, json.dumps([line.decode() for line in lines]).encode(), "application/json")


def hooks(env, start_response):
    said, FINISHED[:] = "\n".join(FINISHED), []
    return answer(start_response, said.encode())


def fail(env, start_response):
    raise RuntimeError("on purpose")


def fail_late(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"l" * 5000
    raise RuntimeError("on purpose, in the midst of it")


def text(env, start_response):
    start_response("200 OK", [("content-type", "text/plain"), ("x-a_b-c", "1"), ("ETAG", "e")])
    return ["a str, not bytes\n"]


def nothing(env, start_response):
    start_response("204 No Content", [("X-Meta", "kept")])
    return []


def route(env, start_response):
    path = env["PATH_INFO"]
    views = {
        "/stream": stream,
        "/environ": environ,
        "/body": body,
        "/hooks": hooks,
        "/fail": fail,
        "/fail-late": fail_late,
        "/text": text,
        "/nothing": nothing,
        "/written": written,
    }
    if path.startswith("/environ/"):
        return environ(env, start_response)
    if path in views:
        return views[path](env, start_response)
    if env["REQUEST_METHOD"] == "PUT":
        return (refuse if path.startswith("/full") else put)(env, start_response)
    if path in STORE:
        return answer(start_response, b"%d bytes\n" % STORE[path])
    return answer(start_response, b"no such object\n", status="404 Not Found")


application = trans_id(route)
