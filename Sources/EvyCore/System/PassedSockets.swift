// SPDX-License-Identifier: MIT
// PassedSockets - finds the sockets that a service manager has started this process with.
// Room: System. Spec: sd_listen_fds(3). The environment is only read: the host may ask again.

internal import CSystem
internal import Glibc

enum PassedSockets {
    private static let firstDescriptor: Int32 = 3

    /// The descriptors of this name, or all of them; never none.
    static func named(_ wanted: String?) throws(SocketError) -> [Int32] {
        let count = try passedCount()
        guard let wanted else { return (0..<count).map { firstDescriptor + $0 } }
        let names = self.names(count)
        let found = (0..<count).filter { names[Int($0)] == wanted }.map { firstDescriptor + $0 }
        guard !found.isEmpty else {
            let all = names.map { "\"\($0)\"" }.joined(separator: ", ")
            throw missing("no socket was passed under the name \"\(wanted)\", but \(all)")
        }
        return found
    }

    private static func passedCount() throws(SocketError) -> Int32 {
        guard let process = variable("LISTEN_PID") else {
            throw missing("LISTEN_PID is not set: this process was not started with sockets")
        }
        guard Int32(process) == evy_process() else {
            throw missing("LISTEN_PID is \"\(process)\", but this process is \(evy_process())")
        }
        guard let text = variable("LISTEN_FDS") else { throw missing("LISTEN_FDS is not set") }
        guard let count = Int32(text), count >= 1, count <= 1 << 16 else {
            throw missing("LISTEN_FDS is \"\(text)\", which is no number of sockets")
        }
        return count
    }

    /// One for each socket; systemd's own word for those without one.
    private static func names(_ count: Int32) -> [String] {
        var names = variable("LISTEN_FDNAMES").map {
            $0.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
        }
        names = names ?? []
        return (0..<Int(count)).map { index in
            guard let names, index < names.count else { return "unknown" }
            return names[index]
        }
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func missing(_ text: String) -> SocketError { SocketError(errno: ENOENT, text: text) }
}
