// SPDX-License-Identifier: MIT
// HostLock - a lock of the host's runtime that its code must run under, held as long as there is work.
// Room: Loop. Why: docs/decisions/0007-python.md.

/// An interpreter lock costs more to take and to give than a quick callback takes. So the thread of the loop
/// keeps it from one callback to the next, and gives it back before it waits for anything.
///
/// Thread: any. Both functions are called in pairs on one thread.
struct HostLock: BitwiseCopyable {
    let take: @convention(c) (UnsafeMutableRawPointer?) -> Int32
    let give: @convention(c) (UnsafeMutableRawPointer?, Int32) -> Void
    let user: UnsafeMutableRawPointer?
}
