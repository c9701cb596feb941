// SPDX-License-Identifier: MIT
// RawClient - one TCP connection that sends what a test says and reads what comes, byte for byte.
internal import Glibc
internal import Testing

struct RawClientError: Error { let text: String }

/// One answer, taken apart only as far as the tests need.
struct RawAnswer {
    var head: String
    var body: [UInt8]
    /// Head, framing and body.
    var byteCount: Int

    var statusLine: String { String(head.prefix { $0 != "\r\n" }) }
    var text: String { String(decoding: body, as: UTF8.self) }

    func field(_ name: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name.lowercased() {
                return parts[1].trimmingPrefix(" ").description
            }
        }
        return nil
    }
}

final class RawClient {
    private let descriptor: Int32
    private let port: Int
    private var input: [UInt8] = []

    /// `receiveBuffer` makes the window small, so that a server soon has to wait.
    init(port: Int, receiveBuffer: Int32? = nil) throws {
        self.port = port
        // Not for the programs that other tests spawn: they would keep the connection open.
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Every property is set, so deinit closes: a close here would be a second one, of whatever another
        // thread has opened since.
        if result != 0 { throw RawClientError(text: String(cString: strerror(errno))) }
    }

    deinit { close(descriptor) }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// False at the end of the stream.
    private func fill() throws -> Bool {
        var piece = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &piece, piece.count, 0)
        if count < 0 { throw RawClientError(text: String(cString: strerror(errno))) }
        input += piece[..<count]
        return count > 0
    }

    /// At most so many bytes; fewer at the end.
    func receive(_ count: Int) throws -> [UInt8] {
        while input.count < count, try fill() {}
        let taken = Array(input.prefix(count))
        input.removeFirst(taken.count)
        return taken
    }

    func line() throws -> String {
        while true {
            if let end = input.firstIndex(of: 0x0a) {
                let text = String(decoding: input[..<end], as: UTF8.self)
                input.removeSubrange(...end)
                return text.hasSuffix("\r") ? String(text.dropLast()) : text
            }
            guard try fill() else { throw RawClientError(text: "the connection ended in a line") }
        }
    }

    /// Reads one whole answer, whatever its framing.
    func answer(isHead: Bool = false) throws -> RawAnswer {
        var answer = RawAnswer(head: "", body: [], byteCount: 0)
        while true {
            let line = try line()
            answer.byteCount += line.utf8.count + 2
            if line.isEmpty { break }
            answer.head += line + "\r\n"
        }
        if isHead { return answer }
        if let length = answer.field("Content-Length").flatMap({ Int($0) }) {
            answer.body = try receive(length)
            answer.byteCount += answer.body.count
        } else if answer.field("Transfer-Encoding") == "chunked" {
            var size = 0
            repeat {
                let line = try line()
                size = try #require(Int(line, radix: 16))
                answer.body += try receive(size)
                _ = try receive(2)
                answer.byteCount += line.utf8.count + size + 4
            } while size > 0
        }
        return answer
    }

    func get(_ target: String) throws -> RawAnswer {
        send("GET \(target) HTTP/1.1\r\nHost: test\r\n\r\n")
        return try answer()
    }

    /// What this end's TCP has received (tcpi_bytes_received, behind what glibc's struct knows).
    var tcpBytesReceived: Int64 {
        var info = [UInt8](repeating: 0, count: 256)
        var size = socklen_t(info.count)
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size)
        return info.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 128, as: Int64.self) }
    }

    private var ownPort: Int {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The server's TCP has more to send, but nothing on its way: it waits for this end's window to open.
    /// The timer of its window probes in /proc/net/tcp tells.
    var holdsBack: Bool {
        get throws {
            let ends = [ownPort, port].map { number in
                let digits = String(number, radix: 16, uppercase: true)
                return ":" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            guard let table = fopen("/proc/net/tcp", "r") else {
                throw RawClientError(text: "/proc/net/tcp cannot be read")
            }
            defer { fclose(table) }
            var line = [CChar](repeating: 0, count: 512)
            while fgets(&line, Int32(line.count), table) != nil {
                let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
                if words[1].hasSuffix(ends[1]) && words[2].hasSuffix(ends[0]) {
                    return words[5].hasPrefix("04:")
                }
            }
            throw RawClientError(text: "the server's end is gone")
        }
    }

    /// The next close sends a RST.
    func resetOnClose() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    func shutdownWriting() { _ = shutdown(descriptor, Int32(SHUT_WR)) }
}
