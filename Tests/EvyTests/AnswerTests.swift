// SPDX-License-Identifier: MIT
// AnswerTests - the further ways to answer: hints, shared bytes, files, trailers, notices, the socket.
internal import Evy
internal import Glibc
internal import Synchronization
internal import Testing

private func serving(_ handler: @escaping Server.Handler) throws -> Server {
    let server = try Server(on: .tcp("127.0.0.1", port: 0), handler: handler)
    try server.start()
    return server
}

@Test func hintsComeAheadOfTheAnswer() throws {
    let server = try serving { request in
        try request.inform(103, headers: ["Link": "</a>"])
        try request.flush()
        try request.respond(.ok, body: "done")
    }
    let client = try RawClient(port: server.port)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(try client.line() == "HTTP/1.1 103 Early Hints")
    #expect(try client.line() == "Link: </a>")
    #expect(try client.line() == "")
    #expect(try client.answer().text == "done")
}

@Test func sharedBytesAreSentWhole() throws {
    let shared = SharedBytes([UInt8](repeating: 0x61, count: 300_000))
    let server = try serving { request in
        if request.path == "/whole" { return try request.respond(.ok, sharing: shared) }
        let writer = try request.begin(.ok)
        try writer.write("b")
        try writer.write(sharing: shared)
        try writer.write("c")
        try writer.end()
    }
    let client = try RawClient(port: server.port)
    client.send("GET /whole HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(try client.answer().text.utf8.count == 300_000)
    let text = try client.answer().text
    #expect(text.utf8.count == 300_002 && text.hasPrefix("ba") && text.hasSuffix("ac"))
}

@Test func aPartOfAFileIsSent() throws {
    let path = "/tmp/evy-answers-\(getpid())"
    let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
    defer {
        close(file)
        unlink(path)
    }
    #expect(write(file, "0123456789", 10) == 10)
    let server = try serving { request in
        let writer = try request.begin(.ok, length: 4)
        try writer.write(file: file, offset: 3, length: 4)
        try writer.end()
    }
    let client = try RawClient(port: server.port)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(try client.answer().text == "3456")
}

@Test func trailersGoBothWays() throws {
    let server = try serving { request in
        let sum = request.trailers["X-Sum"] ?? "none"
        let writer = try request.begin(.ok)
        try writer.write("x")
        #expect(throws: EvyError.self) { try writer.end(trailers: ["Content-Length": "1"]) }
        try writer.end(trailers: ["X-Got": sum])
    }
    let client = try RawClient(port: server.port)
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n")
    var lines: [String] = []
    repeat { lines.append(try client.line()) } while !lines.contains("0")
    #expect(try client.line() == "X-Got: 7")
    #expect(try client.line() == "")
}

@Test func theClientsLeavingIsTold() throws {
    let seen = Collector<Bool>()
    let server = try serving { request in
        let kept = Mutex<PendingRequest?>(request.retain())
        try request.onGone { request in
            seen.add(request.isGone)
            kept.withLock { $0 = nil }
        }
    }
    do {
        let client = try RawClient(port: server.port)
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        client.send("")
    }
    #expect(try seen.wait(for: 1) == [true])
}

@Test func aConnectionCanBeTakenOver() throws {
    let ends = Collector<Outcome.End?>()
    let server = try serving { request in
        try request.onComplete { _, outcome in ends.add(outcome.end) }
        let socket = try request.takeSocket()
        _ = write(socket, "mine\r\n", 6)
        close(socket)
    }
    let client = try RawClient(port: server.port)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(try client.line() == "mine")
    #expect(try ends.wait(for: 1) == [.upgraded])
}
