// SPDX-License-Identifier: MIT
// Thread - plain threads, for clients and hosts that block.
internal import Glibc
internal import Testing

/// To be joined by the caller.
func spawnThread(_ work: @escaping @Sendable () -> Void) throws -> pthread_t {
    final class Work {
        let work: @Sendable () -> Void; init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { user in
            if let user { Unmanaged<Work>.fromOpaque(user).takeRetainedValue().work() }
            return nil
        }, Unmanaged.passRetained(Work(work)).toOpaque())
    try #require(result == 0)
    return thread
}
