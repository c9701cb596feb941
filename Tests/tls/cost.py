# SPDX-License-Identifier: MIT
"""cost.py SERVER CERTIFICATE KEY - what strangers cost Examples/c/tls.c: memory, processor time."""
import os
import socket
import ssl
import subprocess
import sys

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A hello that claims the most OpenSSL takes, and brings 15,000 bytes of it.
STALLED = b"\x16\x03\x01\x40\x00\x01\x01\xff\xff" + bytes(15_000)


class Server:
    def __init__(self, command):
        self.process = subprocess.Popen(
            [*command, "0", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        urls = [self.process.stdout.readline() for _ in range(2)]
        self.ports = [int(url.strip("/\n").rpartition(":")[2]) for url in urls]
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor_ms(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def asked(self, tls):
        connection = socket.create_connection(("127.0.0.1", self.ports[0 if tls else 1]))
        if tls:
            connection = self.context.wrap_socket(connection)
        connection.sendall(GET)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        return connection

    def stalled(self):
        connection = socket.create_connection(("127.0.0.1", self.ports[0]))
        connection.sendall(STALLED)
        return connection


def main():
    server = Server(sys.argv[1:4])
    kept = [server.asked(tls) for tls in (True, False) for _ in range(50)]  # rooms that stay
    for name, make, count in (
        ("idle connection in clear text", lambda: server.asked(False), 1000),
        ("idle connection over TLS", lambda: server.asked(True), 1000),
        ("stalled hello of 15,000 bytes that claims 131,071", server.stalled, 300),
    ):
        before = server.resident_bytes()
        kept += [make() for _ in range(count)]
        server.asked(False).close()  # everything ahead of it has been looked at
        print(f"{name}: {(server.resident_bytes() - before) // count} bytes")
    before = server.processor_ms()
    for _ in range(500):
        server.asked(True).close()
    print(f"full handshake and one request: {(server.processor_ms() - before) / 500:.2f} ms of the server")
    server.process.kill()
    server.process.wait()


main()
