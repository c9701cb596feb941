# SPDX-License-Identifier: MIT
# test_shortage - a process that gets no more threads while an application keeps the interpreter lock.

import os
import socket
import subprocess
import sys

import pytest
from client import PATIENCE, wait_until

# Ahead of libc's: no thread is made while there is a file EVY_NO_THREADS, which gets a byte for each.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *with) {
    create *real = (create *)dlsym(RTLD_NEXT, "pthread_create");
    int file = open(getenv("EVY_NO_THREADS"), O_WRONLY | O_APPEND);
    if (file < 0) return real(thread, how, work, with);
    int written = write(file, "x", 1) == 1;
    close(file);
    return written ? EAGAIN : EIO;
}
"""
# One thread is lent, and the library would make the others, as for hosts other than this package. The handler
# waits in C code with the lock held.
PROGRAM = """
import ctypes, os, sys, evy
from evy.web import _keywords
_keywords.threads_of = lambda config: _keywords.Threads(1, True, True)
class Lines:
    def write(self, text): print(text, end='')
def site(env, start_response):
    if env['PATH_INFO'] == '/hold':
        descriptor, room = os.open(sys.argv[1], os.O_RDWR), ctypes.create_string_buffer(1)
        ctypes.PyDLL(None).read(descriptor, room, 1)
    start_response('200 OK', [])
    return [b'abc']
server = evy.wsgi.Server('127.0.0.1:0', site, log=Lines(), threads=4, lent_threads=False)
server.start()
print('port', server.port)
server.join()
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    path = tmp_path_factory.mktemp("shim") / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-x", "c", "-", "-o", path]
    subprocess.run(command, input=SHIM, text=True, check=True)
    return path


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="its lock is not the one of PyGILState_Release")
def test_the_lack_of_threads_is_told_while_the_interpreter_lock_is_held(program, shim, tmp_path, monkeypatch):
    """By the thread that looks after the others, which has neither the loop nor that lock."""
    fifo, no_threads = tmp_path / "fifo", tmp_path / "no-threads"
    os.mkfifo(fifo)
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("EVY_NO_THREADS", str(no_threads))
    run = program(PROGRAM, fifo)
    port = int(run.out.expect(r"^port \d+$").split()[1])
    no_threads.touch()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as holder:
        holder.sendall(b"GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: no_threads.stat().st_size, "an attempt to make a thread")
        # Both ways: else it would wait for a reader that is not there any more.
        with open(fifo, "r+b", buffering=0) as file:
            file.write(b"x")
        assert holder.recv(1000).startswith(b"HTTP/1.1 200 "), run.err.lines
    run.out.expect("cannot start a thread")
    assert run.process.poll() is None
