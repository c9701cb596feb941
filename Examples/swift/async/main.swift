// SPDX-License-Identifier: MIT
// async - each request is a task: it waits without holding a thread, and ends when its client leaves.
// swift run evy-async-swift [PORT]
//   GET /          a line            POST /echo   the body back, piece by piece, while it comes
//   GET /big       64 MiB            GET /wait    an answer after a second
//   GET /active    how many requests are under way
//   GET /forever   waits until the client leaves
//   GET /stop      ends the program; requests under way are finished first
import Evy
import Glibc

let piece = SharedBytes(String(repeating: "0123456789abcdef", count: 4096))
let (stops, stopping) = AsyncStream.makeStream(of: Void.self)

/// A line at once, whoever reads it.
@Sendable func say(_ text: String) {
    print(text)
    fflush(nil)
}

@Sendable func answer(_ request: AsyncRequest) async throws {
    switch request.request.path {
    case "/": try request.respond(.ok, body: "Hello, task!\n")
    case "/echo":
        let writer = try request.begin(.ok)
        for try await piece in request.body { try await writer.write(piece) }
        try writer.end()
    case "/big":
        let writer = try request.begin(.ok, length: Int64(1024 * piece.count))
        for _ in 0..<1024 { try await writer.write(sharing: piece) }
        try writer.end()
    case "/wait":
        try await Task.sleep(for: .seconds(1))
        try request.respond(.ok, body: "waited\n")
    case "/active": try request.respond(.ok, body: "\(server.counters[.requestsActive])\n")
    case "/forever":
        do {
            try await Task.sleep(for: .seconds(3600))
        } catch {
            say("cancelled: \(request.request.isGone ? "the client has gone" : "\(error)")")
            throw error
        }
    case "/stop":
        try request.respond(.ok, body: "stopping\n")
        stopping.yield()
    default: try request.respond(404, body: "Not Found\n")
    }
}

/// Ends the program, with the reason, where there can be no server.
func makeServer() -> Server {
    var options = Options()
    options.body = .stream  // a task begins before the body has come
    do {
        let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
        return try Server(taskPerRequestOn: .tcp(port: port), options: options, handler: answer)
    } catch {
        print("async: \(error)")
        exit(1)
    }
}

let server = makeServer()
say("http://127.0.0.1:\(server.port)/")
let serving = Task { try await server.serve() }
for await _ in stops { break }
serving.cancel()
try await serving.value
say("stopped")
