// SPDX-License-Identifier: MIT
// bandwidth - sends 25 MiB and tells, by a post hook, what each client really got.
// swift run evy-bandwidth-swift, then: curl -o /dev/null http://127.0.0.1:8090/ and stop it half-way.
import Evy
import Glibc

let total = 25 << 20
let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 65536)

/// Runs after the last byte has gone out, or when the client has left before.
@Sendable func report(_ request: borrowing Request, _ outcome: Outcome) {
    let end = outcome.end.map { "\($0)" } ?? "?"
    print(
        "\(request.method) \(request.path) \(outcome.status?.code ?? 0) \(end):",
        "body \(outcome.bodyBytes) of \(outcome.contentLength ?? -1),",
        "wire \(outcome.wireBytes), acked \(outcome.ackedBytes ?? -1)")
    fflush(nil)
}

do {
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
    let server = try Server(on: .tcp(port: port)) { request in
        try request.onComplete(report)
        let type: Headers = ["Content-Type": "application/octet-stream"]
        let writer = try request.begin(.ok, headers: type, length: Int64(total))
        for _ in 0..<(total / piece.count) {
            try writer.write(piece)  // waits while the client is slow, throws when it has left
        }
        try writer.end()
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("bandwidth: \(error)")
    exit(1)
}
