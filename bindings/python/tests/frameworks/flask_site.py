# SPDX-License-Identifier: MIT
# flask_site - an application as Flask's users write it.

from flask import Flask, jsonify, redirect, request, send_from_directory, session, url_for

from served import FOLDER, facts

application = Flask(__name__, static_folder=None)
application.secret_key = "only a test"


@application.get("/hello")
def hello():
    return "Hello, World!\n", {"Content-Type": "text/plain"}


@application.route("/json", methods=["GET", "POST"])
def json():
    return jsonify(request.get_json() if request.method == "POST" else {"name": "evy", "list": [1, 2, 3]})


@application.post("/upload")
def upload():
    file = request.files["file"]
    return {"note": request.form["note"], "filename": file.filename, **facts(file.read())}


@application.post("/raw")
def raw():
    return facts(request.get_data())


@application.get("/stream")
def stream():
    def lines():
        for number in range(5):
            yield f"line {number}\n"

    return lines(), {"Content-Type": "text/plain"}


@application.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return f"{session['visits']}\n"


@application.get("/static/<path:name>")
def static(name):
    return send_from_directory(FOLDER, name)


@application.get("/scheme")
def scheme():
    return f"{request.scheme} {request.is_secure} {url_for('hello', _external=True)}"


@application.route("/go", methods=["GET", "POST"])
def go():
    return redirect(url_for("hello"), 303 if request.method == "POST" else 302)


@application.get("/echo/<path:rest>")
def echo(rest):
    return jsonify(path=rest, query=request.args.getlist("q"))


@application.get("/fail")
def fail():
    raise RuntimeError("flask failed on purpose")


@application.errorhandler(404)
def missing(error):
    return "nothing here\n", 404
