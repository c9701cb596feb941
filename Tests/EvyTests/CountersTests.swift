// SPDX-License-Identifier: MIT
// CountersTests - counters, metrics and the server's own log through the Swift face.
internal import Evy
internal import Testing

private func helloServer(_ options: Options = Options()) throws -> Server {
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        try request.respond(request.path == "/" ? .ok : .notFound, body: "hello")
    }
    try server.start()
    return server
}

@Test func requestsAreCountedByStatusAndEnd() throws {
    let server = try helloServer()
    #expect(server.counters[.requestsTotal] == 0)
    let client = try RawClient(port: server.port)
    for path in ["/", "/", "/nope"] { _ = try client.get(path) }
    try eventually("three ends") { server.counters[.ended(.complete)] == 3 }
    let counters = server.counters
    #expect(counters[.requestsTotal] == 3 && counters[.requestsActive] == 0)
    #expect(counters[.responses(class: 2)] == 2 && counters[.responses(class: 4)] == 1)
    #expect(counters[.connectionsOpen] == 1 && counters[.bytesIn] > 0 && counters[.bytesOut] > 0)
    #expect(Counter.requestsTotal.name == "evy_requests_total" && !Counter.requestsTotal.isGauge)
    #expect(Counter.requestsActive.isGauge && !Counter.requestsActive.help.isEmpty)
}

@Test func everyCounterHasANameAndIsInTheMetrics() throws {
    let server = try helloServer()
    let text = server.metricsText
    var count = 0
    for (counter, _) in server.counters {
        count += 1
        #expect(!counter.name.isEmpty && text.contains("\n\(counter.name) "))
    }
    #expect(count > 40 && Counter(rawValue: count).name.isEmpty)
    #expect(server.counters[Counter(rawValue: 9999)] == 0 && Counter(rawValue: -1).name.isEmpty)
    for end in Outcome.End.allCases { #expect(Counter.ended(end).name.contains("\"\(end)\"")) }
    #expect(Counter.responses(class: 5).name.contains("5xx"))
}

@Test func aProgramWritesToTheServersLogAndChangesItsLevel() throws {
    let lines = Collector<String>()
    var options = Options()
    options.logLevel = .warn
    options.onLog = { level, text in lines.add("\(level) \(text)") }
    let server = try helloServer(options)
    #expect(server.logLevel == .warn)
    server.log(.info, "dropped")
    server.log(.error, "kept\nin one line")
    server.logLevel = .debug
    server.log(.debug, "")
    server.log(.debug, "last")
    let found = try lines.wait(for: 3)
    #expect(Array(found.prefix(3)) == ["error kept\\x0ain one line", "debug ", "debug last"])
}
