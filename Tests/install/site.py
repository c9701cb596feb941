# SPDX-License-Identifier: MIT
"""Drives a site program as its users would: site.py PROGRAM, in a folder with cert.pem, key.pem and 1m."""
import re
import socket
import ssl
import subprocess
import sys


def curl(port, path, *arguments):
    command = ["curl", "-s", "--cacert", "cert.pem", "--max-time", "20", *arguments]
    done = subprocess.run([*command, f"https://localhost:{port}{path}"], capture_output=True, check=True)
    return done.stdout


def upload(port, body):
    """Asks first; returns the fields of the 100 and the answer behind it."""
    context = ssl.create_default_context(cafile="cert.pem")
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            client.sendall((head + "Expect: 100-continue\r\nConnection: close\r\n\r\n").encode())
            interim = b""
            while not interim.endswith(b"\r\n\r\n"):
                interim += client.recv(1) or sys.exit("no 100 Continue")
            client.sendall(body)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            return interim, answer


def check(port):
    with open("1m", "rb") as whole:
        assert curl(port, "/file") == whole.read(), "the file arrives unchanged"
    assert curl(port, "/whoami") == b"nobody"
    assert curl(port, "/whoami", "--cert", "cert.pem", "--key", "key.pem") == b"CN=localhost"
    assert curl(port, "/else") == b"Not Found\r\n"
    interim, answer = upload(port, b"x" * 300_000)
    assert re.match(rb"HTTP/1\.1 100 Continue\r\nX-Upload: welcome\r\n", interim), interim
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n"), answer
    assert answer.endswith(b"\r\n\r\n300000 bytes\n"), answer


def main():
    program = [sys.argv[1], "cert.pem", "key.pem", "cert.pem", "1m"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            check(int(process.stdout.readline()))
        finally:
            process.terminate()


main()
