// SPDX-License-Identifier: MIT
// tls - one server on two ports, with TLS and without; tells each client which one it uses.
// openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout private.key -out cert.crt
// swift run evy-tls-swift cert.crt private.key, then: curl -k https://127.0.0.1:8443/
import Evy
import Glibc

let arguments = CommandLine.arguments
guard arguments.count >= 3 else {
    print("usage: tls CERTIFICATE KEY [HTTPS-PORT [HTTP-PORT]]")
    exit(2)
}
let securePort = arguments.count > 3 ? UInt16(arguments[3]) ?? 8443 : 8443
let plainPort = arguments.count > 4 ? UInt16(arguments[4]) ?? 8090 : 8090

do {
    // Wrong files, or a key that does not belong to the certificate, are an error right here.
    let tls = TLSOptions(certificate: .file(arguments[1]), key: .file(arguments[2]))
    let server = try Server(on: .tcp(port: securePort, tls: tls), .tcp(port: plainPort)) { request in
        // HTTPS is "on" in the environ of a request that came over TLS, else it is absent.
        let answer = "\(request.scheme) \(request["HTTPS"] ?? "-")\n"
        try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: answer)
    }
    print("https://127.0.0.1:\(server.port(of: 0))/\nhttp://127.0.0.1:\(server.port(of: 1))/")
    fflush(nil)
    try server.run()
} catch {
    print("tls: \(error)")
    exit(1)
}
