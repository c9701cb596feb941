# SPDX-License-Identifier: MIT
# faults - the test's side of faults.c: which calls of the library fail, how, and how often they did.

import errno
import mmap
import struct

KINDS = ["accept", "add", "modify", "wait", "receive", "send", "file_out", "memory", "thread"]
FAULT = struct.Struct("=iiqqq")
JUMP_AT = FAULT.size * len(KINDS)


class Faults:
    """A board shared with the process under test. Nothing fails until `set`."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(JUMP_AT + 8))
        with open(path, "r+b") as file:
            self.board = mmap.mmap(file.fileno(), JUMP_AT + 8)

    def wrapper(self, shim):
        return ["env", f"LD_PRELOAD={shim}", f"EVY_FAULTS={self.path}"]

    def _at(self, kind):
        return FAULT.size * KINDS.index(kind)

    def set(self, kind, name, every=1, least=0, seen=0):
        """Calls of this kind fail with errno `name`, one in `every`, as if so many had been seen already."""
        at = self._at(kind)
        struct.pack_into("=iqqq", self.board, at + 4, every, least, seen, 0)
        struct.pack_into("=i", self.board, at, getattr(errno, name))

    def clear(self, kind=None):
        for one in [kind] if kind else KINDS:
            struct.pack_into("=i", self.board, self._at(one), 0)

    def hits(self, kind):
        return FAULT.unpack_from(self.board, self._at(kind))[4]

    def seen(self, kind):
        return FAULT.unpack_from(self.board, self._at(kind))[3]

    def jump(self, seconds):
        """The time of day is ahead by so many seconds from here on."""
        struct.pack_into("=q", self.board, JUMP_AT, seconds)
