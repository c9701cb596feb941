// SPDX-License-Identifier: MIT
// metrics - answers /metrics to Prometheus, logs JSON lines with request ids, changes its log level.
// swift run evy-metrics-swift, then:
//   curl http://127.0.0.1:8090/metrics;   curl -H 'X-Request-ID: my-id' http://127.0.0.1:8090/
//   curl http://127.0.0.1:8090/debug turns debug lines on: each request then writes one.
import Evy
import Glibc

@Sendable func answer(_ request: borrowing Request) throws {
    let id = request["HTTP_X_REQUEST_ID"] ?? ""  // the client's, or made by the server
    if request.path == "/metrics" {
        let type: Headers = ["Content-Type": "text/plain; version=0.0.4"]
        return try request.respond(.ok, headers: type, body: server.metricsText)
    }
    if request.path == "/debug" { server.logLevel = .debug }
    if server.logLevel >= .debug { server.log(.debug, "\(id) asks for \(request.path)") }
    try request.respond(.ok, body: "\(id)\n")
}

/// Ends the program, with the reason, where there can be no server.
func makeServer() -> Server {
    var options = Options()
    options.requestIDHeader = "X-Request-ID"
    options.accessLog = .standardError
    options.accessLogFormat = "json"
    do {
        let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
        return try Server(on: .tcp(port: port), options: options, handler: answer)
    } catch {
        print("metrics: \(error)")
        exit(1)
    }
}

let server = makeServer()
print("http://127.0.0.1:\(server.port)/")
fflush(nil)
try server.run()
