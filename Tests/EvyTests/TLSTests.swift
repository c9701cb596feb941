// SPDX-License-Identifier: MIT
// TLSTests - certificates by name, client certificates and a reload, through the Swift face.
internal import Evy
internal import Testing

private func failure(_ body: () throws(EvyError) -> Void) -> EvyError {
    do throws(EvyError) {
        try body()
        Issue.record("no error")
        return EvyError(.internalError, "none")
    } catch { return error }
}

private func fingerprint(_ certificate: String) throws -> String {
    try run("openssl", "x509", "-noout", "-fingerprint", "-in", certificate).text
}

/// What a client that asks for `name` is shown.
private func shown(_ server: Server, _ name: String) throws -> String {
    let talk = "openssl s_client -connect 127.0.0.1:\(server.port) -servername \(name) </dev/null 2>/dev/null"
    return try run("sh", "-c", talk + " | openssl x509 -noout -fingerprint").text
}

@Test func certificatesAreChosenByNameAndReadAgain() throws {
    let folder = try TemporaryFolder()
    let (one, two) = (try folder.makePair("one"), try folder.makePair("two"))
    let three = try folder.makePair("three")
    var tls = TLSOptions(certificate: .file(one.certificate), key: .file(one.key))
    tls.named = ["*.two.test": .init(chain: .file(two.certificate), key: .file(two.key))]
    tls.ticketRotation = .seconds(3600)
    tls.protocols = ["http/1.1"]
    let server = try Server(on: .tcp("127.0.0.1", port: 0, tls: tls)) { request in
        try request.respond(.ok, body: request["SSL_SERVER_NAME"] ?? "-")
    }
    try server.start()
    #expect(try shown(server, "www.two.test") == fingerprint(two.certificate))
    #expect(try shown(server, "other.test") == fingerprint(one.certificate))
    let before = try fingerprint(one.certificate)
    _ = try run("cp", three.certificate, one.certificate)
    let broken = failure { () throws(EvyError) in try server.reloadTLS() }
    #expect(broken.code == .tls && broken.text.contains(one.key))
    #expect(try shown(server, "other.test") == before)
    _ = try run("cp", three.key, one.key)
    try server.reloadTLS()
    #expect(try shown(server, "other.test") == fingerprint(three.certificate))
}

@Test func clientCertificatesReachTheEnviron() throws {
    let folder = try TemporaryFolder()
    let (own, alice) = (try folder.makePair("own"), try folder.makePair("alice", commonName: "alice"))
    let stranger = try folder.makePair("stranger", commonName: "stranger")
    let handler: Server.Handler = { request in
        let verify = request["SSL_CLIENT_VERIFY"] ?? "-"
        try request.respond(.ok, body: "\(verify) \(request["SSL_CLIENT_S_DN"] ?? "-")")
    }
    func answer(_ clients: TLSOptions.Clients, as pair: (certificate: String, key: String)?) throws -> String
    {
        var tls = TLSOptions(certificate: .file(own.certificate), key: .file(own.key))
        tls.clients = clients
        let server = try Server(on: .tcp("127.0.0.1", port: 0, tls: tls), handler: handler)
        try server.start()
        let url = "https://127.0.0.1:\(server.port)/"
        guard let pair else { return try run("curl", "-sk", url).text }
        return try run("curl", "-sk", "--cert", pair.certificate, "--key", pair.key, url).text
    }
    let authority = TLSOptions.PEM.file(alice.certificate)
    #expect(try answer(.notAsked, as: alice) == "NONE -")
    #expect(try answer(.optional(authority), as: nil) == "NONE -")
    #expect(try answer(.optional(authority), as: alice) == "SUCCESS CN=alice")
    #expect(try answer(.optional(authority), as: stranger) == "FAILED:self-signed certificate -")
    #expect(try answer(.required(authority), as: alice) == "SUCCESS CN=alice")
    let inMemory = TLSOptions.PEM.memory(try run("cat", alice.certificate).output)
    #expect(try answer(.required(inMemory), as: alice) == "SUCCESS CN=alice")
    #expect(try answer(.required(inMemory), as: stranger).isEmpty)
    #expect(try answer(.required(authority), as: stranger).isEmpty)
    #expect(try answer(.required(authority), as: nil).isEmpty)
}
