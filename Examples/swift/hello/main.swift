// SPDX-License-Identifier: MIT
// hello - answers "Hello, World!" on port 8090 (or the port given) and logs each request.
// swift run evy-hello-swift
import Evy
import Glibc

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
var options = Options()
options.accessLog = .standardError

do {
    let server = try Server(on: .tcp(port: port), options: options) { request in
        let type: Headers = ["Content-Type": "text/plain"]
        if request.path == "/" {
            try request.respond(.ok, headers: type, body: "Hello, World!\r\n")
        } else {
            try request.respond(.notFound, headers: type, body: "Not Found\r\n")
        }
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("hello: \(error)")
    exit(1)
}
