// SPDX-License-Identifier: MIT
// site - the Swift twin of site.c, on the product Evy alone.
import Evy
import Glibc

let arguments = CommandLine.arguments
guard arguments.count == 5 else { exit(2) }
let file = open(arguments[4], O_RDONLY)
let type: Headers = ["Content-Type": "text/plain"]

@Sendable func takeUpload(_ request: borrowing Request) throws(EvyError) {
    try request.inform(100, headers: ["X-Upload": "welcome"])
    var sum = 0
    while let piece = try request.read() { sum += piece.count }
    try request.respond(201, headers: type, body: "\(sum) bytes\n")
}

do {
    var tls = TLSOptions(certificate: .file(arguments[1]), key: .file(arguments[2]))
    tls.clients = .optional(.file(arguments[3]))
    var options = Options()
    options.body = .stream
    let server = try Server(on: .tcp("127.0.0.1", port: 0, tls: tls), options: options) { request in
        switch request.path {
        case "/file":
            let writer = try request.begin(.ok, headers: type, length: Int64(lseek(file, 0, SEEK_END)))
            _ = try writer.write(file: file)
            try writer.end()
        case "/upload": try takeUpload(request)
        case "/whoami":
            let name = request["SSL_CLIENT_S_DN"]
            try request.respond(name == nil ? 403 : .ok, headers: type, body: name ?? "nobody")
        default: try request.respond(.notFound, headers: type, body: "Not Found\r\n")
        }
    }
    print(server.port)
    fflush(nil)
    try server.run()
} catch {
    print("site: \(error)")
    exit(1)
}
