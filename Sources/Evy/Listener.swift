// SPDX-License-Identifier: MIT
// Listener - where a server listens, in clear text or with TLS.
// Room: Evy (the Swift face).

/// One address or socket of a server.
public struct Listener: Sendable, Hashable {
    enum Source: Sendable, Hashable {
        case address(String)
        case descriptor(Int32)
        /// Said by the server that gets it: what makes a listener throws nothing.
        case refused(EvyError)
    }

    let source: Source
    let tls: TLSOptions?

    /// A TCP address: host "" is every IPv4 address, "::" every IPv6 one; port 0 lets the kernel choose.
    public static func tcp(_ host: String = "", port: UInt16, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .address(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"), tls: tls)
    }

    /// An address as text, from a command line or a configuration file, in any form evy.h knows: "host:port",
    /// "[::1]:8443", "unix:/run/a.sock?mode=660&group=www-data", "fd://3", "systemd:NAME".
    public static func address(_ text: String, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .address(text), tls: tls)
    }

    /// Every IPv6 and every IPv4 address; IPv4 clients look like IPv4 clients.
    public static func dualStack(port: UInt16, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .address("[::]:\(port)?v6only=0"), tls: tls)
    }

    /// A unix socket at a path, `mode` its permissions (0o660), `user` and `group` (names or numbers) its
    /// owners, all set before anybody can connect; the path is removed when the server ends. A server refuses
    /// a path that holds "?", behind which an address as text has its options: `.badValue`.
    public static func unix(
        _ path: String, mode: UInt16? = nil, user: String? = nil, group: String? = nil,
        tls: TLSOptions? = nil
    ) -> Listener {
        var listener = named("unix:", path, tls)
        if let mode { listener = listener.with("mode", String(mode, radix: 8)) }
        if let user { listener = listener.with("user", named: user) }
        if let group { listener = listener.with("group", named: group) }
        return listener
    }

    /// A unix socket under a name outside the file system (Linux).
    public static func abstract(_ name: String, tls: TLSOptions? = nil) -> Listener {
        named("unix:@", name, tls)
    }

    /// The sockets that systemd passed under this name; nil: all of them.
    public static func systemd(_ name: String? = nil, tls: TLSOptions? = nil) -> Listener {
        named("systemd:", name ?? "", tls)
    }

    /// A bound stream socket of the program. The server works on a duplicate: the program's own stays usable
    /// and has to be closed by the program.
    public static func descriptor(_ descriptor: Int32, tls: TLSOptions? = nil) -> Listener {
        Listener(source: .descriptor(descriptor), tls: tls)
    }

    /// The same, with a PROXY protocol header required of every connection, or not: whatever option
    /// proxyProtocol says.
    public func proxyProtocol(_ isRequired: Bool) -> Listener { with("proxy", isRequired ? "1" : "0") }

    /// The same, with so many connections that may wait to be accepted, whatever option backlog says.
    public func backlog(_ count: Int) -> Listener { with("backlog", "\(count)") }

    /// What stands behind a "?" would be read as options.
    private static func named(_ kind: String, _ name: String, _ tls: TLSOptions?) -> Listener {
        guard name.utf8.contains(UInt8(ascii: "?")) else {
            return Listener(source: .address(kind + name), tls: tls)
        }
        let error = EvyError(.badValue, "address \((kind + name).debugDescription): the name holds a \"?\"")
        return Listener(source: .refused(error), tls: tls)
    }

    /// What stands behind a "&" would be read as the next option.
    private func with(_ option: String, named name: String) -> Listener {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "&") || $0 == UInt8(ascii: "?") }) else {
            return with(option, name)
        }
        let error = EvyError(
            .badValue, "\(option) \(name.debugDescription) of a unix socket holds a \"&\" or a \"?\"")
        return Listener(source: .refused(error), tls: tls)
    }

    private func with(_ name: String, _ value: String) -> Listener {
        let text: String
        switch source {
        case .address(let address): text = address
        case .descriptor(let descriptor): text = "fd://\(descriptor)"
        case .refused: return self
        }
        let separator = text.contains("?") ? "&" : "?"
        return Listener(source: .address("\(text)\(separator)\(name)=\(value)"), tls: tls)
    }
}
