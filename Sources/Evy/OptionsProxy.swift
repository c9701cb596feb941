// SPDX-License-Identifier: MIT
// OptionsProxy - the options of a server behind proxies as typed members.
// Room: Evy (the Swift face).

extension Options {
    /// Headers by which a proxy tells of its client.
    public enum ForwardedHeader: String, Sendable, CaseIterable {
        case xForwardedFor = "x-forwarded-for"
        case xForwardedProto = "x-forwarded-proto"
        case xForwardedHost = "x-forwarded-host"
        case xForwardedPort = "x-forwarded-port"
        /// RFC 7239; alone, because a proxy that sets it passes the others on as the client sent them.
        case forwarded
    }

    /// Every connection begins with a PROXY protocol header, version 1 or 2, ahead of TLS too.
    public var requiresProxyProtocol: Bool? {
        get { self["proxy_protocol"].map { $0 == "require" } }
        set { self["proxy_protocol"] = newValue.map { $0 ? "require" : "off" } }
    }

    /// Peers whose forwarded headers count: addresses, networks ("10.0.0.0/8"), "unix", or "*" for all.
    public var trustedProxies: [String]? {
        get { self["trusted_proxies"].map { $0.split { ", ".contains($0) }.map { String($0) } } }
        set { self["trusted_proxies"] = newValue?.joined(separator: ", ") }
    }

    /// The headers that count: those the proxies set themselves. Others are the client's own words.
    public var forwardedHeaders: [ForwardedHeader]? {
        get {
            self["forwarded_headers"].map { text in
                text.split { ", ".contains($0) }.compactMap { ForwardedHeader(rawValue: $0.lowercased()) }
            }
        }
        set { self["forwarded_headers"] = newValue?.map(\.rawValue).joined(separator: ", ") }
    }
}
