# SPDX-License-Identifier: MIT
# test_flask - what Flask and Werkzeug add: contexts, files, proxies, mounts, the debugger.

import io
import ssl

import flask
import httpx
from client import wait_until
from served import FOLDER, NUMBERS
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix


def test_a_stream_keeps_its_request_context_and_is_closed_when_the_client_leaves(run_site):
    application = flask.Flask("streaming")
    ended = []

    @application.get("/")
    def endless():
        @flask.stream_with_context
        def pieces():
            try:
                while True:
                    yield flask.request.args["word"] * 1000
            finally:
                ended.append(flask.request.args["word"])

        return pieces()

    site = run_site("streaming", application)
    with httpx.stream("GET", site.url + "/?word=evy", timeout=20, trust_env=False) as answer:
        assert next(answer.iter_bytes()).startswith(b"evyevy")
    wait_until(lambda: ended == ["evy"], "the generator's end")


def test_after_request_teardown_and_call_on_close_run_once(run_site):
    application = flask.Flask("ends")
    order = []
    application.after_request(lambda response: order.append("after") or response)
    application.teardown_request(lambda error: order.append("teardown"))

    @application.get("/")
    def index():
        response = flask.Response("x")
        response.call_on_close(lambda: order.append("close"))
        flask.request.environ["evy.posthooks"].append((lambda env: order.append("hook"), (), {}))
        return response

    site = run_site("ends", application)
    assert site.get("/").text == "x"
    wait_until(lambda: "hook" in order, "the hook")
    assert sorted(order[:-1]) == ["after", "close", "teardown"]
    assert order[-1] == "hook"


def test_send_file_from_memory_and_from_disk(run_site):
    application = flask.Flask("files")

    @application.get("/memory")
    def memory():
        return flask.send_file(io.BytesIO(NUMBERS), mimetype="text/plain", etag="fixed")

    @application.get("/disk")
    def disk():
        return flask.send_file(FOLDER / "numbers.txt", as_attachment=True, conditional=True)

    site = run_site("files", application)
    for path in ("/memory", "/disk"):
        assert site.get(path).content == NUMBERS
    cut = site.get("/disk", headers={"Range": "bytes=800-1599"})
    assert (cut.status_code, cut.content) == (206, NUMBERS[800:1600])
    disk = site.get("/disk")
    assert disk.headers["Content-Disposition"] == "attachment; filename=numbers.txt"
    assert site.get("/disk", headers={"If-None-Match": disk.headers["ETag"]}).status_code == 304


def test_secure_cookies_and_flashes_over_tls(run_site):
    application = flask.Flask("secure")
    application.secret_key = "only a test"
    application.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Strict")

    @application.get("/say/<word>")
    def say(word):
        flask.flash(word)
        flask.session["big"] = "b" * 2000
        return "said"

    @application.get("/heard")
    def heard():
        return " ".join(flask.get_flashed_messages())

    site = run_site("secure", application, tls=True)
    site.get("/say/one")
    site.get("/say/two")
    assert site.get("/heard").text == "one two"
    assert site.get("/heard").text == ""


def test_limits_of_a_body(run_site):
    application = flask.Flask("limits")
    application.config["MAX_CONTENT_LENGTH"] = 100_000

    @application.post("/")
    def take():
        return str(len(flask.request.form["text"]))

    site = run_site("limits", application)
    assert site.post("/", data={"text": "a" * 50_000}).text == "50000"
    refused = site.post("/", data={"text": "a" * 200_000}, headers={"Connection": "close"})
    assert refused.status_code == 413


def test_mounted_applications_see_their_script_name(run_site):
    mounted = flask.Flask("mounted")
    mounted.add_url_rule("/where", "where", lambda: flask.url_for("where", _external=True))
    front = flask.Flask("front")
    front.add_url_rule("/where", "where", lambda: flask.url_for("where", _external=True))
    site = run_site("mounts", DispatcherMiddleware(front, {"/deep": mounted}))
    assert site.get("/where").text == site.url + "/where"
    assert site.get("/deep/where").text == site.url + "/deep/where"


def test_behind_a_proxy(run_site):
    application = flask.Flask("proxied")

    @application.get("/")
    def index():
        return f"{flask.request.remote_addr} {flask.request.url}"

    site = run_site("proxied", ProxyFix(application, x_for=1, x_proto=1, x_host=1))
    fields = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    assert site.get("/", headers=fields).text == "192.0.2.7 https://shop.example/"


def test_an_error_is_logged_through_wsgi_errors_and_the_connection_goes_on(run_site):
    application = flask.Flask("failing")

    @application.get("/")
    def index():
        raise LookupError("nobody has this")

    # Without this, the handlers of pytest would be enough for Flask.
    application.logger.addHandler(flask.logging.default_handler)
    errors = io.StringIO()
    site = run_site("failing", application, environ={"wsgi.errors": errors})
    assert [site.get("/").status_code for _ in range(3)] == [500, 500, 500]
    assert errors.getvalue().count("LookupError: nobody has this") == 3


def test_the_debugger_shows_the_traceback(run_site):
    application = flask.Flask("debugged")
    application.config["PROPAGATE_EXCEPTIONS"] = True

    @application.get("/")
    def index():
        raise LookupError("look at this")

    site = run_site("debugged", DebuggedApplication(application, evalex=False))
    answer = site.get("/")
    assert answer.status_code == 500
    assert "LookupError: look at this" in answer.text


def test_several_requests_in_one_httpx_client(site_of):
    site = site_of("flask")
    with httpx.Client(base_url=site.url, trust_env=False, timeout=20) as client:
        for _ in range(3):
            assert client.get("/hello").text == "Hello, World!\n"
            sent = client.post("/upload", data={"note": "x"}, files={"file": ("f", b"f" * 100_000)})
            assert sent.json()["size"] == 100_000
    secure = site_of("flask", tls=True)
    context = ssl.create_default_context(cafile=secure.certificate)
    with httpx.Client(base_url=secure.url, verify=context, trust_env=False, timeout=20) as client:
        assert client.get("/scheme").text.startswith("https True")
