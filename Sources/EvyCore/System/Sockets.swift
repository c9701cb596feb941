// SPDX-License-Identifier: MIT
// Sockets - opens, binds and adopts listening sockets; errors as text that names the address.
// Room: System. Spec: socket(7), ip(7), ipv6(7), unix(7), getaddrinfo(3).

internal import CSystem
internal import Glibc

struct SocketError: Error {
    var errno: Int32
    var text: String
}

/// Where to listen, as the host wrote it.
struct ListenAddress {
    enum Form {
        case internet(host: String, port: UInt16)
        case unix(path: String, mode: UInt32?)
    }
    var text: String
    var form: Form

    /// "host:port", ":port", "[v6]:port", "unix:/path", "unix:/path?mode=660"; nil: none of these.
    init?(_ text: String) {
        self.text = text
        if text.hasPrefix("unix:") {
            let parts = text.dropFirst(5).split(
                separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            var mode: UInt32?
            if parts.count == 2 {
                guard parts[1].hasPrefix("mode="), let value = UInt32(parts[1].dropFirst(5), radix: 8),
                    value <= 0o777
                else { return nil }
                mode = value
            }
            let path = String(parts[0])
            guard !path.isEmpty, path.utf8.count < 108 else { return nil }
            form = .unix(path: path, mode: mode)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            !text[text.index(after: colon)...].hasPrefix("+")
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.count > 2 else { return nil }
            host = String(host.dropFirst().dropLast())
        } else if host.contains(where: { $0 == ":" || $0.isWhitespace }) {
            return nil
        }
        form = .internet(host: host.isEmpty ? "0.0.0.0" : host, port: port)
    }
}

enum Sockets {
    /// A bound, listening, non-blocking socket.
    static func listen(_ address: ListenAddress, backlog: Int32, reusePort: Bool) throws(SocketError) -> Int32
    {
        switch address.form {
        case .internet(let host, let port):
            return try listenInternet(address, host: host, port: port, backlog: backlog, reusePort: reusePort)
        case .unix(let path, let mode):
            return try listenUnix(address, path: path, mode: mode, backlog: backlog)
        }
    }

    private static func listenInternet(
        _ address: ListenAddress, host: String, port: UInt16, backlog: Int32, reusePort: Bool
    ) throws(SocketError) -> Int32 {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let resolved = getaddrinfo(host, String(port), &hints, &list)
        guard resolved == 0, let first = list else {
            let why =
                resolved == EAI_SYSTEM ? SystemCalls.text(of: errno) : String(cString: gai_strerror(resolved))
            throw SocketError(errno: EADDRNOTAVAIL, text: "cannot resolve \(address.text): \(why)")
        }
        defer { freeaddrinfo(first) }
        let fd = try open(address, family: first.pointee.ai_family)
        do throws(SocketError) {
            try set(fd, SOL_SOCKET, SO_REUSEADDR, address)
            if reusePort { try set(fd, SOL_SOCKET, SO_REUSEPORT, address) }
            // "[::]" is IPv6 alone: two listeners say it when both are wanted.
            if first.pointee.ai_family == AF_INET6 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address) }
            try check(bind(fd, first.pointee.ai_addr, first.pointee.ai_addrlen), "bind", address)
            try check(Glibc.listen(fd, backlog), "listen on", address)
        } catch {
            SystemCalls.close(fd)
            throw error
        }
        return fd
    }

    private static func listenUnix(
        _ address: ListenAddress, path: String, mode: UInt32?, backlog: Int32
    ) throws(SocketError) -> Int32 {
        let fd = try open(address, family: AF_UNIX)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { room in
            for (index, byte) in path.utf8.prefix(room.count - 1).enumerated() { room[index] = byte }
        }
        do throws(SocketError) {
            removeStale(path, name)
            // The mode is set before listen, so nobody can connect while it is still too wide.
            try check(bindUnix(fd, name), "bind", address)
            if let mode { try check(chmod(path, mode), "set the mode of", address) }
            try check(Glibc.listen(fd, backlog), "listen on", address)
        } catch {
            SystemCalls.close(fd)
            throw error
        }
        return fd
    }

    private static func bindUnix(_ fd: Int32, _ name: sockaddr_un) -> Int32 {
        withUnsafeBytes(of: name) { raw in
            guard let base = raw.baseAddress else { return -1 }
            return bind(fd, base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }

    /// A socket file whose server is dead is removed; a live one, or any other file, stays and bind says so.
    private static func removeStale(_ path: String, _ name: sockaddr_un) {
        var facts = stat()
        guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFSOCK else { return }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0x80000, 0)
        guard probe >= 0 else { return }
        defer { SystemCalls.close(probe) }
        let connected = withUnsafeBytes(of: name) { raw -> Int32 in
            guard let base = raw.baseAddress else { return 0 }
            return connect(probe, base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
        if connected < 0, errno == ECONNREFUSED { unlink(path) }
    }

    /// A duplicate of a bound stream socket of the host, listening and non-blocking.
    static func adopt(_ fd: Int32, backlog: Int32) throws(SocketError) -> Int32 {
        let name = ListenAddress.descriptor(fd)
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw failure("use", name, errno) }
        do throws(SocketError) {
            if !isListening(copy) { try check(Glibc.listen(copy, backlog), "listen on", name) }
            let flags = fcntl(copy, F_GETFL)
            try check(fcntl(copy, F_SETFL, flags | O_NONBLOCK), "use", name)
        } catch {
            SystemCalls.close(copy)
            throw error
        }
        return copy
    }

    /// nil when fd is a bound stream socket; else what is wrong with it.
    static func problem(withListener fd: Int32) -> String? {
        var type: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 else {
            return "descriptor \(fd) is not a socket: \(SystemCalls.text(of: errno))"
        }
        guard type == Int32(SOCK_STREAM.rawValue) else { return "descriptor \(fd) is not a stream socket" }
        let local = SystemCalls.localAddress(fd)
        if local.family == 0 { return "descriptor \(fd) is not an IPv4, IPv6 or unix socket" }
        if local.family != 1, local.port == 0 { return "descriptor \(fd) is not bound to an address" }
        return nil
    }

    static func isOpen(_ fd: Int32) -> Bool { fcntl(fd, F_GETFD) >= 0 }

    private static func isListening(_ fd: Int32) -> Bool {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value != 0
    }

    private static func open(_ address: ListenAddress, family: Int32) throws(SocketError) -> Int32 {
        // SOCK_CLOEXEC | SOCK_NONBLOCK
        let fd = socket(family, Int32(SOCK_STREAM.rawValue) | 0x80000 | 0x800, 0)
        guard fd >= 0 else { throw failure("open a socket for", address, errno) }
        return fd
    }

    private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ address: ListenAddress)
        throws(SocketError)
    {
        var one: Int32 = 1
        try check(setsockopt(fd, level, option, &one, socklen_t(MemoryLayout<Int32>.size)), "set up", address)
    }

    private static func check(_ result: Int32, _ what: String, _ address: ListenAddress) throws(SocketError) {
        guard result >= 0 else { throw failure(what, address, errno) }
    }

    private static func failure(_ what: String, _ address: ListenAddress, _ code: Int32) -> SocketError {
        SocketError(errno: code, text: "cannot \(what) \(address.text): \(SystemCalls.text(of: code))")
    }
}

extension ListenAddress {
    /// Only a name for error texts.
    fileprivate static func descriptor(_ fd: Int32) -> ListenAddress {
        ListenAddress(text: "descriptor \(fd)", form: .internet(host: "", port: 0))
    }

    private init(text: String, form: Form) {
        self.text = text
        self.form = form
    }
}
