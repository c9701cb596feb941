// SPDX-License-Identifier: MIT
// ForkWatch - has this process forked, or been forked? Known without a system call, in one load.
// Room: System. Spec: pthread_atfork(3). A fork by a bare clone(2), or vfork(2), goes unnoticed.

internal import Glibc
internal import Synchronization

enum ForkWatch {
    /// Changes in a forked child: what was made under another number belongs to the parent.
    private static let ownGeneration = Atomic<UInt32>(0)
    private static let forks = Atomic<Bool>(false)
    private static let isInstalled: Void = {
        pthread_atfork(
            nil, { ForkWatch.forks.store(true, ordering: .relaxed) },
            {
                ForkWatch.forks.store(true, ordering: .relaxed)
                ForkWatch.ownGeneration.wrappingAdd(1, ordering: .relaxed)
            })
    }()

    /// Before the first server; any thread, any number of times.
    static func begin() { _ = isInstalled }

    @inline(__always)
    static var generation: UInt32 { ownGeneration.load(ordering: .relaxed) }

    /// Other processes may have copies of the descriptors of this one. A child that is on its way to exec,
    /// made by posix_spawn(3), is none: its copies are closed there.
    @inline(__always)
    static var hasForked: Bool { forks.load(ordering: .relaxed) }
}
