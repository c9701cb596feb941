// SPDX-License-Identifier: MIT
// Sockets - opens, binds and adopts listening sockets; errors as text that names the address.
// Room: System. Spec: socket(7), ip(7), ipv6(7), unix(7), getaddrinfo(3).

internal import CSystem
internal import Glibc

struct SocketError: Error {
    var errno: Int32
    var text: String
}

/// A bound, listening, non-blocking socket, and the file it may have.
struct BoundSocket {
    let descriptor: Int32
    var file: SocketFile?
    /// Others may have it too: the host, or the process it came from.
    var isAdopted = false
}

enum Sockets {
    static func listen(
        _ address: ListenAddress, backlog: Int32, reusePort: Bool
    ) throws(SocketError) -> BoundSocket {
        let backlog = address.traits.backlog ?? backlog
        switch address.form {
        case .internet(let host, let port):
            return BoundSocket(
                descriptor: try listenInternet(
                    address, host: host, port: port, backlog: backlog, reusePort: reusePort))
        case .unix(let path):
            return try listenUnix(address, backlog) { (fd) throws(SocketError) in
                try UnixSocket.bind(fd, to: path, address.traits)
            }
        case .abstract(let name):
            return try listenUnix(address, backlog) { (fd) throws(SocketError) in
                try UnixSocket.bind(fd, toAbstract: name)
                return nil
            }
        case .descriptor, .systemd:
            // These are adopted when they are named.
            throw failure("bind", address, EINVAL)
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
            // Always said: what a system does without being told is its administrator's choice.
            if first.pointee.ai_family == AF_INET6 {
                let value: Int32 = address.traits.onlyIPv6 ? 1 : 0
                try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address, value)
            }
            try check(bind(fd, first.pointee.ai_addr, first.pointee.ai_addrlen), "bind", address)
            try check(Glibc.listen(fd, backlog), "listen on", address)
        } catch {
            SystemCalls.close(fd)
            throw error
        }
        return fd
    }

    /// Mode and owner are set before listen: until then every connect is refused.
    private static func listenUnix(
        _ address: ListenAddress, _ backlog: Int32, _ bind: (Int32) throws(SocketError) -> SocketFile?
    ) throws(SocketError) -> BoundSocket {
        let fd = try open(address, family: AF_UNIX)
        var file: SocketFile?
        do throws(SocketError) {
            file = try bind(fd)
        } catch {
            SystemCalls.close(fd)
            throw SocketError(errno: error.errno, text: "cannot bind \(address.text): \(error.text)")
        }
        guard Glibc.listen(fd, backlog) == 0 else {
            let code = errno
            file?.remove()
            SystemCalls.close(fd)
            throw failure("listen on", address, code)
        }
        return BoundSocket(descriptor: fd, file: file)
    }

    /// A duplicate of a bound stream socket of the host, listening and non-blocking.
    static func adopt(_ fd: Int32, backlog: Int32) throws(SocketError) -> Int32 {
        let name = "descriptor \(fd)"
        let copy = try duplicate(fd, of: name)
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

    static func duplicate(_ fd: Int32, of name: String) throws(SocketError) -> Int32 {
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw failure("use", name, errno) }
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

    private static func set(
        _ fd: Int32, _ level: Int32, _ option: Int32, _ address: ListenAddress, _ value: Int32 = 1
    ) throws(SocketError) {
        var value = value
        try check(
            setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size)), "set up", address)
    }

    private static func check(_ result: Int32, _ what: String, _ address: ListenAddress) throws(SocketError) {
        try check(result, what, address.text)
    }

    private static func check(_ result: Int32, _ what: String, _ name: String) throws(SocketError) {
        guard result >= 0 else { throw failure(what, name, errno) }
    }

    private static func failure(_ what: String, _ address: ListenAddress, _ code: Int32) -> SocketError {
        failure(what, address.text, code)
    }

    private static func failure(_ what: String, _ name: String, _ code: Int32) -> SocketError {
        SocketError(errno: code, text: "cannot \(what) \(name): \(SystemCalls.text(of: code))")
    }
}
