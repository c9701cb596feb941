# SPDX-License-Identifier: MIT
# test_wrapped_files - wsgi.file_wrapper: by the kernel where it can be, read where it must be.

import gzip
import io
import os
import tempfile

import pytest
from client import Connection, Reset, pattern, wait_until

SIZE = 3_000_000


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(pattern(SIZE))
    return file


def answer(serve, open_file, headers=(), method="GET", **keywords):
    """The answer of a site that returns the wrapped file, and the file."""
    files = []

    def site(env, start_response):
        start_response("200 OK", list(headers))
        files.append(open_file())
        return env["wsgi.file_wrapper"](files[0], 4096)

    with Connection(serve(site, **keywords)) as connection:
        found = connection.request(method, "/")
    return found, files[0]


@pytest.mark.parametrize("threads", [8, 1])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_file_is_sent_with_its_length_and_closed(serve, path, tls, threads):
    found, file = answer(serve, lambda: open(path, "rb"), tls=tls, threads=threads)
    assert (found.body, found["Content-Length"], found.framing) == (pattern(SIZE), str(SIZE), "length")
    wait_until(lambda: file.closed, "close() of the file")


def opened_at(path, position, buffering=-1):
    file = open(path, "rb", buffering)
    file.seek(position - 10)
    file.read(10)
    return file


@pytest.mark.parametrize("buffering", [-1, 0], ids=["buffered", "raw"])
def test_from_the_position_on(serve, path, buffering):
    found, _ = answer(serve, lambda: opened_at(path, 1_000_000, buffering))
    assert found.body == pattern(SIZE)[1_000_000:]


def test_content_length_is_respected(serve, path):
    found, _ = answer(serve, lambda: opened_at(path, 500), [("Content-Length", "700")])
    assert found.body == pattern(SIZE)[500:1200]
    with pytest.raises(Exception) as caught:
        answer(serve, lambda: opened_at(path, SIZE - 5), [("Content-Length", "700")])
    assert isinstance(caught.value, Reset) or caught.value.args[0] == pattern(SIZE)[-5:]


def test_an_empty_file_and_head(serve, tmp_path, path):
    (tmp_path / "empty").touch()
    found, _ = answer(serve, lambda: open(tmp_path / "empty", "rb"))
    assert (found.body, found["Content-Length"]) == (b"", "0")
    found, file = answer(serve, lambda: open(path, "rb"), method="HEAD")
    assert found["Content-Length"] == str(SIZE)
    wait_until(lambda: file.closed, "close() of the file")


def kernel_files():
    """Their sizes say nothing: 0 in /proc, a page in /sys."""
    yield "/proc/self/limits"
    for path in ("/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/profiling", "/sys/kernel/notes"):
        if os.access(path, os.R_OK) and os.stat(path).st_size > len(open(path, "rb").read()):
            yield path
            return


@pytest.mark.parametrize("path", kernel_files())
def test_a_file_of_the_kernel_is_read(serve, path):
    found, _ = answer(serve, lambda: open(path, "rb"))
    with open(path, "rb") as file:
        assert found.status == 200 and found.body == file.read() and found.body


def test_a_hole_is_as_long_as_the_file_says(serve, tmp_path):
    path = tmp_path / "hole"
    path.touch()
    os.truncate(path, SIZE)
    found, _ = answer(serve, lambda: open(path, "rb"))
    assert (found.body, found["Content-Length"]) == (bytes(SIZE), str(SIZE))


def temporary():
    file = tempfile.NamedTemporaryFile()
    file.write(b"one two three")
    file.seek(4)
    return file


def pipe():
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    return os.fdopen(reader, "rb")


class Readable:
    """The least that can be wrapped: nothing but read()."""

    def __init__(self):
        self.blocks = [b"a", b"bc", b""]

    def read(self, size):
        assert size == 4096
        return self.blocks.pop(0)


@pytest.mark.parametrize(
    "make, body",
    [
        (lambda path: temporary(), b"two three"),
        (lambda path: io.BytesIO(b"in memory"), b"in memory"),
        (lambda path: pipe(), b"from a pipe"),
        (lambda path: Readable(), b"abc"),
        (lambda path: gzip.open(zipped(path)), b"unzipped"),
        (lambda path: open(path, encoding="latin-1", newline=""), None),
    ],
    ids=["temporary", "memory", "pipe", "read-only", "gzip", "text"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whatever_can_be_read(serve, path, make, body):
    if body is None:
        path.write_text("plain ascii")
        body = b"plain ascii"
    found, _ = answer(serve, lambda: make(path))
    assert found.body == body


def zipped(path):
    with gzip.open(path, "wb") as file:
        file.write(b"unzipped")
    return path


def test_iterated_by_a_middleware(serve, path):
    def site(env, start_response):
        start_response("200 OK", [])
        wrapper = env["wsgi.file_wrapper"](open(path, "rb"))
        return (block for block in wrapper)

    with Connection(serve(site)) as connection:
        found = connection.get("/")
    assert found.body == pattern(SIZE) and found.framing == "chunked"


def test_written_first_then_the_file(serve, path):
    def site(env, start_response):
        write = start_response("200 OK", [("Content-Length", str(SIZE + 5))])
        write(b"first")
        return env["wsgi.file_wrapper"](open(path, "rb"))

    with Connection(serve(site)) as connection:
        assert connection.get("/").body == b"first" + pattern(SIZE)


def test_a_closed_file_is_the_applications_error(serve, path):
    def site(env, start_response):
        start_response("200 OK", [])
        file = open(path, "rb")
        file.close()
        return env["wsgi.file_wrapper"](file)

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").status == 500
    server.log.expect("closed file")
