# SPDX-License-Identifier: MIT
"""One server under measurement: started, asked whether it answers, its processor time and memory read."""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def found(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Server:
    """One server process, listening."""

    def __init__(self, name, work, processor, tls, *extra):
        self.name, self.tls = name, tls
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["taskset", "-c", processor, *self.command(work), *extra], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        self.stop()
        sys.exit(f"{name} did not start: {self.output()}")

    def command(self, work):
        pair = [os.path.join(work, "cert.pem"), os.path.join(work, "key.pem")] if self.tls else ["-", "-"]
        if self.name != "nginx":
            file = os.path.join(work, "1m") if self.name == "evy" else "-"
            return [os.path.join(work, self.name), str(self.port), *pair, file]
        with open(os.path.join(HERE, "servers", "nginx.conf.in"), encoding="utf-8") as file:
            text = file.read()
        folder = tempfile.mkdtemp(dir=work)
        os.link(os.path.join(work, "1m"), os.path.join(folder, "1m"))
        tls = "ssl_certificate {}; ssl_certificate_key {}; ssl_session_cache none;".format(*pair)
        values = {"DIR": folder, "PORT": str(self.port), "SSL": "ssl" if self.tls else "",
                  "TLS": tls if self.tls else "", "USER": "user root;" if os.getuid() == 0 else ""}
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return [found("nginx"), "-e", "stderr", "-c", path]

    def output(self):
        self.log.seek(0)
        return self.log.read().decode("latin-1")

    def processes(self):
        children = {}
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(entry)}/stat") as file:
                children.setdefault(int(file.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
        every, todo = [], [self.process.pid]
        while todo:
            every.append(todo.pop())
            todo += children.get(every[-1], [])
        return every

    def seconds(self):
        """Processor time so far; the number is the kernel's name for the clock of a whole process."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.processes())

    def memory(self):
        """KiB of memory of its own."""
        total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += int(re.search(r"Pss_Anon:\s+(\d+)", file.read()).group(1))
        return total

    def heap(self):
        """Bytes that malloc has given out; evy only."""
        if self.name != "evy":
            return None
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        return int(self.output().rsplit("HEAP ", 1)[1].split()[0])

    def stop(self):
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def answers(self, path, kind):
        """Asked once before it is measured: what it does not answer is no result."""
        plain = socket.create_connection(("127.0.0.1", self.port), 5)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) if self.tls else plain as connection:
            body = b"b" * 16384 if kind == "post" else b""
            head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            heard = b""
            while piece := connection.recv(1 << 16):
                heard += piece
        end = b"16384" if body else b"Hello, World!" if path not in ("/1m", "/1f") else b"x" * (1 << 20)
        return heard.startswith(b"HTTP/1.1 200") and heard.endswith(end)
