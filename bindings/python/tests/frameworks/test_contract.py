# SPDX-License-Identifier: MIT
# test_contract - what every framework promises its users, asked by requests.

import hashlib
import json
import threading

import pytest
import requests
from served import NUMBERS

UPLOAD = bytes(range(256)) * 1200  # 300 KiB, beyond every buffer's first size


def facts(body):
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_hello(site):
    answer = site.get("/hello")
    assert (answer.status_code, answer.text) == (200, "Hello, World!\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Length"] == "14"


def test_head_has_the_length_and_no_body(site):
    answer = site.request("HEAD", "/hello")
    assert (answer.status_code, answer.content) == (200, b"")
    # The next answer on the connection is read right, so no byte of a body went out.
    assert site.get("/hello").text == "Hello, World!\n"


def test_json_both_ways(site):
    assert site.get("/json").json() == {"name": "evy", "list": [1, 2, 3]}
    sent = {"text": "h\u00e9, \u4e16\u754c", "deep": [{"a": None}, True, 1.5]}
    answer = site.post("/json", json=sent)
    assert answer.json() == sent
    assert answer.headers["Content-Type"].startswith("application/json")


def test_upload_of_a_large_file(site):
    answer = site.post("/upload", data={"note": "a note"}, files={"file": ("a file.bin", UPLOAD)})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"note": "a note", "filename": "a file.bin", **facts(UPLOAD)}


def test_raw_body(site):
    assert site.post("/raw", data=UPLOAD).json() == facts(UPLOAD)
    assert site.post("/raw", data=b"").json() == facts(b"")


def test_chunked_upload(site):
    pieces = [UPLOAD[at : at + 10_000] for at in range(0, len(UPLOAD), 10_000)]
    answer = site.post("/raw", data=iter(pieces), headers={"Content-Type": "application/octet-stream"})
    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    assert answer.json() == facts(UPLOAD)


def test_chunked_form(site):
    """Frameworks look at CONTENT_LENGTH first, so the server has to give one."""
    prepared = requests.Request("POST", site.url, data={"note": "n"}, files={"file": ("f", UPLOAD)}).prepare()
    body, kind = prepared.body, prepared.headers["Content-Type"]
    pieces = (body[at : at + 7000] for at in range(0, len(body), 7000))
    answer = site.post("/upload", data=pieces, headers={"Content-Type": kind})
    assert answer.json() == {"note": "n", "filename": "f", **facts(UPLOAD)}


def test_streamed_answer(site):
    with site.get("/stream", stream=True) as answer:
        assert [line for line in answer.iter_lines()] == [b"line %d" % number for number in range(5)]
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers
    assert site.get("/hello").status_code == 200


def test_sessions_are_each_visitors_own(site):
    assert [site.get("/visits").text for _ in range(3)] == ["1\n", "2\n", "3\n"]
    assert site.session.cookies
    site.session.cookies.clear()
    assert site.get("/visits").text == "1\n"


def test_static_file(site):
    answer = site.get("/static/numbers.txt", headers={"Accept-Encoding": "identity"})
    assert answer.content == NUMBERS
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Length"] == str(len(NUMBERS))
    assert site.get("/static/none.txt").status_code == 404


def test_conditional_get(site):
    first = site.get("/static/numbers.txt")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    again = site.get("/static/numbers.txt", headers=since)
    assert (again.status_code, again.content) == (304, b"")
    if "ETag" in first.headers:
        again = site.get("/static/numbers.txt", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    # A 304 has no body, so the connection goes on.
    assert site.get("/hello").text == "Hello, World!\n"


def test_range(site):
    answer = site.get("/static/numbers.txt", headers={"Range": "bytes=8000-8799"})
    if site.name in ("django", "werkzeug"):
        # django.views.static and SharedDataMiddleware answer with the whole file, as a server may.
        assert (answer.status_code, answer.content) == (200, NUMBERS)
        return
    assert (answer.status_code, answer.content) == (206, NUMBERS[8000:8800])
    assert answer.headers["Content-Range"] == f"bytes 8000-8799/{len(NUMBERS)}"
    last = site.get("/static/numbers.txt", headers={"Range": "bytes=-8"})
    assert (last.status_code, last.content) == (206, NUMBERS[-8:])
    beyond = site.get("/static/numbers.txt", headers={"Range": "bytes=900000-"})
    assert beyond.status_code == 416


def test_scheme(site, secure_site):
    assert site.get("/scheme").text == f"http False {site.url}/hello"
    assert secure_site.get("/scheme").text == f"https True {secure_site.url}/hello"


def test_redirects(site):
    answer = site.get("/go")
    assert ([one.status_code for one in answer.history], answer.text) == ([302], "Hello, World!\n")
    answer = site.post("/go", data={"a": "b"})
    assert ([one.status_code for one in answer.history], answer.text) == ([303], "Hello, World!\n")


def test_paths_and_queries_in_utf8(site):
    answer = site.get("/echo/gr\u00fc\u00dfe/%E4%B8%96 %2Fa", params={"q": ["\u00e9", "a b&c"]})
    assert json.loads(answer.text) == {"path": "gr\u00fc\u00dfe/\u4e16 /a", "query": ["\u00e9", "a b&c"]}


def test_error_pages(site):
    missing = site.get("/missing")
    assert missing.status_code == 404
    if site.name in ("flask", "bottle"):
        assert missing.text == "nothing here\n"
    failed = site.get("/fail")
    assert failed.status_code == 500
    assert "on purpose" not in failed.text
    # Whatever the application made of the failure, the next request is served.
    assert site.get("/hello").status_code == 200


def test_wrong_method_is_refused(site):
    answer = site.request("PATCH", "/upload")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_many_at_once(site, secure_site, tls):
    chosen, failures = (secure_site if tls else site), []

    def visitor(number):
        body = b"%d" % number * 20_000
        try:
            with requests.Session() as session:
                session.verify, session.trust_env = chosen.certificate, False
                for _ in range(5):
                    answer = session.post(chosen.url + "/raw", data=body, timeout=20)
                    assert answer.json() == facts(body)
                    assert session.get(chosen.url + "/stream", timeout=20).text.count("line") == 5
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=visitor, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
