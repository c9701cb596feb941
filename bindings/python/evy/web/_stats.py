# SPDX-License-Identifier: MIT
"""_stats - the counters of a server, by name."""

from __future__ import annotations

from ctypes import c_int64, create_string_buffer
from typing import NamedTuple

from evy import _errors
from evy._lib import lib

_METRICS_BYTES_MAX = 16384


class Stats(NamedTuple):
    """What a server has done so far and is doing now: one snapshot, see evy_server_counters.

    The fields are EVY_N_* of evy.h in lower case. connections_open, requests_active, requests_queued,
    threads_* and loop_lag_* are levels, all others only grow. _asdict() makes a dict of them.
    """

    connections_open: int = 0
    connections_total: int = 0
    connections_refused: int = 0
    connections_evicted: int = 0
    accept_pauses: int = 0
    requests_active: int = 0
    requests_queued: int = 0
    requests_total: int = 0
    status_none: int = 0
    status_1xx: int = 0
    status_2xx: int = 0
    status_3xx: int = 0
    status_4xx: int = 0
    status_5xx: int = 0
    end_complete: int = 0
    end_client_reset: int = 0
    end_client_closed: int = 0
    end_write_timeout: int = 0
    end_read_timeout: int = 0
    end_handler_error: int = 0
    end_aborted: int = 0
    end_shutdown: int = 0
    end_limit: int = 0
    end_protocol: int = 0
    end_io: int = 0
    end_upgraded: int = 0
    refused_malformed: int = 0
    refused_limit: int = 0
    refused_unsupported: int = 0
    refused_timeout: int = 0
    timeout_handshake: int = 0
    timeout_header: int = 0
    timeout_idle: int = 0
    timeout_body: int = 0
    timeout_write: int = 0
    timeout_linger: int = 0
    tls_handshakes: int = 0
    tls_failures: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    threads_busy: int = 0
    threads_total: int = 0
    loop_lag_us: int = 0
    loop_lag_max_us: int = 0
    loop_turns: int = 0
    loop_busy_us: int = 0


def stats_of(server: int) -> Stats:
    """The counters of an evy_server; 0 where an older library has none."""
    count = len(Stats._fields)
    numbers = (c_int64 * count)()
    lib.evy_server_counters(server, numbers, count)
    return Stats(*numbers)


def metrics_of(server: int) -> str:
    """The counters of an evy_server in the text format of Prometheus. Errors: MemoryError."""
    room = create_string_buffer(_METRICS_BYTES_MAX)
    status = lib.evy_server_metrics(server, room, _METRICS_BYTES_MAX)
    if status < 0:
        raise _errors.make(status)
    return room.value.decode()
