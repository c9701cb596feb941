// SPDX-License-Identifier: MIT
// Listener - one listening socket and what its connections are born with.
// Room: Transport.

internal import CSystem
internal import Glibc

/// Ownership: owns the descriptor; unlinks the unix socket it bound itself.
final class Listener {
    private(set) var descriptor: Int32
    let local: evy_address
    /// "127.0.0.1:8080", "[::1]:8443" or "unix:/run/a.sock"
    let text: String
    let tls: TLSProvider?
    /// Every connection begins with a PROXY protocol header.
    let takesProxyHeader: Bool
    let parting: Parting
    /// The host has it too, and whoever the host gave it to.
    let isAdopted: Bool
    /// Its connections send the head of an answer ahead of a large body (docs/decisions/0009).
    let pacesByBBR: Bool
    private let file: SocketFile?

    /// What becomes, at a stop, of clients that have connected and were not accepted yet: the kernel resets
    /// them when the socket is closed by the last who has it.
    enum Parting {
        /// They are others' to accept, who have the same socket.
        case leave
        /// Nobody else could: they are accepted ahead of the close.
        case takeRest
        /// So are those whose handshake is under way; whoever comes later is for other sockets on this port.
        case takeRestOfShared
    }

    init(_ socket: BoundSocket, tls: TLSProvider?, takesProxyHeader: Bool) {
        descriptor = socket.descriptor
        file = socket.file
        self.tls = tls
        self.takesProxyHeader = takesProxyHeader
        isAdopted = socket.isAdopted
        pacesByBBR = SystemCalls.pacesByBBR(descriptor)
        let sharesPort = SystemCalls.sharesPort(descriptor)
        if socket.isAdopted {
            parting = sharesPort ? .takeRest : .leave
        } else {
            parting = sharesPort ? .takeRestOfShared : .takeRest
        }
        local = SystemCalls.localAddress(descriptor)
        if local.isUnix {
            text = UnixSocket.text(of: descriptor)
        } else {
            text = local.isIPv6 ? "[\(local.text)]:\(local.port)" : "\(local.text):\(local.port)"
        }
    }

    /// The same socket for another loop; its file stays this one's to remove.
    private init(_ original: Listener, descriptor: Int32) {
        self.descriptor = descriptor
        file = nil
        tls = original.tls
        takesProxyHeader = original.takesProxyHeader
        parting = original.parting
        isAdopted = original.isAdopted
        pacesByBBR = original.pacesByBBR
        local = original.local
        text = original.text
    }

    func duplicate() throws(SocketError) -> Listener {
        Listener(self, descriptor: try Sockets.duplicate(descriptor, of: text))
    }

    deinit { close() }

    /// New clients are refused from here on, unless the host listens on as well.
    func close() {
        guard descriptor >= 0 else { return }
        file?.remove()
        SystemCalls.close(descriptor)
        descriptor = -1
    }
}
