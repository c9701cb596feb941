# SPDX-License-Identifier: MIT
# test_django - what Django adds: CSRF, FileResponse, compressed streams, signals.

import gzip
import re
import threading

import pytest
from client import wait_until
from served import NUMBERS


@pytest.fixture(params=["plain", "tls"])
def django_site(request, site_of):
    site = site_of("django", tls=request.param == "tls")
    site.session.cookies.clear()
    return site


def test_a_form_with_its_token(django_site):
    """Over TLS Django asks for the Referer too, because is_secure() is True there."""
    page = django_site.get("/form").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    fields = {"word": "gr\u00fc\u00dfe", "csrfmiddlewaretoken": token}
    sent = django_site.post("/form", data=fields, headers={"Referer": django_site.url + "/form"})
    assert sent.status_code == 200
    assert "gr\u00fc\u00dfe" in sent.text
    assert django_site.post("/form", data={"word": "x"}).status_code == 403
    without_referer = django_site.post("/form", data=fields)
    assert without_referer.status_code == (403 if django_site.is_tls else 200)


def test_file_response(django_site):
    answer = django_site.get("/download", headers={"Accept-Encoding": "identity"})
    assert answer.content == NUMBERS
    assert answer.headers["Content-Length"] == str(len(NUMBERS))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="numbers.txt"'


def test_a_compressed_stream(django_site):
    answer = django_site.get("/download", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(answer.raw.stream(decode_content=False))) == NUMBERS


def test_a_wrong_host_is_djangos_to_refuse(site_of):
    assert site_of("django").get("/hello", headers={"Host": "elsewhere.example"}).status_code == 400


def test_signals_tell_the_end_of_each_request(site_of):
    from django.core import signals

    seen, mine = [], threading.local()

    def begun(sender, environ, **_):
        mine.path = environ["PATH_INFO"]
        seen.append(("begun", mine.path))

    def over(sender, **_):
        # The end of an earlier test's request may still be to come: its client has had the answer.
        if getattr(mine, "path", None):
            seen.append(("over", mine.path))

    signals.request_started.connect(begun)
    signals.request_finished.connect(over)
    try:
        site_of("django").get("/stream")
        site_of("django").get("/fail")
        wait_until(lambda: len(seen) == 4, f"two requests in {seen}")
    finally:
        signals.request_started.disconnect(begun)
        signals.request_finished.disconnect(over)
    assert seen == [(event, path) for path in ("/stream", "/fail") for event in ("begun", "over")]
