// SPDX-License-Identifier: MIT
// mtls - greets clients by the name in their certificate, and tells the others why they are not let in.
// swift run evy-mtls-swift 8443 server.crt server.key clients-ca.crt, then:
//   curl --cacert server.crt --cert alice.crt --key alice.key https://localhost:8443/
import Evy
import Glibc

let arguments = CommandLine.arguments
guard arguments.count == 5, let port = UInt16(arguments[1]) else {
    print("usage: mtls PORT CERTIFICATE KEY CLIENT-CA")
    exit(2)
}

do {
    var tls = TLSOptions(certificate: .file(arguments[2]), key: .file(arguments[3]))
    // With .required the handshake itself would fail, and the client would not learn why.
    tls.clients = .optional(.file(arguments[4]))
    let server = try Server(on: .tcp(port: port, tls: tls)) { request in
        let type: Headers = ["Content-Type": "text/plain"]
        let verify = request["SSL_CLIENT_VERIFY"] ?? "NONE"
        // Only SUCCESS lets anybody in: NONE is no certificate, FAILED:reason a bad one.
        guard verify == "SUCCESS" else {
            return try request.respond(.forbidden, headers: type, body: "your certificate: \(verify)\n")
        }
        let name = request["SSL_CLIENT_S_DN"] ?? "nobody"
        try request.respond(.ok, headers: type, body: "Hello, \(name)\n")
    }
    print("https://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("mtls: \(error)")
    exit(1)
}
