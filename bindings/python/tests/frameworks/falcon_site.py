# SPDX-License-Identifier: MIT
# falcon_site - an application as Falcon's users write it.

import falcon

from served import FOLDER, facts


class Hello:
    def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Hello, World!\n"

    on_head = on_get


class Json:
    def on_get(self, req, resp):
        resp.media = {"name": "evy", "list": [1, 2, 3]}

    def on_post(self, req, resp):
        resp.media = req.get_media()


class Upload:
    def on_post(self, req, resp):
        answer = {}
        for part in req.get_media():
            if part.name == "file":
                answer.update(filename=part.filename, **facts(part.stream.read()))
            else:
                answer[part.name] = part.text
        resp.media = answer


class Raw:
    def on_post(self, req, resp):
        resp.media = facts(req.bounded_stream.read())


class Stream:
    def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = (f"line {number}\n".encode() for number in range(5))


class Visits:
    def on_get(self, req, resp):
        visits = int(req.cookies.get("visits", 0)) + 1
        resp.set_cookie("visits", str(visits), secure=False)
        resp.text = f"{visits}\n"


class Scheme:
    def on_get(self, req, resp):
        resp.text = f"{req.scheme} {req.scheme == 'https'} {req.prefix}/hello"


class Go:
    def on_get(self, req, resp):
        raise falcon.HTTPFound("/hello")

    def on_post(self, req, resp):
        raise falcon.HTTPSeeOther("/hello")


class Echo:
    def on_get(self, req, resp, rest):
        resp.media = {"path": rest, "query": req.get_param_as_list("q")}


class Fail:
    def on_get(self, req, resp):
        raise RuntimeError("falcon failed on purpose")


application = falcon.App()
application.add_static_route("/static", str(FOLDER))
for route, resource in (
    ("/hello", Hello()),
    ("/json", Json()),
    ("/upload", Upload()),
    ("/raw", Raw()),
    ("/stream", Stream()),
    ("/visits", Visits()),
    ("/scheme", Scheme()),
    ("/go", Go()),
    ("/echo/{rest:path}", Echo()),
    ("/fail", Fail()),
):
    application.add_route(route, resource)
