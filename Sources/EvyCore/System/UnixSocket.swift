// SPDX-License-Identifier: MIT
// UnixSocket - binds a unix socket so that its mode and owner are right before anybody can connect.
// Room: System. Spec: unix(7), flock(2), open(2) O_PATH.

internal import CSystem
internal import Glibc

/// The file that a bind has made. It may be removed by the process that bound it, and only while it is
/// still that file: another server may have taken the path over.
struct SocketFile {
    let path: String
    private let device: UInt64
    private let inode: UInt64
    private let process: Int32

    fileprivate init(path: String, facts: stat) {
        self.path = path
        device = UInt64(facts.st_dev)
        inode = UInt64(facts.st_ino)
        process = evy_process()
    }

    /// To be called while the socket still listens: a dead file could be replaced between look and unlink.
    func remove() {
        var facts = stat()
        guard evy_process() == process, lstat(path, &facts) == 0, UInt64(facts.st_dev) == device,
            UInt64(facts.st_ino) == inode
        else { return }
        unlink(path)
    }
}

enum UnixSocket {
    /// Binds the descriptor. A file that no server listens behind is replaced; the umask is not touched,
    /// because it belongs to the whole process.
    static func bind(
        _ fd: Int32, to path: String, _ traits: ListenAddress.Traits
    ) throws(SocketError) -> SocketFile {
        let user = try traits.user.map { (name) throws(SocketError) in try Account.user(name) }
        let group = try traits.group.map { (name) throws(SocketError) in try Account.group(name) }
        let directory = lockDirectory(of: path)
        defer { SystemCalls.close(directory) }
        try removeStale(path)
        // The kernel gives the file the mode of the socket, less the umask: never more than was asked for.
        if let mode = traits.mode { fchmod(fd, mode) }
        try check(bindName(fd, Array(path.utf8), isAbstract: false))
        do throws(SocketError) {
            return try finish(path, traits.mode, user, group)
        } catch {
            unlink(path)
            throw error
        }
    }

    static func bind(_ fd: Int32, toAbstract name: String) throws(SocketError) {
        try check(bindName(fd, Array(name.utf8), isAbstract: true))
    }

    /// "unix:/path", "unix:@name", or "unix:" for a socket without a name.
    static func text(of fd: Int32) -> String {
        var name = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutableBytes(of: &name) { raw -> Int32 in
            guard let base = raw.baseAddress else { return -1 }
            return getsockname(fd, base.assumingMemoryBound(to: sockaddr.self), &size)
        }
        guard result == 0 else { return "unix:" }
        return withUnsafeBytes(of: name) { raw in
            let path = raw.prefix(min(Int(size), raw.count)).dropFirst(nameOffset)
            guard path.first == 0 else {
                return "unix:" + String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
            }
            return "unix:@" + String(decoding: path.dropFirst(), as: UTF8.self)
        }
    }

    // MARK: Steps

    private static let nameOffset = MemoryLayout<sa_family_t>.size

    /// Owner and mode of the new file, through a descriptor of it: a path could have been made to lead
    /// elsewhere by whoever may write to its directory. Nobody connects before listen.
    private static func finish(
        _ path: String, _ mode: UInt32?, _ user: uid_t?, _ group: gid_t?
    ) throws(SocketError) -> SocketFile {
        // O_PATH | O_NOFOLLOW | O_CLOEXEC
        let file = open(path, 0x20_0000 | O_NOFOLLOW | O_CLOEXEC)
        try check(file)
        defer { SystemCalls.close(file) }
        var facts = stat()
        try check(fstat(file, &facts))
        guard facts.st_mode & S_IFMT == S_IFSOCK else { throw failure(EEXIST) }
        if user != nil || group != nil {
            // The highest id stands for "as it is"; 0x1000: AT_EMPTY_PATH
            try check(
                fchownat(file, "", user ?? uid_t.max, group ?? gid_t.max, 0x1000), "cannot set the owner: ")
        }
        if let mode { try check(chmod("/proc/self/fd/\(file)", mode), "cannot set the mode: ") }
        return SocketFile(path: path, facts: facts)
    }

    /// Between "nobody listens there" and bind no other server of ours may come to the same conclusion. A
    /// directory that cannot be read, or is held for a second by somebody else, is done without.
    private static func lockDirectory(of path: String) -> Int32 {
        let slash = path.lastIndex(of: "/")
        let name = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return -1 }
        for _ in 0..<100 where flock(directory, LOCK_EX | LOCK_NB) < 0 { usleep(10_000) }
        return directory
    }

    /// A socket file whose server is dead is removed; a live one, or any other file, stays, and it is said.
    private static func removeStale(_ path: String) throws(SocketError) {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return }
        guard facts.st_mode & S_IFMT == S_IFSOCK else {
            throw SocketError(errno: EADDRINUSE, text: "a file that is no socket is there")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0x80000 | 0x800, 0)
        try check(probe)
        defer { SystemCalls.close(probe) }
        let connected = withName(Array(path.utf8), isAbstract: false) { connect(probe, $0, $1) }
        guard connected < 0, errno == ECONNREFUSED else {
            throw SocketError(errno: EADDRINUSE, text: SystemCalls.text(of: EADDRINUSE))
        }
        unlink(path)
    }

    private static func bindName(_ fd: Int32, _ name: [UInt8], isAbstract: Bool) -> Int32 {
        withName(name, isAbstract: isAbstract) { Glibc.bind(fd, $0, $1) }
    }

    /// An abstract name begins with a NUL and ends where its length says.
    private static func withName(
        _ name: [UInt8], isAbstract: Bool, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var room = sockaddr_un()
        room.sun_family = sa_family_t(AF_UNIX)
        let start = nameOffset + (isAbstract ? 1 : 0)
        guard start + name.count <= MemoryLayout<sockaddr_un>.size - (isAbstract ? 0 : 1) else { return -1 }
        return withUnsafeMutableBytes(of: &room) { raw in
            for (index, byte) in name.enumerated() { raw[start + index] = byte }
            guard let base = raw.baseAddress else { return -1 }
            let size = isAbstract ? start + name.count : raw.count
            return body(UnsafePointer(base.assumingMemoryBound(to: sockaddr.self)), socklen_t(size))
        }
    }

    private static func check(_ result: Int32, _ what: String = "") throws(SocketError) {
        guard result >= 0 else { throw failure(errno, what) }
    }

    private static func failure(_ code: Int32, _ what: String = "") -> SocketError {
        SocketError(errno: code, text: what + SystemCalls.text(of: code))
    }
}

/// Users and groups by name or number.
private enum Account {
    static func user(_ name: String) throws(SocketError) -> uid_t {
        if let number = uid_t(name) { return number }
        var room = [CChar](repeating: 0, count: 16384)
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        let code = getpwnam_r(name, &record, &room, room.count, &found)
        guard code == 0, let found else { throw unknown("user", name, code) }
        return found.pointee.pw_uid
    }

    static func group(_ name: String) throws(SocketError) -> gid_t {
        if let number = gid_t(name) { return number }
        var room = [CChar](repeating: 0, count: 65536)
        var record = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        let code = getgrnam_r(name, &record, &room, room.count, &found)
        guard code == 0, let found else { throw unknown("group", name, code) }
        return found.pointee.gr_gid
    }

    private static func unknown(_ kind: String, _ name: String, _ code: Int32) -> SocketError {
        let why = code == 0 ? "there is none of that name" : SystemCalls.text(of: code)
        return SocketError(errno: ENOENT, text: "cannot find \(kind) \"\(name)\": \(why)")
    }
}
