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
    private let path: String?
    /// The host's own sockets keep listening when the server stops.
    private let isAdopted: Bool

    init(descriptor: Int32, address: ListenAddress?, tls: TLSProvider?) {
        self.descriptor = descriptor
        self.tls = tls
        local = SystemCalls.localAddress(descriptor)
        isAdopted = address == nil
        var bound: String?
        if let address, case .unix(let path, _) = address.form { bound = path }
        path = bound
        if let bound {
            text = "unix:" + bound
        } else if local.isUnix {
            text = "unix:"
        } else {
            text = local.isIPv6 ? "[\(local.text)]:\(local.port)" : "\(local.text):\(local.port)"
        }
    }

    deinit { close() }

    /// New clients are refused from here on, unless the host listens on as well.
    func close() {
        guard descriptor >= 0 else { return }
        if let path { unlink(path) }
        SystemCalls.close(descriptor)
        descriptor = -1
    }
}
