// SPDX-License-Identifier: MIT
// Notices - tells the host that it may write again, and that the client has gone.
// Room: Connection. Thread: registered on any; see each for where it is called.

/// A function of the host with its user pointer.
struct HostNotice {
    var function: HandlerFunction?
    var user: UnsafeMutableRawPointer?
    var drop: DropFunction?

    /// The drop that is owed, once. No lock may be held.
    mutating func release() {
        guard function != nil else { return }
        function = nil
        let owed = drop
        drop = nil
        owed?(user)
    }
}

extension UnsafeMutablePointer<Exchange> {
    // MARK: Room again

    func listenForRoom(_ notice: HostNotice) -> HostResult {
        withLock {
            // Orphaned, though it is served until the loop comes round to it: there will be no room any more.
            if pointee.isGone, pointee.descriptor < 0 { return .gone }
            guard pointee.onWritable.function == nil, pointee.response != .ended, !pointee.isAborted,
                pointee.stage == .serving
            else { return pointee.isGone ? .gone : .wrongState }
            pointee.onWritable = notice
            // Where the handler runs, the end of its run is looked at.
            if isWritableDue, !pointee.isRunning { postIfUnattended() }
            return .ok
        }
    }

    /// Lock held.
    var isWritableDue: Bool {
        guard pointee.isFull, pointee.onWritable.function != nil, pointee.response == .begun,
            pointee.descriptor >= 0
        else { return false }
        return isBelowLowWater
    }

    @inline(never)
    private var isBelowLowWater: Bool {
        pointee.account.wireQueued &- pointee.account.wireSent
            <= UInt64(pointee.reactor.pointee.settings.writeLowWater)
    }

    /// Lock held. What of the host's is to be called next.
    var callbackDue: Exchange.Job? {
        if hasBodyForCallback { return .body }
        return isWritableDue ? .writable : nil
    }

    /// On a thread that may block, lock free.
    func deliverWritable() {
        let notice = withLock { () -> HostNotice in
            pointee.isFull = false
            return pointee.onWritable
        }
        notice.function?(notice.user, OpaquePointer(self))
    }

    // MARK: The client left

    func listenForLeaving(_ notice: HostNotice) -> HostResult {
        withLock {
            if pointee.isGone { return .gone }
            guard pointee.onGone.function == nil, pointee.response != .ended, !pointee.isAborted,
                pointee.stage == .serving
            else { return .wrongState }
            pointee.onGone = notice
            return .ok
        }
    }

    /// On the loop, lock free; also while a handler runs, or nobody would tell it.
    @inline(never)
    func tellGone() {
        var notice = withLock { () -> HostNotice in
            guard pointee.isGone, pointee.response != .ended, !pointee.isAborted, pointee.stage == .serving
            else { return HostNotice() }
            let found = pointee.onGone
            pointee.onGone = HostNotice()
            return found
        }
        notice.function?(notice.user, OpaquePointer(self))
        notice.release()
    }
}
