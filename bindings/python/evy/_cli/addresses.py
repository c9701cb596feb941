# SPDX-License-Identifier: MIT
"""addresses - turns the addresses of --bind into listening sockets, which the master opens once."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evy._cli import values
from evy._cli.values import SettingError

DEFAULT_PORT = 8000
SYSTEMD_FIRST = 3


@dataclass
class Listener:
    """A listening socket of the master. spec: the address that asked for it.

    path: the file of a unix socket, and file: which one it was when bound; only that one is removed.
    """

    spec: str
    socket: socket.socket
    path: str | None = None
    file: tuple[int, int] | None = None
    # The real one: "127.0.0.1:8000", "[::1]:8000", "unix:/run/a.sock", "unix:@name".
    address: str = field(init=False)

    def __post_init__(self) -> None:
        # Now: it is asked for until the end, and the socket may be closed by then.
        self.address = _address(self.socket)

    @property
    def is_listening(self) -> bool:
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0

    def url(self, is_tls: bool) -> str:
        is_unix = self.socket.family == socket.AF_UNIX
        return self.address if is_unix else f"{'https' if is_tls else 'http'}://{self.address}"

    def stop(self) -> None:
        """This process holds the socket no longer: once nobody does, clients are refused."""
        self.socket.close()

    def close(self, has_heir: bool = False) -> None:
        """has_heir: another master may serve on it; the file stays then as long as somebody does."""
        self.socket.close()
        if self.path and _file_at(self.path) == self.file and not (has_heir and _is_served(self.path)):
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        text = name if isinstance(name, str) else name.decode("utf-8", "replace")
        return "unix:" + text.replace("\0", "@", 1)
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # it has no place for one more client
    return True


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_listeners(
    specs: Iterable[str],
    *,
    backlog: int,
    reuse_port: bool = False,
    umask: int | None = None,
    kept: Mapping[str, list[Listener]],
) -> list[Listener]:
    """A listener for each address; those of `kept`, by spec, are taken over instead of opened.

    Errors: SettingError names the address; what was opened by this call is closed again then.
    """
    found: list[Listener] = []
    fresh: list[Listener] = []
    try:
        for spec in dict.fromkeys(specs):
            if spec in kept:
                found += kept[spec]
                continue
            for one in _open(spec, backlog, reuse_port, 0 if umask is None else umask):
                fresh.append(one)
                found.append(one)
    except BaseException:
        for one in fresh:
            one.close()
        raise
    return found


def adopt(spec: str, descriptor: int) -> Listener:
    """A socket that another process has opened. Errors: SettingError."""
    try:
        sock = socket.socket(fileno=descriptor)
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingError(f"cannot listen on {spec}: descriptor {descriptor}: {error.strerror}") from None
    os.set_inheritable(descriptor, False)
    listener = Listener(spec, sock)
    if "unix:" in spec and "unix:@" not in spec:
        listener.path = str(sock.getsockname())
        listener.file = _file_at(listener.path)
    return listener


def passed_by_systemd() -> int:
    """How many sockets systemd gave to this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0
    try:
        return max(0, int(os.environ.get("LISTEN_FDS", "0")))
    except ValueError:
        return 0


def check(specs: Iterable[str]) -> None:
    """Whether these are addresses; what is there now does not matter. Errors: SettingError."""
    for spec in specs:
        if spec.startswith("unix:"):
            _unix_parts(spec)
        elif not spec.startswith("systemd:") and not _descriptor(spec):
            host_and_port(spec)


def _descriptor(spec: str) -> re.Match[str] | None:
    return re.fullmatch(r"fd:(?://)?(\d+)", spec)


def _open(spec: str, backlog: int, reuse_port: bool, umask: int) -> Iterator[Listener]:
    if spec.startswith("systemd:"):
        yield from _of_systemd(spec)
        return
    given = _descriptor(spec)
    try:
        if given:
            found = iter([adopt(spec, int(given[1]))])
        elif spec.startswith("unix:"):
            found = iter([_unix(spec, umask)])
        else:
            found = _tcp(spec, reuse_port)
        for one in found:
            try:
                one.socket.listen(backlog)
            except OSError:
                one.close()
                raise
            yield one
    except SettingError:
        raise
    except (OSError, ValueError, OverflowError) as error:  # the latter: of what cannot be a host or a number
        text = getattr(error, "strerror", None) or error
        raise SettingError(f"cannot listen on {spec}: {text}") from None


def _of_systemd(spec: str) -> list[Listener]:
    count = passed_by_systemd()
    wanted = spec.partition(":")[2]
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = [
        adopt(spec, SYSTEMD_FIRST + index)
        for index in range(count)
        if not wanted or names[index : index + 1] == [wanted]
    ]
    if not found:
        which = f"of the name {wanted!r} " if wanted else ""
        raise SettingError(f"cannot listen on {spec}: no socket {which}was passed to this process")
    return found


def host_and_port(spec: str) -> tuple[str, int]:
    """ "host:port", ":port", "host", "[::1]:port", also behind "tcp://" or "http://"."""
    text = re.sub(r"^(?:tcp|http)://", "", spec)
    parts = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>\d+))?", text)
    port = int(parts["port"]) if parts and parts["port"] else DEFAULT_PORT
    if parts is None or port > 65535 or not text:
        raise SettingError(
            f"--bind {spec}: not HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, fd://N or systemd:NAME"
        )
    if text.isascii() and text.isdecimal():
        # To the resolver 8000 is the address 0.0.31.64.
        raise SettingError(f"--bind {spec}: a host? Say :{text} for a port")
    return parts["six"] or parts["host"] or "0.0.0.0", port


def _tcp(spec: str, reuse_port: bool) -> Iterator[Listener]:
    """One for every address of the host: localhost often has 127.0.0.1 and ::1.

    Of several, those that are not this machine's own, or of a family that it does not have, are left out.
    """
    host, port = host_and_port(spec)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise SettingError(f"cannot listen on {spec}: {host}: {error.strerror}") from None
    failure: OSError | None = None
    is_open = False
    for family, address in dict.fromkeys((one[0], one[4]) for one in found):
        try:
            sock = _bound(family, address, reuse_port)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            failure = failure or error
        else:
            is_open = True
            yield Listener(spec, sock)
    if failure is not None and not is_open:
        raise failure


def _bound(family: int, address: Any, reuse_port: bool) -> socket.socket:
    """Errors: OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _unix_parts(spec: str) -> tuple[str, int | None, int | None, int | None]:
    """Path, user, group and mode. Errors: SettingError."""
    path, _, query = re.sub(r"^unix:(//)?", "", spec).partition("?")
    options = dict(urllib.parse.parse_qsl(query))
    unknown = set(options) - {"mode", "user", "group"}
    if unknown or not path:
        raise SettingError(f"--bind {spec}: not unix:PATH?mode=660&user=NAME&group=NAME")
    try:
        owner = values.user(options.get("user")), values.group(options.get("group"))
        return path, *owner, values.mask(options.get("mode"))
    except ValueError as error:
        raise SettingError(f"--bind {spec}: {error}") from None


def _unix(spec: str, umask: int) -> Listener:
    path, user, group, mode = _unix_parts(spec)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(umask)
    try:
        if path.startswith("@"):
            sock.bind("\0" + path[1:])
            return Listener(spec, sock)
        _remove_dead(path, spec)
        sock.bind(path)
        listener = Listener(spec, sock, os.path.abspath(path), _file_at(path))
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(old)
    try:
        if (user, group) != (None, None):
            os.chown(path, -1 if user is None else user, -1 if group is None else group)
        if mode is not None:
            os.chmod(path, mode)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead(path: str, spec: str) -> None:
    """A socket file that a dead server left; anything else stays, and is an error."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise SettingError(f"cannot listen on {spec}: {path} exists, and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise SettingError(f"cannot listen on {spec}: {error.strerror or error}") from None
    raise SettingError(f"cannot listen on {spec}: another process listens there")
