# SPDX-License-Identifier: MIT
# test_bridge_choice - which way the library takes to an application: what EVY_BRIDGE asks for, what an
# interpreter allows, and what is said where the two do not go together.

import subprocess
import sys

import pytest
from programs import HAS_BRIDGE

REFUSED = "the bridge needs the interpreter lock, which free-threaded builds do not have"
SLOW = "this Python is a free-threaded build, and the fast bridge needs the interpreter lock: "
SLOW += "EVY_BRIDGE=ctypes goes the slow way"
IS_CPYTHON = sys.implementation.name == "cpython"

# The application says who called it: under the bridge the library does, from the thread that was lent, and
# the frame behind it is the one that lent it; through ctypes it is Python code of this package.
PROGRAM = """
import http.client, os, sys, evy
def site(env, start_response):
    caller = sys._getframe(1).f_code.co_filename
    body = env['wsgi.input'].read()
    start_response('200 OK', [])
    return [os.path.basename(caller).encode(), b' ', body]
try:
    server = evy.wsgi.Server(evy.listen(('127.0.0.1', 0)), site, log_output=False)
except Exception as error:
    print(type(error).__name__, isinstance(error, ValueError), error)
    raise SystemExit(9)
with server:
    client = http.client.HTTPConnection('127.0.0.1', server.port)
    client.request('POST', '/', b'x' * 3)
    answer = client.getresponse()
    print(answer.status, answer.read().decode())
"""
# What a build without the interpreter lock says of itself (CPython 3.13: sysconfig, and sys).
FREE_THREADED = """
import sys, sysconfig
def get_config_var(name, real=sysconfig.get_config_var):
    return 1 if name == 'Py_GIL_DISABLED' else real(name)
sysconfig.get_config_var = get_config_var
sys._is_gil_enabled = lambda: {has_lock}
"""
BRIDGED, THROUGH_CTYPES = "200 _lending.py xxx", "200 _application.py xxx"


@pytest.fixture
def choose(program, monkeypatch):
    """choose(bridge, interpreter) runs PROGRAM: its exit status and output. interpreter: code ahead of it."""

    def run(bridge, interpreter=""):
        if bridge is None:
            monkeypatch.delenv("EVY_BRIDGE", raising=False)
        else:
            monkeypatch.setenv("EVY_BRIDGE", bridge)
        started = program(interpreter + PROGRAM)
        status = started.ended()
        assert status in (0, 9), started.err.lines
        return status, started.out.lines

    return run


@pytest.mark.skipif(not HAS_BRIDGE, reason="this interpreter has one way only")
@pytest.mark.parametrize(
    "bridge, said", [(None, BRIDGED), ("auto", BRIDGED), ("cpython", BRIDGED), ("ctypes", THROUGH_CTYPES)]
)
def test_each_choice_takes_its_way(choose, bridge, said):
    assert choose(bridge) == (0, [said])


@pytest.mark.skipif(not IS_CPYTHON, reason="only CPython has builds without the interpreter lock")
@pytest.mark.parametrize("has_lock", [False, True])
def test_a_build_without_the_interpreter_lock_has_to_be_asked_for(choose, has_lock):
    """Also where the lock was switched on again (PYTHON_GIL=1): its objects have another head."""
    interpreter = FREE_THREADED.format(has_lock=has_lock)
    assert choose(None, interpreter) == choose("auto", interpreter) == (9, [f"ConfigError True {SLOW}"])
    assert choose("ctypes", interpreter) == (0, [THROUGH_CTYPES])


@pytest.mark.skipif(not IS_CPYTHON, reason="only CPython has builds without the interpreter lock")
@pytest.mark.parametrize("has_lock", [False, True])
def test_without_the_interpreter_lock_the_bridge_is_refused(choose, has_lock):
    status, said = choose("cpython", FREE_THREADED.format(has_lock=has_lock))
    assert (status, said) == (9, [f"ConfigError True EVY_BRIDGE=cpython: {REFUSED}"])


@pytest.mark.skipif(not HAS_BRIDGE, reason="this interpreter has one way only")
def test_the_library_knows_such_a_build_by_itself(choose, tmp_path):
    """By a function that others lack: hosts need not look for themselves, as this package does."""
    code = "void _Py_MergeZeroLocalRefcount(void *object) { (void)object; }"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "function.so"]
    subprocess.run(command, input=code, text=True, check=True)
    interpreter = f"import ctypes; ctypes.CDLL({str(tmp_path / 'function.so')!r}, ctypes.RTLD_GLOBAL)\n"
    reason = "this Python is a free-threaded build, and has no interpreter lock"
    assert choose("cpython", interpreter) == (9, [f"ConfigError True EVY_BRIDGE=cpython: {reason}"])
    assert choose("auto", interpreter) == choose("ctypes", interpreter) == (0, [THROUGH_CTYPES])


@pytest.mark.skipif(HAS_BRIDGE, reason="this interpreter has the bridge")
def test_an_interpreter_without_the_bridge(choose):
    """Nothing is faked: this is PyPy, or a free-threaded CPython."""
    assert choose("ctypes") == (0, [THROUGH_CTYPES])
    assert choose("auto") == ((9, [f"ConfigError True {SLOW}"]) if IS_CPYTHON else choose("ctypes"))
    reason = REFUSED if IS_CPYTHON else f"{sys.implementation.name} is not CPython"
    assert choose("cpython") == (9, [f"ConfigError True EVY_BRIDGE=cpython: {reason}"])


@pytest.mark.parametrize("bridge", ["CPython", "swift"])
def test_other_choices_are_named(choose, bridge):
    said = f"ConfigError True EVY_BRIDGE is {bridge!r}: it is one of auto, cpython, ctypes"
    assert choose(bridge) == (9, [said])
