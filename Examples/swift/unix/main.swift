// SPDX-License-Identifier: MIT
// unix - behind nginx on a unix socket: tells each client who it is, as nginx saw it.
// swift run evy-unix-swift "unix:/run/evy.sock?mode=660&group=www-data"
// in nginx:
//     location / {
//         proxy_pass http://unix:/run/evy.sock:;
//         proxy_set_header Host $http_host;
//         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
//         proxy_set_header X-Forwarded-Proto $scheme;
//     }
import Evy
import Glibc

do {
    // As text it can come from a command line; in code it is .unix("/run/evy.sock", mode: 0o660, group: ...).
    let address = CommandLine.arguments.dropFirst().first ?? "unix:/run/evy.sock?mode=660&group=www-data"
    var options = Options()
    // Whoever may connect to the socket is nginx; what nginx sets itself is believed.
    options.trustedProxies = ["unix"]
    options.forwardedHeaders = [.xForwardedFor, .xForwardedProto]
    let server = try Server(on: .address(address), options: options) { request in
        let host = request["HTTP_HOST"] ?? "-"
        let answer = "\(request.remoteAddress) by \(request.scheme) at \(host)\n"
        try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: answer)
    }
    print(server.addresses[0])
    fflush(nil)
    try server.run()
} catch {
    print("unix: \(error)")
    exit(1)
}
