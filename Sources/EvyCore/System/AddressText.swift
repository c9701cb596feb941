// SPDX-License-Identifier: MIT
// AddressText - writes a socket address as digits, without allocation.
// Room: System. Spec: RFC 5952 (IPv6 text), by inet_ntop(3).

internal import CSystem
internal import Glibc

extension evy_address {
    static let textMax = 46  // INET6_ADDRSTRLEN
    var isUnix: Bool { family == 1 }
    var isIPv6: Bool { family == 6 }

    /// All addresses of the host: "0.0.0.0" or "::".
    var isWildcard: Bool {
        switch family {
        case 4: return bytes.0 | bytes.1 | bytes.2 | bytes.3 == 0
        case 6: return withUnsafeBytes(of: bytes) { $0.allSatisfy { $0 == 0 } }
        default: return false
        }
    }

    /// Writes "127.0.0.1", "::1" or "unix" and returns the number of bytes, without a NUL.
    func write(into room: UnsafeMutableRawBufferPointer) -> Int {
        guard room.count >= Self.textMax, let base = room.baseAddress else { return 0 }
        guard family == 4 || family == 6 else {
            room.copyBytes(from: "unix".utf8)
            return 4
        }
        let text = base.assumingMemoryBound(to: CChar.self)
        let written = withUnsafeBytes(of: bytes) {
            inet_ntop(family == 4 ? AF_INET : AF_INET6, $0.baseAddress, text, socklen_t(Self.textMax))
        }
        return written == nil ? 0 : strlen(text)
    }

    var text: String {
        withUnsafeTemporaryAllocation(byteCount: Self.textMax, alignment: 1) { room in
            let count = write(into: room)
            return String(decoding: UnsafeRawBufferPointer(room)[..<count], as: UTF8.self)
        }
    }
}
