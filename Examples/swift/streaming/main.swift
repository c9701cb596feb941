// SPDX-License-Identifier: MIT
// streaming - sends answers of any length and takes uploads of any length, in a few KiB of memory.
// swift run evy-streaming-swift, then:
//   curl "http://127.0.0.1:8090/count?1000000"      the numbers 1, 2, ... as they are made
//   curl -T big.file http://127.0.0.1:8090/upload   how many bytes came
import Evy
import Glibc

/// A line per number; the length is not known beforehand, so it is sent in chunks.
@Sendable func count(_ request: borrowing Request) throws {
    let last = Int(request.query) ?? 10
    let writer = try request.begin(.ok, headers: ["Content-Type": "text/plain"])
    var lines = ""
    for number in stride(from: 1, through: last, by: 1) {
        lines += "\(number)\n"
        if lines.utf8.count > 16000 || number == last {
            try writer.write(lines)  // waits while the client is slow, throws when it has left
            lines = ""
        }
    }
    try writer.end()
}

/// The body is read as it arrives; a client that is too fast is held up.
@Sendable func upload(_ request: borrowing Request) throws {
    var total = 0
    while let piece = try request.read() { total += piece.count }
    try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: "\(total) bytes\n")
}

do {
    var options = Options()
    options.body = .stream  // handlers get a request before its body
    options.maxBodySize = 0  // no limit
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
    let server = try Server(on: .tcp(port: port), options: options) { request in
        switch request.path {
        case "/count": try count(request)
        case "/upload": try upload(request)
        default: try request.respond(.notFound, body: "Not Found\n")
        }
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("streaming: \(error)")
    exit(1)
}
