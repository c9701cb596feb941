// SPDX-License-Identifier: MIT
// Listener - where a server listens, in clear text or with TLS.
// Room: Evy (the Swift face).

/// One address or socket of a server.
public struct Listener: Sendable, Hashable {
    enum Source: Sendable, Hashable {
        case address(String)
        case descriptor(Int32)
    }

    let source: Source
    let tls: TLSOptions?

    /// A TCP address: host "" is every IPv4 address, "::" every IPv6 one; port 0 lets the kernel choose.
    public static func tcp(_ host: String = "", port: UInt16, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .address(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"), tls: tls)
    }

    /// A unix socket at a path, `mode` its permissions (0o660); the path is removed when the server ends.
    public static func unix(_ path: String, mode: UInt16? = nil, tls: TLSOptions? = nil) -> Listener {
        let suffix = mode.map { "?mode=" + String($0, radix: 8) } ?? ""
        return Listener(source: .address("unix:" + path + suffix), tls: tls)
    }

    /// A bound stream socket of the program. The server works on a duplicate: the program's own stays usable
    /// and has to be closed by the program.
    public static func descriptor(_ descriptor: Int32, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .descriptor(descriptor), tls: tls)
    }
}
