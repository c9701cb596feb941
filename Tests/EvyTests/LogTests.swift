// SPDX-License-Identifier: MIT
// LogTests - what handlers threw, in the server's own log: one at a time, and each a line of its own.
internal import Evy
internal import Glibc
internal import Synchronization
internal import Testing

/// What a handler throws that quotes its client.
private struct Quotation: Error, CustomStringConvertible { let description: String }

private let forgery = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nx\nforged: \u{1b}"

@Test func errorsOfHandlersComeOneAtATime() throws {
    let inside = Atomic<Int>(0)
    let (arrived, sideBySide) = (Collector<Bool>(), Collector<Int>())
    var options = Options()
    options.threads = 4
    options.onLog = { level, _ in
        guard level == .error else { return }
        inside.add(1, ordering: .sequentiallyConsistent)
        // The other one is as good as here: time for it to come in.
        var most = 1
        for _ in 0..<100 where most == 1 {
            usleep(2000)
            most = max(most, inside.load(ordering: .sequentiallyConsistent))
        }
        sideBySide.add(most)
        inside.subtract(1, ordering: .sequentiallyConsistent)
    }
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { _ in
        arrived.add(true)
        try eventually("two handlers") { arrived.all.count == 2 }
        throw Quotation(description: "both")
    }
    try server.start()
    let clients = try [0, 1].map { _ in try RawClient(port: server.port) }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
    for client in clients { #expect(try client.answer().statusLine.contains(" 500 ")) }
    #expect(try sideBySide.wait(for: 2) == [1, 1])
}

@Test(arguments: [true, false])
func anErrorOfAHandlerIsOneLine(isCalledBack: Bool) throws {
    let folder = try TemporaryFolder()
    let lines = Collector<String>()
    var options = Options()
    if isCalledBack {
        options.onLog = { level, text in if level == .error { lines.add(text) } }
    } else {
        options.errorLog = .file(folder.path + "/error.log")
        options.logLevel = .error
    }
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        throw Quotation(description: String(decoding: request.body, as: UTF8.self))
    }
    try server.start()
    let client = try RawClient(port: server.port)
    client.send(forgery)
    #expect(try client.answer().statusLine.contains(" 500 "))
    var said = ""
    try eventually("the line") {
        said =
            isCalledBack
            ? lines.all.map { $0 + "\n" }.joined() : try run("cat", folder.path + "/error.log").text
        return said.hasSuffix("\n")
    }
    #expect(said == "handler of POST / failed: x\\x0aforged: \\x1b\n")
}
