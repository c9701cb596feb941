# SPDX-License-Identifier: MIT
# programs - Python programs in processes of their own, logs that can be waited for, free ports.
"""Everything waits on conditions with a deadline, PATIENCE seconds; nothing sleeps on the off chance."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import sysconfig
import threading

from client import PATIENCE, free_port, wait_until

# Free-threaded builds have only the way through ctypes, as other interpreters have.
HAS_BRIDGE = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
PACKAGE = pathlib.Path(__file__).resolve().parent.parent


class Lines:
    """Lines in the order in which they came."""

    def __init__(self):
        self.lines = []

    def matching(self, pattern):
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def expect(self, pattern, count=1):
        """Waits for so many lines that match; one line, or a list when count > 1. There is more to
        be done for several, such as to start processes; no grace of thirty seconds ends meanwhile."""
        wait_until(
            lambda: len(self.matching(pattern)) >= count,
            lambda: f"{count} x {pattern!r} in {self.lines[-20:]}",
            PATIENCE * min(count, 2),
        )
        found = self.matching(pattern)
        return found[0] if count == 1 else found


class Log(Lines):
    """A file-like object for the parameter `log`."""

    def write(self, text):
        assert text.endswith("\n")
        self.lines += text[:-1].split("\n")

    def access(self, count=1):
        """Access lines, waited for."""
        return self.expect(r"^\S+ - - \[", count)


class Program:
    """A Python program; `out` and `err` collect its lines."""

    def __init__(self, path, text, arguments=(), cwd=None, **keywords):
        path.write_text(text)
        environ = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, path, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            cwd=cwd or path.parent,
            # A shell that runs the tests in the background has them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **keywords,
        )
        self.pid = self.process.pid
        self.folder = pathlib.Path(cwd or path.parent)
        self.out, self.err = Lines(), Lines()
        self.readers = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self.readers:
            reader.start()

    def _collect(self, stream, lines):
        with stream:
            for line in stream:
                lines.lines.append(line.rstrip("\n"))

    def end(self, number=signal.SIGINT):
        """Sends the signal, None: none; waits for the end; the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self):
        code = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.ended()

    def resident_bytes(self):
        fields = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
