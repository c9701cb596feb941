// SPDX-License-Identifier: MIT
// tls_reload - certificates by host name, read again on SIGHUP while clients stay connected.
// swift run evy-tls_reload-swift 8443 default.crt default.key [CERTIFICATE KEY]...
// Put new files in place of the old, then: kill -HUP PID
import Evy
import Glibc

let arguments = CommandLine.arguments
guard arguments.count >= 4, arguments.count % 2 == 0, let port = UInt16(arguments[1]) else {
    print("usage: tls_reload PORT CERTIFICATE KEY [CERTIFICATE KEY]...")
    exit(2)
}

// Blocked before the first thread is made, so that only sigwait below gets them.
var signals = sigset_t()
sigemptyset(&signals)
for number in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&signals, number) }
pthread_sigmask(SIG_BLOCK, &signals, nil)

do {
    var tls = TLSOptions(certificate: .file(arguments[2]), key: .file(arguments[3]))
    // The names come from the certificates; the first one serves every other name.
    tls.additional = stride(from: 4, to: arguments.count, by: 2).map {
        TLSOptions.Certificate(chain: .file(arguments[$0]), key: .file(arguments[$0 + 1]))
    }
    let server = try Server(on: .tcp(port: port, tls: tls)) { request in
        let name = request["SSL_SERVER_NAME"] ?? "no name"
        try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: "you asked for \(name)\n")
    }
    try server.start()
    print("https://127.0.0.1:\(server.port)/")
    fflush(nil)

    var number: Int32 = 0
    while sigwait(&signals, &number) == 0, number == SIGHUP {
        do {
            try server.reloadTLS()
            print("read the certificates again")
        } catch {
            print("kept the old certificates: \(error)")
        }
        fflush(nil)
    }
    server.stop(grace: .seconds(5))
    try server.wait()
} catch {
    print("tls_reload: \(error)")
    exit(1)
}
