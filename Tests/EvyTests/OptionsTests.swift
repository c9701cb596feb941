// SPDX-License-Identifier: MIT
// OptionsTests - typed options reach the library under their names, and read back as they were set.
internal import Evy
internal import Testing

@Test func typedOptionsAreKnownToTheLibraryAndReadBack() throws {
    var options = Options()
    options.threads = 4
    options.backlog = 16
    options.maxConnections = 100
    options.keepAlive = true
    options.maxRequestsPerConnection = 10
    options.reusePort = true
    options.maxHeaderSize = 32768
    options.maxBodySize = 1 << 20
    options.writeHighWater = 65536
    options.writeLowWater = 1024
    options.body = .stream
    options.scriptName = "/app"
    options.serverHeader = "evy"
    options.handshakeTimeout = .seconds(5)
    options.headerTimeout = .milliseconds(1500)
    options.idleTimeout = .forever
    options.bodyTimeout = .seconds(6)
    options.writeTimeout = .seconds(7)
    options.accessLog = .off
    options.accessLogFormat = "%(client_ip)s"
    options.errorLog = .standardError
    options.logLevel = .warn
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        try request.respond(.ok, body: "\(request["SCRIPT_NAME"] ?? "-") \(request.path)")
    }
    try server.start()
    let answer = try RawClient(port: server.port).get("/app/x")
    #expect(answer.field("Server") == "evy")
    #expect(answer.text == "/app /x")
    #expect(options.threads == 4 && options.keepAlive == true && options.body == .stream)
    #expect(options.headerTimeout == .milliseconds(1500) && options.idleTimeout == .forever)
    #expect(options.accessLog == .off && options.errorLog == .standardError && options.logLevel == .warn)
    options.threads = nil
    options.errorLog = .file("/var/log/evy.log")
    #expect(options["threads"] == nil && options["error_log"] == "/var/log/evy.log")
    options.errorLog = .descriptor(7)
    #expect(options.errorLog == .descriptor(7))
}

/// C ends a text at a NUL: what stands behind it must not be left out silently.
@Test func aNULInATextIsRefusedByName() throws {
    func error(_ listener: Listener = .tcp("127.0.0.1", port: 0), _ options: Options = Options()) -> EvyError?
    {
        do throws(EvyError) {
            _ = try Server(on: listener, options: options) { try $0.respond(.ok) }
            return nil
        } catch { return error }
    }
    func error(tls: TLSOptions) -> EvyError? { error(.tcp("127.0.0.1", port: 0, tls: tls)) }
    func isRefused(_ error: EvyError?, _ name: String) -> Bool {
        error?.code == .badValue && error?.text.contains(name) == true
            && error?.text.hasSuffix("holds a NUL byte") == true
    }
    var options = Options()
    options.serverHeader = "evy\0x"
    #expect(isRefused(error(.tcp("127.0.0.1", port: 0), options), "server_header"))
    options = Options()
    options["server_header\0x"] = "evy"
    #expect(isRefused(error(.tcp("127.0.0.1", port: 0), options), "server_header"))
    for (name, value) in [("my.key\0x", "1"), ("my.key", "1\0x")] {
        options = Options()
        options.environ[name] = value
        #expect(isRefused(error(.tcp("127.0.0.1", port: 0), options), "my.key"))
    }
    for listener in [
        Listener.unix("/tmp/evy-nul\0x"), .abstract("evy-nul\0x"), .tcp("127.0.0.1\0x", port: 0),
    ] {
        #expect(isRefused(error(listener), "\\0x"))
    }
    let folder = try TemporaryFolder()
    let pair = try folder.makePair("one")
    var tls = TLSOptions(certificate: .file(pair.certificate), key: .file(pair.key))
    #expect(error(tls: tls) == nil)
    tls.named["a.example\0x"] = tls.additional.first ?? .init(chain: tls.certificate, key: tls.key)
    #expect(isRefused(error(tls: tls), "a.example"))
    tls.named = [:]
    tls.ciphers = "ECDHE+AESGCM\0x"
    #expect(isRefused(error(tls: tls), "ciphers"))
    tls.ciphers = nil
    tls.clients = .required(.file(pair.certificate + "\0x"))
    #expect(isRefused(error(tls: tls), "one.crt"))
    tls.clients = .notAsked
    tls.key = .file(pair.key + "\0x")
    #expect(isRefused(error(tls: tls), "one.key"))
    #expect(Library.has("tls") && !Library.has("tls\0x"))
}

@Test func aNULInANameOfTheEnvironNamesNothing() throws {
    let seen = Collector<String>()
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        request["my.key"] = "mine"
        request["my.key\0x"] = "another"
        seen.add("\(request["my.key"] ?? "-") \(request["my.key\0x"] ?? "-")")
        seen.add("\(request.bytes("my.key\0x") ?? [])")
        do throws(EvyError) { try request.respond(Status(299, reason: "Fine\0x")) } catch {
            seen.add("\(error.code) \(error.text)")
        }
        try request.respond(.ok)
    }
    try server.start()
    #expect(try RawClient(port: server.port).get("/").statusLine == "HTTP/1.1 200 OK")
    #expect(seen.all == ["mine -", "[]", "badField the reason of the status holds a NUL byte"])
}

@Test func theTableOfOptionsHasATypeAndAHelpForEach() {
    let options = Library.options
    #expect(options.count > 30 && Set(options.map(\.name)).count == options.count)
    let types: Set = ["int", "size", "time", "bool", "text", "choice"]
    #expect(options.allSatisfy { types.contains($0.type) && !$0.help.isEmpty })
    #expect(Library.has("tls") && !Library.has("gopher"))
}

@Test func everyErrorCodeAndEndHasAName() {
    #expect(EvyError.Code.allCases.map(\.rawValue) == (1...17).map { -Int32($0) })
    #expect(Outcome.End.allCases.map(\.description).allSatisfy { $0 != "?" })
    #expect(Outcome.End.brokenProtocol.description == "protocol")
}
