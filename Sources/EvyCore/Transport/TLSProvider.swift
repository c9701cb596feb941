// SPDX-License-Identifier: MIT
// TLSProvider - the TLS context in force: what listeners ask for with every client.
// Room: Transport (no system calls).

internal import COpenSSL

/// Between a policy and the listeners that use it: a reload puts a new context in, open connections go on
/// with the one they began with.
///
/// Ownership: shared by the policy's handle and its listeners.
/// Thread:    any.
final class TLSProvider: @unchecked Sendable {
    private let gate = ForkGate()
    private var context: TLSContext

    init(_ context: TLSContext) { self.context = context }

    var current: TLSContext { gate.withLock { context } }

    func replace(_ next: TLSContext) {
        // The earlier one may be freed by this very assignment, which takes a while: not under the lock.
        let earlier = gate.withLock {
            let earlier = context
            context = next
            return earlier
        }
        _ = earlier
    }
}
