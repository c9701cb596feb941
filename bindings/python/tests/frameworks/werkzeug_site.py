# SPDX-License-Identifier: MIT
# werkzeug_site - an application on Werkzeug alone, with its routing and its middlewares.

import json as json_module

from werkzeug.exceptions import HTTPException
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from served import FOLDER, facts


def json_response(value):
    return Response(json_module.dumps(value), mimetype="application/json")


def hello(request):
    return Response("Hello, World!\n", mimetype="text/plain")


def json(request):
    if request.method == "POST":
        return json_response(request.get_json())
    return json_response({"name": "evy", "list": [1, 2, 3]})


def upload(request):
    file = request.files["file"]
    return json_response({"note": request.form["note"], "filename": file.filename, **facts(file.read())})


def raw(request):
    return json_response(facts(request.stream.read()))


def stream(request):
    return Response((f"line {number}\n" for number in range(5)), mimetype="text/plain")


def visits(request):
    count = int(request.cookies.get("visits", 0)) + 1
    response = Response(f"{count}\n")
    response.set_cookie("visits", str(count))
    return response


def scheme(request):
    return Response(f"{request.scheme} {request.is_secure} {request.host_url}hello")


def go(request):
    return redirect("/hello", 303 if request.method == "POST" else 302)


def echo(request, rest):
    return json_response({"path": rest, "query": request.args.getlist("q")})


def fail(request):
    raise RuntimeError("werkzeug failed on purpose")


PAGES = (hello, json, stream, visits, scheme, go, fail)
ROUTES = Map(
    [
        *(Rule(f"/{view.__name__}", endpoint=view) for view in PAGES),
        *(Rule(f"/{view.__name__}", endpoint=view, methods=["POST"]) for view in (upload, raw)),
        Rule("/echo/<path:rest>", endpoint=echo),
    ]
)


@Request.application
def routed(request):
    try:
        view, arguments = ROUTES.bind_to_environ(request.environ).match()
        return view(request, **arguments)
    except HTTPException as error:
        return error


application = SharedDataMiddleware(routed, {"/static": str(FOLDER)})
