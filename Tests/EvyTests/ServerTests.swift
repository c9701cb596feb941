// SPDX-License-Identifier: MIT
// ServerTests - scenarios 2 and 3: servers in a program, HTTPS, and every error that names its culprit.
internal import Evy
internal import Glibc
internal import Testing

/// The error of a call, or a failed test.
private func failure(_ body: () throws(EvyError) -> Void) -> EvyError {
    do throws(EvyError) {
        try body()
        Issue.record("no error")
        return EvyError(.internalError, "none")
    } catch { return error }
}

@Test func twoServersLiveInOneProcess() throws {
    let hits = Collector<Int>()
    let servers = try [0, 1].map { number in
        let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
            hits.add(number)
            try request.respond(.ok, body: "\(number)")
        }
        try server.start()
        return server
    }
    let clients = try servers.map { try RawClient(port: $0.port) }
    for _ in 0..<200 {
        for number in [0, 1] { #expect(try clients[number].get("/").text == "\(number)") }
    }
    let port = servers[0].port
    servers[0].stop(grace: .seconds(1))
    try servers[0].wait(upTo: .seconds(20))
    #expect(throws: RawClientError.self) { try RawClient(port: port) }
    #expect(try clients[1].get("/").text == "1")
    #expect(hits.all.count == 401)
}

@Test func aHandlerMayStopItsServerAndRunReturns() throws {
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        try request.respond(.ok, body: "bye")
        request.stopServer(grace: .seconds(5))
    }
    let answers = Collector<String>()
    let port = server.port
    let thread = try spawnThread { answers.add((try? RawClient(port: port).get("/").text) ?? "-") }
    try server.run()
    pthread_join(thread, nil)
    #expect(answers.all == ["bye"])
    #expect(failure { () throws(EvyError) in try server.start() }.code == .wrongState)
}

@Test func closuresGoWithTheirServer() throws {
    final class Token: Sendable {
        let gone: Collector<Bool>
        init(_ gone: Collector<Bool>) { self.gone = gone }
        deinit { gone.add(true) }
    }
    let gone = Collector<Bool>()
    do {
        let token = Token(gone)
        var options = Options()
        options.onLog = { _, _ in _ = token }
        let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
            _ = token
            try request.respond(.ok)
        }
        try server.start()
        #expect(try RawClient(port: server.port).get("/").body.isEmpty)
    }
    #expect(try gone.wait(for: 1).count == 1)
}

@Test func httpsTellsTheSchemeAndSpeaksOnlyNewVersions() throws {
    let folder = try TemporaryFolder()
    let pair = try folder.makePair("one")
    let log = Collector<String>()
    var options = Options()
    options.onLog = { _, text in if !text.contains("starting") { log.add(text) } }
    let tls = TLSOptions(certificate: .file(pair.certificate), key: .file(pair.key))
    let server = try Server(
        on: .tcp("127.0.0.1", port: 0, tls: tls), .tcp("127.0.0.1", port: 0), options: options
    ) { request in
        try request.respond(.ok, body: "\(request.scheme) \(request["HTTPS"] ?? "-") \(request.isSecure)")
    }
    try server.start()
    let address = "127.0.0.1:\(server.port(of: 0))"
    let trusted = try run(
        "curl", "-s", "--cacert", pair.certificate, "https://localhost:\(server.port(of: 0))/",
        "--resolve", "localhost:\(server.port(of: 0)):127.0.0.1")
    #expect(trusted.text == "https on true")
    #expect(try RawClient(port: server.port(of: 1)).get("/").text == "http - false")
    for (version, isSpoken) in [("-tls1_2", true), ("-tls1_3", true), ("-tls1_1", false)] {
        let talk =
            "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect \(address) -quiet \(version)"
        let cipher = version == "-tls1_1" ? " -cipher DEFAULT@SECLEVEL=0" : ""
        #expect(try run("sh", "-c", talk + cipher).text.contains("https on true") == isSpoken, "\(version)")
    }
    let before = log.all.count
    #expect(try run("curl", "-s", "http://\(address)/").status != 0)
    try eventually("a log line") { log.all.count > before }
    #expect(log.all.count == before + 1)
    #expect(try run("curl", "-sk", "https://\(address)/").text == "https on true")
}

@Test func tlsFromMemoryWorksAndWrongFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    let (one, two) = (try folder.makePair("one"), try folder.makePair("two"))
    func make(_ tls: TLSOptions) throws(EvyError) -> Server {
        try Server(on: .tcp("127.0.0.1", port: 0, tls: tls)) { try $0.respond(.ok, body: "memory") }
    }
    let wrong = failure { () throws(EvyError) in
        _ = try make(TLSOptions(certificate: .file(one.certificate), key: .file(two.key)))
    }
    #expect(wrong.code == .tls && wrong.text.contains("two.key") && wrong.text.contains("one.crt"))
    let missing = failure { () throws(EvyError) in _ = try make(TLSOptions(certificate: "/nowhere.crt")) }
    #expect(missing.code == .tls && missing.text.contains("/nowhere.crt"))
    let mixed = failure { () throws(EvyError) in
        _ = try make(TLSOptions(certificate: .file(one.certificate), key: .memory([])))
    }
    #expect(mixed.code == .badArgument)
    let pem = (try run("cat", one.certificate).output, try run("cat", one.key).output)
    let server = try make(TLSOptions(certificate: .memory(pem.0), key: .memory(pem.1), minVersion: .tls13))
    try server.start()
    let url = "https://127.0.0.1:\(server.port)/"
    #expect(try run("curl", "-sk", url).text == "memory")
    #expect(try run("curl", "-sk", "--tls-max", "1.2", url).status != 0)
}

@Test func errorsNameTheirCulprit() throws {
    let quiet: Server.Handler = { try $0.respond(.ok) }
    let taken = try Server(on: .tcp("127.0.0.1", port: 0), handler: quiet)
    let busy = failure { () throws(EvyError) in
        _ = try Server(on: .tcp("127.0.0.1", port: UInt16(taken.port)), handler: quiet)
    }
    #expect(busy.code == .cannotBind && busy.text.contains("127.0.0.1:\(taken.port)"))
    let none = failure { () throws(EvyError) in _ = try Server(on: [], handler: quiet) }
    #expect(none.code == .badArgument)
    for (name, value, code) in [
        ("threads", "0", EvyError.Code.badValue), ("max_headers", "many", .badValue),
        ("thread", "1", .unknownOption),
    ] {
        var options = Options()
        options[name] = value
        let error = failure { () throws(EvyError) in
            _ = try Server(on: .tcp("127.0.0.1", port: 0), options: options, handler: quiet)
        }
        #expect(error.code == code && error.text.contains(name), "\(error)")
    }
    #expect(failure { () throws(EvyError) in try taken.wait(upTo: .zero) }.code == .wrongState)
    #expect(
        failure { () throws(EvyError) in
            _ = try Server(on: .descriptor(-1), handler: quiet)
        }.code == .badArgument)
}

@Test func badAnswersAreRefusedAndTheRequestCanStillBeAnswered() throws {
    let codes = Collector<EvyError.Code>()
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        let bad: [(Status, Headers)] = [
            (.ok, ["X": "a\r\nY: b"]), (.ok, ["X": "a\0Y\0b"]), (.ok, ["X Y": "a"]), (99, [:]), (600, [:]),
        ]
        for (status, headers) in bad {
            do throws(EvyError) { try request.respond(status, headers: headers) } catch {
                codes.add(error.code)
            }
        }
        try request.respond(Status(299, reason: "Fine"), headers: ["X": "y"], body: [0x68, 0x69] as [UInt8])
        do throws(EvyError) { try request.respond(.ok) } catch { codes.add(error.code) }
    }
    try server.start()
    let answer = try RawClient(port: server.port).get("/")
    #expect(answer.statusLine == "HTTP/1.1 299 Fine" && answer.text == "hi" && answer.field("Y") == nil)
    // The handler goes on behind its answer.
    let expected: [EvyError.Code] = [
        .badField, .badField, .badField, .badArgument, .badArgument, .wrongState,
    ]
    #expect(try codes.wait(for: 6) == expected)
}
