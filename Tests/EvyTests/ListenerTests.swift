// SPDX-License-Identifier: MIT
// ListenerTests - the doors of a server in Swift, and what proxies in front of them say.
internal import Evy
internal import Glibc
internal import Testing

private func addressTeller(_ listener: Listener, _ options: Options = Options()) throws -> Server {
    let server = try Server(on: listener, options: options) { request in
        try request.respond(
            .ok, body: "\(request["REMOTE_ADDR"] ?? "-") \(request["wsgi.url_scheme"] ?? "-")")
    }
    try server.start()
    return server
}

@Test func aUnixSocketHasItsModeAndItsGroup() throws {
    let path = "/tmp/evy-\(getpid())-listener.sock"
    let server = try addressTeller(.unix(path, mode: 0o620, group: "\(getgid())"))
    var facts = stat()
    #expect(stat(path, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o620 && facts.st_gid == getgid())
    let told = try run("curl", "-s", "--unix-socket", path, "http://a.example/").text
    #expect(told == "unix http")
    server.stop()
    try server.wait()
    #expect(stat(path, &facts) != 0)
}

@Test func anAddressCanComeAsText() throws {
    let path = "/tmp/evy-\(getpid())-text.sock"
    let server = try addressTeller(.address("unix:\(path)?mode=600"))
    defer { server.stop() }
    #expect(server.addresses == ["unix:\(path)"])
    #expect(try run("curl", "-s", "--unix-socket", path, "http://a.example/").text == "unix http")
    #expect(throws: EvyError.self) { try addressTeller(.address("no address")) }
}

/// Behind a "?" an address has its options, each with "&" ahead of it.
@Test func whatWouldBeReadAsAnOptionIsRefused() throws {
    let path = "/tmp/evy-\(getpid())-a&b.sock"
    let refused: [(Listener, String)] = [
        (.unix("/tmp/evy?mode=666"), "/tmp/evy?mode=666"), (.unix(path, user: "a&mode=666"), "a&mode=666"),
        (.unix(path, group: "a&mode=666").backlog(7), "a&mode=666"),
        (.abstract("evy?proxy=1"), "evy?proxy=1"),
        (.systemd("web?proxy=1"), "web?proxy=1"),
    ]
    for (listener, name) in refused {
        do throws(EvyError) {
            _ = try Server(on: listener) { try $0.respond(.ok) }
            Issue.record("\(name) was taken")
        } catch { #expect(error.code == .badValue && error.text.contains(name), "\(error)") }
    }
    let server = try addressTeller(.unix(path, mode: 0o600))
    defer { server.stop() }
    #expect(try run("curl", "-s", "--unix-socket", path, "http://a.example/").text == "unix http")
}

@Test func anAbstractNameIsReached() throws {
    let name = "evy-\(getpid())-abstract"
    let server = try addressTeller(.abstract(name))
    defer { server.stop() }
    #expect(try run("curl", "-s", "--abstract-unix-socket", name, "http://a.example/").text == "unix http")
}

@Test func aBalancerTellsTheClientByTheProxyProtocol() throws {
    let server = try addressTeller(.tcp("127.0.0.1", port: 0).proxyProtocol(true).backlog(7))
    defer { server.stop() }
    let url = "http://127.0.0.1:\(server.port)/"
    #expect(try run("curl", "-s", "--haproxy-protocol", url).text == "127.0.0.1 http")
    let client = try RawClient(port: server.port)
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(try client.answer().text == "192.0.2.1 http")
}

@Test func aTrustedProxyTellsTheClient() throws {
    var options = Options()
    options.trustedProxies = ["127.0.0.0/8", "::1"]
    options.forwardedHeaders = [.forwarded]
    options.requiresProxyProtocol = false
    #expect(options.trustedProxies == ["127.0.0.0/8", "::1"] && options.forwardedHeaders == [.forwarded])
    #expect(options.requiresProxyProtocol == false)
    let server = try addressTeller(.tcp("127.0.0.1", port: 0), options)
    defer { server.stop() }
    let url = "http://127.0.0.1:\(server.port)/"
    let told = try run("curl", "-s", "-H", "Forwarded: for=192.0.2.1;proto=https", url).text
    #expect(told == "192.0.2.1 https")
}

@Test func missingSocketsOfSystemdAreNamed() throws {
    let error = #expect(throws: EvyError.self) { try addressTeller(.systemd("web")) }
    #expect(error?.code == .cannotBind && error?.text.contains("LISTEN_PID is not set") == true)
}
