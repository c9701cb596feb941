// SPDX-License-Identifier: MIT
// Thread - a joinable thread that takes no signals, because those belong to the host.
// Room: System. Spec: pthreads(7).

internal import CSystem
internal import Glibc

/// Ownership: whoever started it joins it, once.
struct Thread: @unchecked Sendable {
    private let handle: pthread_t

    /// Identity of the calling thread, cheap enough for every request.
    @inline(__always) static var current: UInt { evy_thread_self() }

    /// The processors this process may use; what its machine has beside them is of no help to it.
    static var processorCount: Int {
        let own = Int(evy_processors())
        return own > 0 ? own : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    /// nil: the system has no more threads to give.
    static func start(name: StaticString, _ body: @escaping @Sendable () -> Void) -> Thread? {
        let box = Unmanaged.passRetained(ThreadBody(name: name, run: body))
        var handle = pthread_t()
        var mask = sigset_t()
        evy_thread_block_signals(&mask)  // inherited by the new thread, before it can run
        let result = pthread_create(
            &handle, nil,
            { context in
                guard let context else { return nil }
                let box = Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue()
                box.name.withUTF8Buffer {
                    $0.withMemoryRebound(to: CChar.self) { evy_thread_name($0.baseAddress) }
                }
                box.run()
                return nil
            }, box.toOpaque())
        evy_thread_restore_signals(&mask)
        guard result == 0 else {
            box.release()
            return nil
        }
        return Thread(handle: handle)
    }

    var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }

    func join() { pthread_join(handle, nil) }

    /// Instead of a join: the system frees it when it ends.
    func detach() { pthread_detach(handle) }
}

private final class ThreadBody: Sendable {
    let name: StaticString
    let run: @Sendable () -> Void
    init(name: StaticString, run: @escaping @Sendable () -> Void) {
        self.name = name
        self.run = run
    }
}
