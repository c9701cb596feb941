# SPDX-License-Identifier: MIT
# tlsclient - TLS as a hostile client needs it: hellos made by hand, records cut and joined at will.
"""Python's ssl module can neither update keys nor write behind its own close_notify; libssl itself can."""

import ctypes
import socket
import struct

from client import PATIENCE, Reader, Reset

VERSION_12, VERSION_13 = 0x0303, 0x0304
ALERT, HANDSHAKE, DATA = 0x15, 0x16, 0x17

libssl = ctypes.CDLL("libssl.so.3")
libcrypto = ctypes.CDLL("libcrypto.so.3")
POINTER, TEXT, INT, LONG, SIZE = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_long,
    ctypes.POINTER(ctypes.c_size_t),
)


def declare(library, result, name, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


for line in (
    (libssl, POINTER, "TLS_client_method"),
    (libssl, POINTER, "SSL_CTX_new", POINTER),
    (libssl, LONG, "SSL_CTX_ctrl", POINTER, INT, LONG, POINTER),
    (libssl, None, "SSL_CTX_free", POINTER),
    (libssl, POINTER, "SSL_new", POINTER),
    (libssl, None, "SSL_free", POINTER),
    (libssl, None, "SSL_set_bio", POINTER, POINTER, POINTER),
    (libssl, None, "SSL_set_connect_state", POINTER),
    (libssl, LONG, "SSL_ctrl", POINTER, INT, LONG, TEXT),
    (libssl, INT, "SSL_do_handshake", POINTER),
    (libssl, INT, "SSL_write", POINTER, TEXT, INT),
    (libssl, INT, "SSL_read", POINTER, TEXT, INT),
    (libssl, INT, "SSL_get_error", POINTER, INT),
    (libssl, INT, "SSL_key_update", POINTER, INT),
    (libssl, INT, "SSL_renegotiate", POINTER),
    (libssl, INT, "SSL_shutdown", POINTER),
    (libssl, None, "SSL_set_shutdown", POINTER, INT),
    (libssl, POINTER, "SSL_get1_session", POINTER),
    (libssl, INT, "SSL_set_session", POINTER, POINTER),
    (libssl, None, "SSL_SESSION_free", POINTER),
    (libssl, ctypes.c_uint32, "SSL_SESSION_get_max_early_data", POINTER),
    (libssl, INT, "SSL_SESSION_set_max_early_data", POINTER, ctypes.c_uint32),
    (libssl, INT, "SSL_write_early_data", POINTER, TEXT, ctypes.c_size_t, SIZE),
    (libssl, INT, "SSL_get_early_data_status", POINTER),
    (libssl, INT, "SSL_session_reused", POINTER),
    (libcrypto, POINTER, "BIO_s_mem"),
    (libcrypto, POINTER, "BIO_new", POINTER),
    (libcrypto, INT, "BIO_read", POINTER, TEXT, INT),
    (libcrypto, INT, "BIO_write", POINTER, TEXT, INT),
    (libcrypto, ctypes.c_ulong, "ERR_get_error"),
    (libcrypto, None, "ERR_clear_error"),
):
    declare(*line)


def tcp(server, rcvbuf=None, path=None, maxseg=None):
    """A plain socket to the server's first listener, or to the one of this path.

    maxseg: of the server's packets as well, and the smaller they are, the less a kernel takes ahead of them.
    """
    raw = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    raw.settimeout(PATIENCE)
    if path:
        raw.connect(path)
        return raw
    if rcvbuf:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if maxseg:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, maxseg)
    raw.connect(("127.0.0.1", server.port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


class Failure(Exception):
    """libssl gave up; `alert` is the number of the fatal alert it received, None when it was not one."""

    def __init__(self, code):
        self.reason = code & 0x7FFFFF
        self.alert = self.reason - 1000 if 1000 <= self.reason < 1256 else None
        super().__init__(f"alert {self.alert}" if self.alert is not None else f"error {code:#x}")


class Client:
    """One libssl client over memory: nothing goes to the socket before `flush`."""

    WANT_READ, WANT_WRITE, ZERO_RETURN = 2, 3, 6

    def __init__(self, server, version=None, name=None, session=None, **how):
        self.socket = tcp(server, **how)
        self.context = libssl.SSL_CTX_new(libssl.TLS_client_method())
        for command in (123, 124) if version else ():  # SSL_CTRL_SET_MIN_ and _MAX_PROTO_VERSION
            assert libssl.SSL_CTX_ctrl(self.context, command, version, None) == 1
        self.ssl = libssl.SSL_new(self.context)
        self.incoming = libcrypto.BIO_new(libcrypto.BIO_s_mem())
        self.outgoing = libcrypto.BIO_new(libcrypto.BIO_s_mem())
        libssl.SSL_set_bio(self.ssl, self.incoming, self.outgoing)
        libssl.SSL_set_connect_state(self.ssl)
        if name:
            libssl.SSL_ctrl(self.ssl, 55, 0, name.encode())  # SSL_CTRL_SET_TLSEXT_HOSTNAME
        if session:
            assert libssl.SSL_set_session(self.ssl, session) == 1
        self.ended = False  # the peer's close_notify was read
        self.reader = Reader(self.receive)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        self.socket.close()
        libssl.SSL_free(self.ssl)
        libssl.SSL_CTX_free(self.context)

    # ---- cipher bytes

    def take(self):
        """The records libssl wants to send."""
        pieces, room = [], ctypes.create_string_buffer(65536)
        while (count := libcrypto.BIO_read(self.outgoing, room, len(room))) > 0:
            pieces.append(room.raw[:count])
        return b"".join(pieces)

    def flush(self, more=b""):
        """Sends them, and `more` behind them, in one piece."""
        if data := self.take() + more:
            self.socket.sendall(data)
        return self

    def fill(self):
        """False: the socket has come to its end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError as error:
            raise Reset() from error
        libcrypto.BIO_write(self.incoming, data, len(data))
        return bool(data)

    # ---- verbs

    def run(self, verb, *arguments):
        """One call of libssl, repeated as records come; 0 at close_notify."""
        while True:
            libcrypto.ERR_clear_error()
            result = verb(self.ssl, *arguments)
            if result > 0:
                return result
            why = libssl.SSL_get_error(self.ssl, result)
            if why == self.ZERO_RETURN:
                self.ended = True
                return 0
            if why not in (self.WANT_READ, self.WANT_WRITE):
                raise Failure(libcrypto.ERR_get_error())
            self.flush()
            if not self.fill():
                raise Reset()  # an end without close_notify

    def handshake(self):
        self.run(libssl.SSL_do_handshake)
        return self.flush()

    def write(self, data):
        """Encrypts; `flush` sends."""
        assert not data or self.run(libssl.SSL_write, data, len(data)) == len(data)
        return self

    def send(self, data):
        return self.write(data).flush()

    def receive(self):
        room = ctypes.create_string_buffer(65536)
        count = self.run(libssl.SSL_read, room, len(room))
        return room.raw[:count]

    def update_keys(self, request=True):
        """A KeyUpdate of our keys; `request` asks for one of the peer's."""
        assert libssl.SSL_key_update(self.ssl, 1 if request else 0) == 1
        self.run(libssl.SSL_do_handshake)
        return self

    def say_goodbye(self):
        """close_notify; `flush` sends."""
        assert libssl.SSL_shutdown(self.ssl) >= 0
        return self

    def forget_goodbye(self):
        """libssl may write again."""
        libssl.SSL_set_shutdown(self.ssl, 0)

    def session(self):
        """Owned by the caller until the process ends: a handful in all tests."""
        return libssl.SSL_get1_session(self.ssl)

    def response(self, method="GET"):
        return self.reader.response(method)

    def is_ended(self):
        """close_notify has come, and behind it nothing but the end of the stream."""
        try:
            while self.receive():
                pass
        except Reset:
            return False
        try:
            return self.ended and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True  # our own close_notify met a closed socket

    def last_alert(self):
        """The fatal alert the connection ends with; "close_notify", or None: it ends without any."""
        try:
            while self.receive():
                pass
        except Failure as failure:
            return failure.alert
        except Reset:
            return None
        return "close_notify"


# ---- by hand


def record(kind, payload, version=0x0303):
    return struct.pack(">BHH", kind, version, len(payload)) + payload


def vector(data, size=2):
    return len(data).to_bytes(size, "big") + data


def extension(number, data=b""):
    return struct.pack(">H", number) + vector(data)


def server_name(name, kind=0):
    return extension(0, vector(bytes([kind]) + vector(name)))


def protocols(*names):
    return extension(16, vector(b"".join(vector(name, 1) for name in names)))


ECDSA_AND_RSA = extension(13, vector(bytes.fromhex("0403 0804 0401 0503 0805 0501".replace(" ", ""))))
GROUPS = extension(10, vector(bytes.fromhex("001d0017")))
AES_GCM = (0xC02B, 0xC02F)


def hello(*extensions, ciphers=AES_GCM, version=0x0303, compression=b"\0", groups=GROUPS):
    """A ClientHello message of TLS 1.2 or older."""
    body = struct.pack(">H", version) + bytes(range(32)) + b"\0"
    body += vector(b"".join(struct.pack(">H", cipher) for cipher in ciphers)) + vector(compression, 1)
    body += vector(b"".join((groups, ECDSA_AND_RSA, *extensions)))
    return b"\x01" + vector(body, 3)


def records_of(data):
    """(type, payload) of each whole record."""
    found = []
    while len(data) >= 5:
        length = int.from_bytes(data[3:5], "big")
        found.append((data[0], data[5 : 5 + length]))
        data = data[5 + length :]
    return found


def answer(server, data):
    """All that comes back in clear text until the server closes: (records, "eof" or "reset")."""
    with tcp(server) as raw:
        raw.settimeout(PATIENCE)
        received, end = b"", "eof"
        try:
            raw.sendall(data)
            while piece := raw.recv(65536):
                received += piece
        except ConnectionError:
            end = "reset"
        return records_of(received), end


def opening(server, data):
    """The first records of a server that goes on: until it has said ServerHelloDone, or closes."""
    with tcp(server) as raw:
        raw.sendall(data)
        received = b""
        while b"\x0e\x00\x00\x00" not in received:
            piece = raw.recv(65536)
            if not piece:
                break
            received += piece
        return records_of(received)


def alert_of(server, data):
    """(level, number) of the alert that answers these bytes; None: the end came without one."""
    found, _ = answer(server, data)
    alerts = [payload for kind, payload in found if kind == ALERT]
    assert len(alerts) <= 1, found
    return tuple(alerts[0]) if alerts else None
