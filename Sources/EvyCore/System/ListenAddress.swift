// SPDX-License-Identifier: MIT
// ListenAddress - turns the text of an address to listen on into its form and what it asks for.
// Room: System. Spec: evy.h, evy_config_listen.

struct ListenAddressError: Error {
    let reason: String
}

/// Where to listen, as the host wrote it.
struct ListenAddress {
    enum Form {
        case internet(host: String, port: UInt16)
        case unix(path: String)
        /// A name outside the file system.
        case abstract(name: String)
        /// A socket this process was started with.
        case descriptor(Int32)
        /// The sockets of systemd with this name; nil: all of them.
        case systemd(name: String?)
    }

    /// What stands behind "?": each belongs to this listener alone.
    struct Traits {
        var mode: UInt32?
        var user: String?
        var group: String?
        var backlog: Int32?
        var onlyIPv6 = true
        /// nil: as option proxy_protocol says.
        var takesProxyHeader: Bool?
    }

    let text: String
    let form: Form
    private(set) var traits = Traits()

    /// The bytes of sun_path, one of them for the NUL or the "@".
    static let unixNameMax = 107

    init(_ text: String) throws(ListenAddressError) {
        self.text = text
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        form = try Self.form(of: String(parts[0]))
        guard parts.count == 2 else { return }
        for pair in parts[1].split(separator: "&", omittingEmptySubsequences: false) {
            try set(String(pair))
        }
    }

    private static func form(of place: String) throws(ListenAddressError) -> Form {
        if place.hasPrefix("unix:") { return try unix(String(place.dropFirst(5))) }
        if place.hasPrefix("fd://") {
            guard let number = number(place.dropFirst(5), upTo: Int64(Int32.max)) else {
                throw ListenAddressError(reason: "fd:// wants the number of a descriptor")
            }
            return .descriptor(Int32(truncatingIfNeeded: number))
        }
        if place.hasPrefix("systemd:") {
            let name = String(place.dropFirst(8))
            return .systemd(name: name.isEmpty ? nil : name)
        }
        return try internet(place)
    }

    private static func unix(_ path: String) throws(ListenAddressError) -> Form {
        guard path.utf8.count <= unixNameMax else {
            throw ListenAddressError(reason: "the path is longer than \(unixNameMax) bytes")
        }
        guard path.hasPrefix("@") else {
            if path.isEmpty { throw ListenAddressError(reason: "unix: wants a path, or @ and a name") }
            return .unix(path: path)
        }
        if path.utf8.count == 1 { throw ListenAddressError(reason: "there is no name behind the @") }
        return .abstract(name: String(path.dropFirst()))
    }

    private static func internet(_ place: String) throws(ListenAddressError) -> Form {
        let forms = "host:port, [v6]:port, unix:/path, unix:@name, fd://N or systemd:NAME"
        guard let colon = place.lastIndex(of: ":") else {
            throw ListenAddressError(reason: "it is none of \(forms)")
        }
        guard let port = number(place[place.index(after: colon)...], upTo: 65535) else {
            throw ListenAddressError(reason: "its port is not a number up to 65535")
        }
        var host = String(place[..<colon])
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.count > 2 else {
                throw ListenAddressError(reason: "its [ ] hold no address")
            }
            host = String(host.dropFirst().dropLast())
        } else if host.contains(where: { $0 == ":" || $0.isWhitespace }) {
            throw ListenAddressError(reason: "it is none of \(forms)")
        }
        return .internet(host: host.isEmpty ? "0.0.0.0" : host, port: UInt16(truncatingIfNeeded: port))
    }

    // MARK: Traits

    private mutating func set(_ pair: String) throws(ListenAddressError) {
        let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        let value = parts.count == 2 ? String(parts[1]) : ""
        switch name {
        case "mode": traits.mode = try checkedFile(name, Self.mode(value), "an octal number such as 660")
        case "user": traits.user = try checkedFile(name, value.isEmpty ? nil : value, "a name or a number")
        case "group": traits.group = try checkedFile(name, value.isEmpty ? nil : value, "a name or a number")
        case "proxy": traits.takesProxyHeader = try checked(name, Self.flag(value), "0 or 1")
        case "backlog":
            let count = Self.number(value[...], upTo: 65535).flatMap { $0 > 0 ? Int32($0) : nil }
            traits.backlog = try checked(name, count, "a number from 1 to 65535")
        case "v6only":
            guard case .internet(let host, _) = form, host.contains(":") else {
                throw ListenAddressError(reason: "v6only is for [v6]:port")
            }
            traits.onlyIPv6 = try checked(name, Self.flag(value), "0 or 1")
        default:
            throw ListenAddressError(
                reason: "\"\(name)\" is none of mode, user, group, proxy, backlog and v6only")
        }
    }

    private func checked<Value>(
        _ name: String, _ value: Value?, _ form: String
    ) throws(ListenAddressError) -> Value {
        guard let value else { throw ListenAddressError(reason: "\(name) is \(form)") }
        return value
    }

    /// The same for what only a file has.
    private func checkedFile<Value>(
        _ name: String, _ value: Value?, _ form: String
    ) throws(ListenAddressError) -> Value {
        guard case .unix = self.form else {
            throw ListenAddressError(reason: "\(name) is for the path of a unix socket")
        }
        return try checked(name, value, form)
    }

    private static func flag(_ text: String) -> Bool? { text == "1" ? true : text == "0" ? false : nil }

    private static func mode(_ text: String) -> UInt32? {
        guard !text.hasPrefix("+"), let value = UInt32(text, radix: 8), value <= 0o777 else { return nil }
        return value
    }

    /// Digits alone: no sign, no space.
    private static func number(_ text: Substring, upTo bound: Int64) -> Int64? {
        guard !text.hasPrefix("+"), let value = Int64(text), value >= 0, value <= bound else { return nil }
        return value
    }
}
