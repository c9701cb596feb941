# SPDX-License-Identifier: MIT
# tlsrecords - a TLS client whose records are its own: messages that no library sends, in records cut at will.
"""Python's ssl module shakes hands; from then on records are sealed here, with the keys of its key log."""

import ctypes
import hashlib
import hmac
import ssl
import struct
import tempfile

from client import Closed, Reader, Reset, client_context
from tlsclient import DATA, HANDSHAKE, VERSION_12, VERSION_13, libcrypto, tcp

SUITES = {VERSION_12: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", VERSION_13: None}
KEY_UPDATE = b"\x18\x00\x00\x01\x00"

for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_256_gcm"):
    getattr(libcrypto, name).restype = ctypes.c_void_p


def gcm(key, nonce, plain, extra):
    """AES-GCM: the sealed bytes and their tag."""
    context = ctypes.c_void_p(libcrypto.EVP_CIPHER_CTX_new())
    cipher = libcrypto.EVP_aes_128_gcm() if len(key) == 16 else libcrypto.EVP_aes_256_gcm()
    out, tag = ctypes.create_string_buffer(len(plain) + 16), ctypes.create_string_buffer(16)
    count = ctypes.c_int()
    steps = [
        libcrypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(cipher), None, key, nonce),
        libcrypto.EVP_EncryptUpdate(context, None, ctypes.byref(count), extra, len(extra)),
        libcrypto.EVP_EncryptUpdate(context, out, ctypes.byref(count), plain, len(plain)),
        libcrypto.EVP_EncryptFinal_ex(context, None, ctypes.byref(count)),
        libcrypto.EVP_CIPHER_CTX_ctrl(context, 16, 16, tag),  # EVP_CTRL_AEAD_GET_TAG
    ]
    libcrypto.EVP_CIPHER_CTX_free(context)
    assert steps == [1] * len(steps)
    return out.raw[: len(plain)] + tag.raw


def expand(secret, label, size, digest):
    """HKDF-Expand-Label, RFC 8446 section 7.1."""
    label = b"tls13 " + label
    text = struct.pack(">HB", size, len(label)) + label + b"\0\x01"
    return hmac.new(secret, text, digest).digest()[:size]


def prf(secret, seed, size):
    """RFC 5246 section 5."""
    out, step = b"", seed
    while len(out) < size:
        step = hmac.new(secret, step, hashlib.sha256).digest()
        out += hmac.new(secret, step + seed, hashlib.sha256).digest()
    return out[:size]


class Records:
    """One client. `record` seals, `socket.sendall` sends; `send` does both; `response` reads."""

    def __init__(self, server, version, **how):
        self.socket, self.version = tcp(server, **how), version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with tempfile.NamedTemporaryFile() as log:
            number = ssl.TLSVersion(version)
            context = client_context(minimum_version=number, maximum_version=number)
            context.keylog_filename = log.name
            if SUITES[version]:
                context.set_ciphers(SUITES[version])
            self.tls = context.wrap_bio(self.incoming, self.outgoing)
            first = self._shake_hands()
            lines = [line.split() for line in log.read().decode().splitlines()]
        secrets = {line[0]: [bytes.fromhex(word) for word in line[1:]] for line in lines if len(line) == 3}
        self._derive(secrets, first)
        self.reader = Reader(self.receive)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def _shake_hands(self):
        """The first bytes that came: the server's hello."""
        first = b""
        while True:
            try:
                self.tls.do_handshake()
                self.socket.sendall(self.outgoing.read())
                return first
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                piece = self.socket.recv(65536)
                first = first or piece
                self.incoming.write(piece)

    def _derive(self, secrets, first):
        if self.version == VERSION_12:
            client_random, master = secrets["CLIENT_RANDOM"]
            server_random = first[11:43]  # behind the headers of record and message, and the version
            block = prf(master, b"key expansion" + server_random + client_random, 40)
            self.key, self.vector, self.sequence = block[:16], block[32:36], 1  # 0 was Finished
        else:
            self.digest = hashlib.sha384 if "SHA384" in self.tls.cipher()[0] else hashlib.sha256
            self.secret = secrets["CLIENT_TRAFFIC_SECRET_0"][1]
            self._renew()

    def _renew(self):
        size = 16 if "128" in self.tls.cipher()[0] else 32
        self.key = expand(self.secret, b"key", size, self.digest)
        self.vector, self.sequence = expand(self.secret, b"iv", 12, self.digest), 0

    def update_keys(self):
        """What follows KEY_UPDATE is sealed with the next keys."""
        self.secret = expand(self.secret, b"traffic upd", self.digest().digest_size, self.digest)
        self._renew()

    def record(self, kind, plain):
        number = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        if self.version == VERSION_12:
            extra = number + struct.pack(">BHH", kind, VERSION_12, len(plain))
            sealed = number + gcm(self.key, self.vector + number, plain, extra)
            return struct.pack(">BHH", kind, VERSION_12, len(sealed)) + sealed
        nonce = bytes(a ^ b for a, b in zip(self.vector, bytes(4) + number))
        head = struct.pack(">BHH", DATA, VERSION_12, len(plain) + 17)
        return head + gcm(self.key, nonce, plain + bytes([kind]), head)

    def handshake_record(self, message):
        return self.record(HANDSHAKE, message)

    def data(self, plain):
        return self.record(DATA, plain)

    def send(self, plain):
        self.socket.sendall(self.data(plain))
        return self

    def receive(self):
        while True:
            try:
                return self.tls.read(262144)
            except ssl.SSLWantReadError:
                try:
                    piece = self.socket.recv(262144)
                except ConnectionResetError as error:
                    raise Reset() from error
                if not piece:
                    raise Closed()
                self.incoming.write(piece)

    def response(self, method="GET"):
        return self.reader.response(method)
