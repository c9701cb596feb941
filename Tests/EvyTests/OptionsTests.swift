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
