// SPDX-License-Identifier: MIT
// events - server-sent events: any number of clients listen, and each word that is said reaches them all.
// swift run evy-events-swift, then:
//   curl -N http://127.0.0.1:8090/events &   curl "http://127.0.0.1:8090/say?hello"
import Evy
import Glibc
import Synchronization

/// One writer for each listening client, until it leaves.
let listeners = Mutex<[UInt64: ResponseWriter]>([:])

@Sendable func forget(_ id: UInt64) {
    // The last reference goes with the result, after the lock: the library then cuts the unfinished answer.
    _ = listeners.withLock { $0.removeValue(forKey: id) }
}

@Sendable func listen(_ request: borrowing Request) throws {
    let id = request.id
    let type: Headers = ["Content-Type": "text/event-stream", "Cache-Control": "no-store"]
    let writer = try request.begin(.ok, headers: type)
    try writer.write(": welcome\n\n", wait: .zero)
    listeners.withLock { $0[id] = writer }
    do {
        try request.onGone { _ in forget(id) }
    } catch {
        forget(id)  // it left before we asked to be told
    }
}

/// How many got it. Nobody is waited for: a client with too much unread (write_high_water) is cut, and
/// connects again when it can, as browsers do.
@Sendable func tellAll(_ text: String) -> Int {
    let event = "data: \(text)\n\n"
    return listeners.withLock { Array($0) }.count { id, writer in
        let flow = try? writer.write(event, wait: .zero)
        if flow == .full {
            try? writer.abort()
            forget(id)
        }
        return flow == .ready
    }
}

do {
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8090
    let server = try Server(on: .tcp(port: port)) { request in
        switch request.path {
        case "/events": try listen(request)
        case "/say": try request.respond(.ok, body: "told \(tellAll(request.query))\n")
        default: try request.respond(.notFound)
        }
    }
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("events: \(error)")
    exit(1)
}
