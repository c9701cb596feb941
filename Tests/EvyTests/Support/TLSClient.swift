// SPDX-License-Identifier: MIT
// TLSClient - a client over TLS that reads little or all, leaves as it is told, and says what it received.
internal import Testing

enum TLSLeaving: String, Sendable {
    /// Reads 1,000 bytes, waits until nothing more comes, and resets the connection.
    case reset
    /// The same, but first ends its side, without close_notify, and closes when told to leave.
    case fin
    /// Reads everything.
    case whole
}

/// It runs in Python: curl and `openssl s_client` can neither choose their receive buffer nor reset the
/// connection, nor tell what their TCP received.
final class TLSClient {
    private let program: Program
    /// What it read: head and body.
    let plainBytes: Int64
    /// What its TCP received since the handshake: records, read or not, the last one maybe in part.
    let cipherBytes: Int64

    /// Returns when it has read what it wants; with `.fin` it then ends its side.
    init(port: Int, leaving: TLSLeaving) throws {
        program = try Program(["python3", "-c", tlsClientProgram, "\(port)", leaving.rawValue])
        let line = program.firstLine()
        let figures = line.split(separator: " ").compactMap { Int64($0) }
        guard figures.count == 2 else {
            throw RawClientError(text: "the TLS client failed: \(program.finish().text)")
        }
        (plainBytes, cipherBytes) = (figures[0], figures[1])
    }

    func leave() throws {
        let done = program.finish()
        try #require(done.status == 0, "\(done.text)")
    }
}

private let tlsClientProgram = """
    import socket, ssl, struct, sys, time

    port, how = int(sys.argv[1]), sys.argv[2]
    tcp = socket.socket()
    tcp.settimeout(20)
    if how != "whole":
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    tcp.connect(("127.0.0.1", port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_socket(tcp, suppress_ragged_eofs=False)

    def received():
        "tcpi_bytes_received, of the kernel's struct tcp_info."
        return struct.unpack_from("=Q", tls.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 128)[0]

    handshake, plain = received(), 0
    tls.sendall(b"GET / HTTP/1.1\\r\\nHost: test\\r\\nConnection: close\\r\\n\\r\\n")
    if how == "whole":
        while piece := tls.recv(65536):
            plain += len(piece)
    else:
        while plain < 1000:
            plain += len(tls.recv(1000 - plain))
        # To the byte: a window probe, 0.2 s after the window seemed full, may still fill the rest of it.
        last, since = received(), time.monotonic()
        while time.monotonic() - since < 0.3:
            time.sleep(0.01)
            if received() != last:
                last, since = received(), time.monotonic()
    print(plain, received() - handshake, flush=True)
    if how == "fin":
        socket.socket.shutdown(tls, socket.SHUT_WR)
    sys.stdin.read()
    if how == "reset":
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(tls)
    """
