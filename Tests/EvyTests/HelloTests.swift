// SPDX-License-Identifier: MIT
// HelloTests - scenario 1: the hello server, its bytes and its two log lines; what a request tells.
internal import Evy
internal import Glibc
internal import Testing

@Test func helloAnswersToTheByteAndLogs() throws {
    let log = Collector<String>()
    let access = Collector<String>()
    var options = Options()
    options.onLog = { _, text in log.add(text) }
    options.onAccess = { _, line in access.add(line) }
    let server = try Server(on: .tcp(port: 0), options: options) { request in
        let isFound = request.path == "/"
        try request.respond(
            isFound ? .ok : .notFound, headers: ["Content-Type": "text/plain"],
            body: isFound ? "Hello, World!\r\n" : "Not Found\r\n")
    }
    try server.start()
    let client = try RawClient(port: server.port)
    let hello = try client.get("/")
    #expect(hello.text == "Hello, World!\r\n")
    #expect(hello.field("Content-Length") == "15")
    #expect(hello.field("Content-Type") == "text/plain")
    #expect(
        try #require(hello.field("Date")).wholeMatch(of: /\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/) != nil)
    let nope = try client.get("/nope")
    #expect(nope.statusLine.hasPrefix("HTTP/1.1 404 "))
    #expect(nope.text == "Not Found\r\n")
    #expect(log.all == ["(\(getpid())) wsgi starting up on http://0.0.0.0:\(server.port)/"])
    let line = try access.wait(for: 2)[0]
    let form = /127\.0\.0\.1 - - \[[^\]]+\] "GET \/ HTTP\/1\.1" 200 \d+ \d+\.\d{6}/
    #expect(line.wholeMatch(of: form) != nil, "\(line)")
    #expect(try run("curl", "-si", "http://127.0.0.1:\(server.port)/").text.hasSuffix("Hello, World!\r\n"))
}

@Test func requestTellsWhatWasSent() throws {
    let told = Collector<[String]>()
    var options = Options()
    options.environ = ["deployment": "blue"]
    let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
        request["x.y"] = "z"
        told.add([
            "\(request.method)", request.path, request.rawPath, request.query, request.target,
            request.version.rawValue, request.scheme, "\(request.isSecure)", request.remoteAddress,
            "\(request.remotePort ?? 0 > 0)", "\(request.contentLength ?? -1)",
            String(decoding: request.body, as: UTF8.self), request["deployment"] ?? "-",
            request["x.y"] ?? "-",
            request["absent"] ?? "-", "\(request.environ.contains { $0 == ("x.y", "z") })",
        ])
        told.add(request.headers.map { "\($0.name)=\($0.value)" })
        told.add(request.headers.values("x-a"))
        told.add(["\(request.pathBytes)"])
        try request.respond(.noContent)
    }
    try server.start()
    let client = try RawClient(port: server.port)
    client.send(
        "POST /a%20b%ff?q=1%20 HTTP/1.1\r\nHost: h\r\nX-a: 1\r\nx-A: 2\r\nContent-Length: 3\r\n\r\nabc")
    #expect(try client.answer().statusLine == "HTTP/1.1 204 No Content")
    let said = told.all
    #expect(
        said[0] == [
            "POST", "/a b\u{fffd}", "/a%20b%ff", "q=1%20", "/a%20b%ff?q=1%20", "HTTP/1.1", "http", "false",
            "127.0.0.1", "true", "3", "abc", "blue", "z", "-", "true",
        ])
    #expect(said[1] == ["Host=h", "X-a=1", "x-A=2", "Content-Length=3"])
    #expect(said[2] == ["1", "2"])
    #expect(said[3] == ["\(Array("/a b".utf8) + [0xff])"])
}

@Test func headersKeepOrderAndRepeats() throws {
    var headers: Headers = ["A": "1", "b": "2", "a": "3"]
    #expect(headers["B"] == "2" && headers.values("A") == ["1", "3"])
    headers["A"] = "4"
    #expect(headers.map { "\($0.name)=\($0.value)" } == ["b=2", "A=4"])
    headers["b"] = nil
    #expect(headers == Headers([(name: "A", value: "4")]))
}

@Test func unixSocketAndAdoptedDescriptorServe() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/evy.sock"
    let server = try Server(on: .unix(path, mode: 0o600)) { request in
        try request.respond(.ok, body: "\(request.remoteAddress) \(request.remotePort == nil)")
    }
    try server.start()
    #expect(server.port == 0 && server.addresses == ["unix:\(path)"])
    #expect(try run("curl", "-s", "--unix-socket", path, "http://x/").text == "unix true")

    let own = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(own) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(own, $0, size) }
    }
    try #require(bound == 0)
    let second = try Server(on: .descriptor(own)) { try $0.respond(.ok, body: "adopted") }
    try second.start()
    #expect(try RawClient(port: second.port).get("/").text == "adopted")
}
