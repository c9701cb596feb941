# SPDX-License-Identifier: MIT
# bottle_site - an application as Bottle's users write it.

from bottle import Bottle, redirect, request, response, static_file

from served import FOLDER, facts

application = Bottle()
SECRET = "only a test"


@application.get("/hello")
def hello():
    response.content_type = "text/plain"
    return "Hello, World!\n"


@application.get("/json")
def json():
    return {"name": "evy", "list": [1, 2, 3]}


@application.post("/json")
def json_back():
    return request.json


@application.post("/upload")
def upload():
    file = request.files.file
    return {"note": request.forms.note, "filename": file.raw_filename, **facts(file.file.read())}


@application.post("/raw")
def raw():
    return facts(request.body.read())


@application.get("/stream")
def stream():
    response.content_type = "text/plain"
    for number in range(5):
        yield f"line {number}\n"


@application.get("/visits")
def visits():
    count = int(request.get_cookie("visits", "0", secret=SECRET)) + 1
    response.set_cookie("visits", str(count), secret=SECRET)
    return f"{count}\n"


@application.get("/static/<name:path>")
def static(name):
    return static_file(name, root=FOLDER)


@application.get("/scheme")
def scheme():
    parts = request.urlparts
    return f"{parts.scheme} {parts.scheme == 'https'} {parts.scheme}://{parts.netloc}/hello"


@application.get("/go")
def go():
    redirect("/hello", 302)


@application.post("/go")
def go_on():
    redirect("/hello", 303)


@application.get("/echo/<rest:path>")
def echo(rest):
    return {"path": rest, "query": request.query.decode().getall("q")}


@application.get("/fail")
def fail():
    raise RuntimeError("bottle failed on purpose")


@application.error(404)
def missing(error):
    return "nothing here\n"
