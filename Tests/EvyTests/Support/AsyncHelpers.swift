// SPDX-License-Identifier: MIT
// AsyncHelpers - servers whose handlers are tasks, and clients that do not hold up the tasks' threads.
internal import Evy
internal import Glibc

/// A client on a thread of its own: it blocks, and the tasks of the handlers need the pool's threads.
func client<Value: Sendable>(
    _ talk: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        do {
            pthread_detach(try spawnThread { continuation.resume(with: Result { try talk() }) })
        } catch { continuation.resume(throwing: error) }
    }
}

func serving(
    body: Options.BodyMode = .stream, highWater: Int? = nil, log: Collector<String> = Collector(),
    _ handler: @escaping Server.AsyncHandler
) throws -> Server {
    var options = Options()
    options.body = body
    options.onLog = { _, text in log.add(text) }
    if let highWater { (options.writeHighWater, options.writeLowWater) = (highWater, highWater / 4) }
    let server = try Server(taskPerRequestOn: .tcp("127.0.0.1", port: 0), options: options, handler: handler)
    try server.start()
    return server
}

struct Refusal: Error {}

func code(_ error: any Error) -> String {
    (error as? EvyError).map { "\($0.code)" } ?? "\(type(of: error))"
}
