// SPDX-License-Identifier: MIT
// HookTests - scenarios 4 and 5: hooks run once and in order, and tell what a client really got.
internal import Evy
internal import Glibc
internal import Testing

@Test func hooksRunOnceInOrderAndBeforeTheAccessLine() throws {
    let steps = Collector<String>()
    var options = Options()
    options.onAccess = { request, line in
        steps.add("access \(request["x.y"] ?? "-") \(request.outcome.status?.code ?? 0)")
    }
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        let number = request.query
        request["x.y"] = number
        for name in ["h1", "h2", "h3"] {
            try request.onComplete { request, outcome in
                steps.add("\(name) \(request["x.y"] ?? "-") \(outcome.end.map { "\($0)" } ?? "?")")
            }
        }
        try request.respond(.ok, body: "ok")
    }
    try server.start()
    let client = try RawClient(port: server.port)
    for number in 0..<1000 { #expect(try client.get("/?\(number)").text == "ok") }
    let wanted = (0..<1000).flatMap { number in
        ["h1 \(number) complete", "h2 \(number) complete", "h3 \(number) complete", "access \(number) 200"]
    }
    #expect(try steps.wait(for: 4000) == wanted)
}

@Test func aHookMayAddAHookAndAThrownErrorIsA500() throws {
    let steps = Collector<String>()
    var options = Options()
    options.onLog = { level, text in if level == .error { steps.add(text) } }
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        try request.onComplete { request, outcome in
            steps.add("\(outcome.end.map { "\($0)" } ?? "?") \(outcome.status?.code ?? 0)")
            try? request.onComplete { _, _ in steps.add("second") }
        }
        throw RawClientError(text: "no luck")
    }
    try server.start()
    #expect(try RawClient(port: server.port).get("/x").statusLine.contains(" 500 "))
    let said = try steps.wait(for: 3)
    #expect(
        said == [
            "handler of GET /x failed: RawClientError(text: \"no luck\")", "handler-error 500", "second",
        ])
}

/// 25 MiB in pieces of 64 KiB; the outcomes of the hook, and the access lines.
private struct Download {
    static let total = 26_214_400
    let server: Server
    let outcomes = Collector<Outcome>()
    /// Ask whether the client has gone. Without keeping the request: it would keep its server, that its
    /// handler, and that what it was kept in.
    let probes = Collector<@Sendable () -> Bool>()
    /// Why a handler could not write everything.
    let stops = Collector<EvyError.Code>()
    let lines = Collector<String>()
    let log = Collector<String>()

    init(tls: TLSOptions? = nil) throws {
        var options = Options()
        options.accessLogFormat = "%(wire_bytes)s %(acked_bytes)s %(aborted)s"
        options.onAccess = { [lines] _, line in lines.add(line) }
        options.onLog = { [log] _, text in if !text.contains("starting") { log.add(text) } }
        server = try Server(on: .tcp("127.0.0.1", port: 0, tls: tls), options: options) {
            [outcomes, stops, probes] request in
            try request.onComplete { _, outcome in outcomes.add(outcome) }
            let piece = [UInt8](repeating: 0x78, count: 65536)
            let writer = try request.begin(.ok, length: Int64(Self.total))
            probes.add { [weak writer] in writer?.request.isGone == true }
            do throws(EvyError) {
                for _ in 0..<(Self.total / piece.count) { try writer.write(piece) }
                try writer.end()
            } catch {
                stops.add(error.code)
                throw error
            }
        }
        try server.start()
    }

    /// The server has seen that the client of its first request ended its side.
    func noticesTheEnd() throws { try eventually("the client's FIN") { probes.all[0]() } }
}

@Test(arguments: [true, false])
func anEarlyLeaverIsChargedWhatItGot(resets: Bool) throws {
    let download = try Download()
    var received: Int64 = 0
    do {
        let client = try RawClient(port: download.server.port, receiveBuffer: 4096)
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try client.receive(1000)
        try eventually("a full window") { try client.holdsBack }
        received = client.tcpBytesReceived
        if resets {
            client.resetOnClose()
        } else {
            client.shutdownWriting()
            try download.noticesTheEnd()
        }
    }
    let cut = try download.outcomes.wait(for: 1)[0]
    #expect(cut.end == (resets ? .clientReset : .clientClosed))
    let acked = try #require(cut.ackedBytes)
    #expect(abs(acked - received) <= 65536 && acked < 1 << 20)
    #expect(cut.contentLength == Int64(Download.total) && cut.bodyBytes < Download.total && cut.isCut)
    #expect(try download.stops.wait(for: 1) == [.gone])

    let whole = try RawClient(port: download.server.port).get("/")
    let done = try download.outcomes.wait(for: 2)[1]
    #expect(done.end == .complete && done.bodyBytes == Download.total && !done.isCut)
    #expect(done.wireBytes == whole.byteCount && done.headBytes == whole.byteCount - Download.total)
    #expect(done.status == .ok && done.requestsOnConnection == 1 && !done.isTLS)
    #expect(done.duration > .zero && done.firstByteAfter ?? .forever <= done.duration)
    let lines = try download.lines.wait(for: 2)
    let end = try #require(cut.end)
    #expect(lines[0] == "\(cut.wireBytes) \(acked) \(end)")
    #expect(lines[1].hasPrefix("\(done.wireBytes) "))
    #expect(download.log.all.isEmpty)
}

// The client's TCP counts cipher bytes; evy tells plain ones: of all it sent, the share that was
// acknowledged. Less the 22 bytes that encryption adds to each 16,384, the two agree, but for what is no
// whole record of the answer: a session ticket behind the handshake (some hundred bytes), and a last record
// that came in part.
@Test(arguments: [TLSLeaving.reset, .fin])
func anEarlyLeaverOverTLSIsChargedInPlainBytes(how: TLSLeaving) throws {
    let folder = try TemporaryFolder()
    let pair = try folder.makePair("one")
    let download = try Download(tls: TLSOptions(certificate: .file(pair.certificate), key: .file(pair.key)))
    let leaver = try TLSClient(port: download.server.port, leaving: how)
    // It might still read, so the connection is kept until it really goes.
    if how == .fin { try download.noticesTheEnd() }
    try leaver.leave()
    let cut = try download.outcomes.wait(for: 1)[0]
    let end = try #require(cut.end)
    #expect(end == (how == .reset ? .clientReset : .clientClosed) && cut.isTLS && cut.isCut)
    let acked = try #require(cut.ackedBytes)
    let arrived = leaver.cipherBytes * 16384 / (16384 + 22)
    #expect(abs(acked - arrived) <= 2048 && 1000 <= leaver.plainBytes)
    #expect(leaver.plainBytes <= acked && acked <= cut.wireBytes && acked < 1 << 20)
    #expect(cut.contentLength == Int64(Download.total) && cut.bodyBytes < Download.total)
    #expect(try download.stops.wait(for: 1) == [.gone])

    let reader = try TLSClient(port: download.server.port, leaving: .whole)
    try reader.leave()
    let done = try download.outcomes.wait(for: 2)[1]
    #expect(done.end == .complete && done.bodyBytes == Download.total && done.isTLS && !done.isCut)
    #expect(done.wireBytes == reader.plainBytes)
    #expect(done.headBytes == done.wireBytes - Int64(Download.total))
    let lines = try download.lines.wait(for: 2)
    #expect(lines[0] == "\(cut.wireBytes) \(acked) \(end)")
    #expect(lines[1].hasPrefix("\(done.wireBytes) "))
    #expect(download.log.all.isEmpty)
}
