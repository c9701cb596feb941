// SPDX-License-Identifier: MIT
// billing - bills each client for the bytes it really got, from post hooks and a log of the day.
// swift run evy-billing-swift serve 8090 usage.log   answers /N with N bytes, writes a line for each request
// swift run evy-billing-swift bill usage.log [DAY]   adds the lines up (of one day, 2026-11-22) by client
// A client is who its X-Api-Key says, or the address it comes from. GET /stop ends the server: it then tells
// what its counters say, and the bills of the log come to the same sum.
import Evy
import Glibc

// MARK: serve

/// Only bytes that need no quoting in JSON: a client chooses its key itself.
@Sendable func clientName(_ request: borrowing Request) -> String {
    let key = request["HTTP_X_API_KEY"] ?? ""
    let name = (key.isEmpty ? request.remoteAddress : key).utf8.prefix(63).map { byte in
        (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            ? byte : UInt8(ascii: "_")
    }
    return String(decoding: name, as: UTF8.self)
}

@Sendable func utc() -> String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    var text = [CChar](repeating: 0, count: 32)
    strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs once for each request, however it ended. One write a line: hooks of several threads may run side by
/// side, and the file is appended to.
@Sendable func bill(_ request: borrowing Request, _ outcome: Outcome, in log: Int32) {
    let sums = "\"in\":\(outcome.wireBytesReceived),\"out\":\(outcome.wireBytes)"
    let end = outcome.end.map { "\($0)" } ?? "?"
    let line = "{\"time\":\"\(utc())\",\"client\":\"\(clientName(request))\",\(sums),\"end\":\"\(end)\"}\n"
    if write(log, line, line.utf8.count) < 0 { perror("billing") }
}

@Sendable func answer(_ request: borrowing Request) throws {
    if request.path == "/stop" {
        try request.respond(.ok, body: "bye\n")
        return request.stopServer(grace: .seconds(5))
    }
    var left = max(0, Int(request.path.dropFirst()) ?? 0)
    let piece = [UInt8](repeating: 0, count: 4096)
    let type: Headers = ["Content-Type": "application/octet-stream"]
    let writer = try request.begin(.ok, headers: type, length: Int64(left))
    while left > 0 {
        try writer.write(piece.prefix(left))  // throws when the client has left; the hook knows the rest
        left -= min(left, piece.count)
    }
    try writer.end()
}

func serve(port: UInt16, file: String) throws {
    let log = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard log >= 0 else { throw Failure(file: file) }
    let server = try Server(on: .tcp(port: port)) { request in
        try request.onComplete { request, outcome in bill(request, outcome, in: log) }
        try answer(request)
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
    let counters = server.counters
    let sums = "in \(counters[.bytesIn]), out \(counters[.bytesOut])"
    print("served \(counters[.requestsTotal]) requests, \(sums)")
}

// MARK: bill

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(file: String) { description = "\(file): \(String(cString: strerror(errno)))" }
}

struct Account {
    var requests = 0, bytesIn = 0, bytesOut = 0

    mutating func add(_ bytesIn: Int, _ bytesOut: Int) {
        requests += 1
        self.bytesIn += bytesIn
        self.bytesOut += bytesOut
    }
}

func addUp(file: String, day: String) throws {
    guard let log = fopen(file, "r") else { throw Failure(file: file) }
    defer { fclose(log) }
    var accounts: [String: Account] = [:]
    var sum = Account()
    while let line = readLine(of: log) {
        // Between quotes: ... the time [3], ... the client [7], ... in [10], ... out [12].
        let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
        guard parts.count > 12, parts[3].hasPrefix(day), let bytesIn = number(parts[10]),
            let bytesOut = number(parts[12])
        else { continue }
        accounts[String(parts[7]), default: Account()].add(bytesIn, bytesOut)
        sum.add(bytesIn, bytesOut)
    }
    for (client, account) in accounts.sorted(by: { $0.key < $1.key }) {
        print(client, account.requests, account.bytesIn, account.bytesOut)
    }
    print("total \(sum.requests) requests, in \(sum.bytesIn), out \(sum.bytesOut)")
}

func number(_ text: Substring) -> Int? { Int(text.filter { $0 != ":" && $0 != "," }) }

func readLine(of file: UnsafeMutablePointer<FILE>) -> String? {
    var line: UnsafeMutablePointer<CChar>?
    var room = 0
    defer { free(line) }
    return getline(&line, &room, file) < 0 ? nil : line.map { String(cString: $0) }
}

let arguments = CommandLine.arguments
do {
    switch (arguments.count, arguments.dropFirst().first) {
    case (4, "serve"): try serve(port: UInt16(arguments[2]) ?? 8090, file: arguments[3])
    case (3, "bill"): try addUp(file: arguments[2], day: "")
    case (4, "bill"): try addUp(file: arguments[2], day: arguments[3])
    default:
        print("usage: billing serve PORT LOG | billing bill LOG [DAY]")
        exit(2)
    }
} catch {
    print("billing: \(error)")
    exit(1)
}
