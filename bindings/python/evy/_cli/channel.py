# SPDX-License-Identifier: MIT
"""channel - messages between the master and one worker, over a pair of sockets that keeps them apart.

From the master:  ping (answer me), logs (the paths of the logs, with descriptors of the new files)
From the worker:  ready, pong (all is well), report (the same, but it is stuck, or ends), each with
                  counters and resident memory; changed (a source file, under --reload); retire (replace me)
The end of a channel tells each side that the other has died.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

MESSAGE_BYTES_MAX = 16 << 10
_DESCRIPTORS_MAX = 4


class Channel:
    """One end. Ownership: owns its socket. Thread: one at a time. Nothing here waits."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, kind: str, descriptors: Sequence[int] = (), **fields: Any) -> bool:
        """False: the other end takes nothing now, or has gone."""
        data = json.dumps({"kind": kind, **fields}).encode()
        try:
            socket.send_fds(self._socket, [data], list(descriptors))
        except OSError:
            return False
        return True

    def receive(self) -> tuple[list[dict[str, Any]], list[int], bool]:
        """Every message that is here, the descriptors that came along, and whether the other end is there."""
        messages: list[dict[str, Any]] = []
        descriptors: list[int] = []
        while True:
            try:
                data, came, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES_MAX, _DESCRIPTORS_MAX)
            except BlockingIOError:
                return messages, descriptors, True
            except OSError:
                return messages, descriptors, False
            for one in came:
                os.set_inheritable(one, False)
            descriptors += came
            if not data:
                return messages, descriptors, False
            message = _parsed(data)
            if message is not None:
                messages.append(message)

    def close(self) -> None:
        self._socket.close()


def _parsed(data: bytes) -> dict[str, Any] | None:
    """None: it is no message. A worker runs code of others, and must not end its master."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("kind"), str) else None


def numbers(value: Any) -> list[int]:
    """A list of whole numbers, as it should be in a message; else none at all."""
    is_one = isinstance(value, list) and all(type(one) is int for one in value)
    return value if is_one else []


def pair() -> tuple[Channel, Channel]:
    """The master's end, and the worker's."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)
