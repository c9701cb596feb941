# SPDX-License-Identifier: MIT
# test_curl - the same applications, asked by curl.

import hashlib
import json

from served import NUMBERS

UPLOAD = bytes(range(256)) * 8192  # 2 MiB: curl asks with Expect: 100-continue


def facts(body):
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_a_form_with_a_large_file(site, tmp_path):
    (tmp_path / "up.bin").write_bytes(UPLOAD)
    told = site.curl("-F", "note=n", "-F", f"file=@{tmp_path / 'up.bin'}", path="/upload")
    assert json.loads(told) == {"note": "n", "filename": "up.bin", **facts(UPLOAD)}


def test_a_chunked_upload_with_100_continue(site, tmp_path):
    (tmp_path / "up.bin").write_bytes(UPLOAD)
    fields = ["Transfer-Encoding: chunked", "Expect: 100-continue", "Content-Type: application/octet-stream"]
    heads = [word for field in fields for word in ("-H", field)]
    told = site.curl("-i", *heads, "--data-binary", f"@{tmp_path / 'up.bin'}", path="/raw")
    interim, _, rest = told.partition(b"\r\n\r\n")
    assert interim.startswith(b"HTTP/1.1 100 ")
    head, _, body = rest.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body) == facts(UPLOAD)


def test_a_stream_without_waiting_for_its_end(site):
    assert site.curl("-N", path="/stream").splitlines() == [b"line %d" % number for number in range(5)]


def test_http_1_0_is_told_the_end_by_the_close(site):
    told = site.curl("-i", "--http1.0", path="/stream")
    head, _, body = told.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.splitlines() == [b"line %d" % number for number in range(5)]


def test_cookies_in_a_jar(site, tmp_path):
    jar = tmp_path / "jar"
    told = [site.curl("-c", jar, "-b", jar, path="/visits") for _ in range(3)]
    assert told == [b"1\n", b"2\n", b"3\n"]


def test_redirects_are_followed_over_tls(secure_site):
    assert secure_site.curl("-L", path="/go") == b"Hello, World!\n"
    assert secure_site.curl("-L", "-d", "a=b", path="/go") == b"Hello, World!\n"


def test_static_file_over_tls(secure_site):
    assert secure_site.curl(path="/static/numbers.txt") == NUMBERS


def test_resumed_download(site_of, tmp_path):
    for name in ("flask", "falcon", "bottle"):
        part = tmp_path / f"{name}.txt"
        part.write_bytes(NUMBERS[:40_000])
        site_of(name).curl("-C", "-", "-o", part, path="/static/numbers.txt")
        assert part.read_bytes() == NUMBERS


def test_conditional_get(site, tmp_path):
    tag = site.curl("-I" if site.name != "falcon" else "-i", path="/static/numbers.txt").lower()
    assert b"last-modified:" in tag
    (tmp_path / "new").write_bytes(b"")  # as new as now
    newer = ["-z", tmp_path / "new", "-o", tmp_path / "out", "-w", "%{http_code}"]
    assert site.curl(*newer, path="/static/numbers.txt") == b"304"


def test_two_answers_on_one_connection(site):
    told = site.curl("-w", "%{num_connects} ", site.url + "/hello", path="/hello")
    assert told == b"Hello, World!\n1 Hello, World!\n0 "
