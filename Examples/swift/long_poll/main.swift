// SPDX-License-Identifier: MIT
// long_poll - a request waits for news, answered later by whoever brings some, or after a while with 204.
// swift run evy-long_poll-swift [PORT [SECONDS]], then:
//   curl http://127.0.0.1:8090/wait &   curl "http://127.0.0.1:8090/say?hello"
import Evy
import Glibc
import Synchronization

let arguments = CommandLine.arguments
let port = arguments.count > 1 ? UInt16(arguments[1]) ?? 8090 : 8090
let patience = Duration.seconds(arguments.count > 2 ? Int(arguments[2]) ?? 25 : 25)

/// The requests that wait, kept beyond their handlers. Who takes one out answers it.
let waiters = Mutex<[UInt64: PendingRequest]>([:])

@Sendable func take(_ id: UInt64) -> PendingRequest? {
    waiters.withLock { $0.removeValue(forKey: id) }
}

@Sendable func waitForNews(_ request: borrowing Request) {
    let id = request.id
    let pending = request.retain()
    waiters.withLock { $0[id] = pending }
    do {
        try request.onGone { _ in _ = take(id) }
    } catch {
        _ = take(id)  // it left before we asked to be told
    }
    // Nobody waits for ever: proxies would give up on a silent connection.
    Task {
        try await Task.sleep(for: patience)
        try take(id)?.request.respond(.noContent)
    }
}

/// How many were told.
@Sendable func tellAll(_ text: String) -> Int {
    let all = waiters.withLock { waiters in
        defer { waiters = [:] }
        return waiters.values
    }
    for waiter in all { try? waiter.request.respond(.ok, body: text) }
    return all.count
}

do {
    let server = try Server(on: .tcp(port: port)) { request in
        switch request.path {
        case "/wait": waitForNews(request)
        case "/say": try request.respond(.ok, body: "told \(tellAll(request.query))\n")
        default: try request.respond(.notFound)
        }
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("long_poll: \(error)")
    exit(1)
}
