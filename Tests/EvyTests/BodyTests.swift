// SPDX-License-Identifier: MIT
// BodyTests - bodies both ways: pulled, pushed, paused; written with back pressure; answered later.
internal import Evy
internal import Glibc
internal import Synchronization
internal import Testing

private func streaming(_ handler: @escaping Server.Handler) throws -> Server {
    var options = Options()
    options.body = .stream
    options.maxBodySize = 1 << 20
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options, handler: handler)
    try server.start()
    return server
}

@Test func aBodyCanBePulledInPieces() throws {
    let server = try streaming { request in
        var total = 0
        while let piece = try request.read(upTo: 1000) { total += piece.count }
        try request.respond(.ok, body: "\(total) of \(request.contentLength ?? -1)")
    }
    let client = try RawClient(port: server.port)
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
    #expect(try client.line() == "HTTP/1.1 100 Continue" && client.line() == "")
    client.send([UInt8](repeating: 1, count: 5000))
    #expect(try client.answer().text == "5000 of 5000")
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    #expect(try client.answer().text == "5 of -1")
}

@Test func pullingSaysWhyABodyEnded() throws {
    let seen = Collector<EvyError.Code>()
    let server = try streaming { request in
        do throws(EvyError) {
            _ = try request.read(wait: .zero)
        } catch { seen.add(error.code) }
        do throws(EvyError) {
            while try request.read() != nil {}
        } catch {
            seen.add(error.code)
            throw error
        }
    }
    do {
        let client = try RawClient(port: server.port)
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        try eventually("the first read") { !seen.all.isEmpty }
    }
    #expect(try seen.wait(for: 2) == [.again, .gone])
}

@Test func aBodyCanBePushedAndAnsweredAtItsEnd() throws {
    let arrived = Collector<Int>()
    let server = try streaming { request in
        try request.onBody(into: 0) { total, request, event in
            switch event {
            case .piece(let bytes):
                total += bytes.reduce(0) { $0 + Int($1) }
                arrived.add(bytes.count)
            case .end: try? request.respond(.ok, body: "sum \(total)")
            case .failed(let error): try? request.respond(400, body: "\(error.code)")
            }
        }
    }
    let client = try RawClient(port: server.port)
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    for number in 1...10 {
        client.send([UInt8](repeating: 2, count: 10000))
        try eventually("piece \(number)") { arrived.all.reduce(0, +) == number * 10000 }
    }
    #expect(try client.answer().text == "sum 200000")
    #expect(try client.get("/").text == "sum 0")
}

@Test func anAnsweredRequestGetsNoFurtherPieces() throws {
    let events = Collector<String>()
    let isOver = Collector<Bool>()
    let server = try streaming { request in
        try request.onComplete { _, _ in isOver.add(true) }
        try request.onBody { request, event in
            events.add("\(event)")
            guard events.all.count == 1 else { return }
            // What comes meanwhile already waits for the next call.
            try? eventually("all of the body") { request.outcome.bodyBytesReceived == 100_000 }
            try? request.respond(507)
        }
    }
    let client = try RawClient(port: server.port)
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    client.send([1])
    _ = try events.wait(for: 1)
    client.send([UInt8](repeating: 1, count: 99_999))
    #expect(try client.answer().statusLine == "HTTP/1.1 507 Insufficient Storage")
    _ = try isOver.wait(for: 1)
    #expect(events.all.count == 1)
}

@Test func anEarlyAnswerLetsAPushedRequestGo() throws {
    let dropped = Collector<Bool>()
    let server = try streaming { request in
        let token = Token { dropped.add(true) }
        try request.onBody { _, _ in _ = token }
        try request.pauseBody()
        try request.respond(.ok, headers: ["Connection": "close"], body: "early")
    }
    let client = try RawClient(port: server.port)
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc")
    #expect(try client.answer().text == "early")
    #expect(try dropped.wait(for: 1).count == 1)
}

/// Tells when nobody holds it any more.
private final class Token: Sendable {
    private let tell: @Sendable () -> Void
    init(_ tell: @escaping @Sendable () -> Void) { self.tell = tell }
    deinit { tell() }
}

@Test func aWriterIsToldToSlowDown() throws {
    let flows = Collector<ResponseWriter.Flow>()
    var options = Options()
    options.writeHighWater = 100_000
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        let writer = try request.begin(.ok, headers: ["Content-Type": "text/plain"])
        let piece = [UInt8](repeating: 0x79, count: 1 << 20)
        for number in 0..<20 { flows.add(try writer.write(piece, wait: number < 10 ? .zero : .forever)) }
        try writer.end()
    }
    try server.start()
    let client = try RawClient(port: server.port, receiveBuffer: 65536)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    try eventually("a full queue") { flows.all.contains(.full) }
    // Time enough for a writer that does not wait to write the rest.
    usleep(100_000)
    #expect(flows.all.count < 20, "the writer waits for its client")
    #expect(try client.answer().body.count == 20 << 20)
    #expect(flows.all.last == .ready)
}

@Test func aRequestCanBeAnsweredLaterByAnotherThread() throws {
    let waiting = Mutex<[PendingRequest]>([])
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        let pending = request.retain()
        waiting.withLock { $0.append(pending) }
    }
    try server.start()
    let client = try RawClient(port: server.port)
    for (number, answers) in [true, false].enumerated() {
        client.send("GET /\(number) HTTP/1.1\r\nHost: h\r\n\r\n")
        try eventually("the request") { waiting.withLock { !$0.isEmpty } }
        let pending = waiting.withLock { $0.removeFirst() }
        if answers { try pending.request.respond(.accepted, body: pending.request.path) }
        _ = consume pending
        // The last reference is gone: without an answer the library gives one.
        let answer = try client.answer()
        #expect(answer.statusLine.contains(answers ? " 202 " : " 500 "))
        if answers { #expect(answer.text == "/0") }
    }
}

@Test func aWriterThatGoesAwayAndAnAbortCutTheConnection() throws {
    let ends = Collector<Outcome.End?>()
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        try request.onComplete { _, outcome in ends.add(outcome.end) }
        let writer = try request.begin(.ok)
        try writer.write("half")
        if request.path == "/abort" { try writer.abort() }
    }
    try server.start()
    for target in ["/drop", "/abort"] {
        #expect(throws: RawClientError.self) { try RawClient(port: server.port).get(target) }
    }
    #expect(try ends.wait(for: 2) == [.handlerError, .aborted])
}
