# SPDX-License-Identifier: MIT
# test_subinterpreters - a server in a subinterpreter is refused by name; the main one serves all the same.

import sys

import pytest
from programs import HAS_BRIDGE

PROGRAM = """
import sys
import evy

INSIDE = '''
import sys
sys.path[:] = {path!r}
import evy
with evy.listen(("127.0.0.1", 0)) as sock:
    for serve in (evy.wsgi.Server, evy.wsgi.server):
        try:
            serve(sock, print)
        except RuntimeError as error:
            print("refused:", error, flush=True)
'''.format(path=sys.path)

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    # An isolated one cannot even import ctypes.
    one = interpreters.create("legacy")
elif sys.version_info >= (3, 12):
    import _xxsubinterpreters as interpreters
    one = interpreters.create(isolated=False)
else:
    import _xxsubinterpreters as interpreters
    one = interpreters.create()
interpreters.run_string(one, INSIDE)
interpreters.destroy(one)
with evy.wsgi.Server(evy.listen(("127.0.0.1", 0)), print, log_output=False) as server:
    print("serves:", server.port > 0)
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython has subinterpreters")
@pytest.mark.parametrize("bridge", ["auto", "cpython", "ctypes"])
def test_a_subinterpreter_is_refused(program, monkeypatch, bridge):
    """Over either bridge: what serves there would be called back in the main interpreter."""
    if bridge != "ctypes" and not HAS_BRIDGE:
        pytest.skip("this interpreter has no such bridge")
    monkeypatch.setenv("EVY_BRIDGE", bridge)
    started = program(PROGRAM)
    assert started.ended() == 0, started.err.lines
    refused = "refused: this is subinterpreter 1: evy serves in the main interpreter of a process alone"
    assert started.out.lines == [refused, refused, "serves: True"]
