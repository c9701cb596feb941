// SPDX-License-Identifier: MIT
// ExchangeStatistics - the figures of one exchange, as hooks and logs read them.
// Room: Connection. Thread: any; takes the lock.

internal import CSystem

/// The raw values are EVY_STAT_* of evy.h.
enum ExchangeStatistic: Int32 {
    case status = 0
    case end, headOut, bodyOut, wireOut, acked, contentLength, bodyIn, wireIn, microsecondsTotal
    case microsecondsFirstByte, requests, keptAlive, tls
}

extension UnsafeMutablePointer<Exchange> {
    /// -1: not known (yet).
    func statistic(_ what: ExchangeStatistic) -> Int64 {
        withLockUnlessForked { value(of: what) }
    }

    /// Lock held.
    private func value(of what: ExchangeStatistic) -> Int64 {
        switch what {
        case .status: return Int64(sentStatus)
        case .end: return isOver ? Int64(pointee.end.rawValue) : -1
        case .headOut: return Int64(clamping: pointee.account.headSent)
        case .bodyOut: return Int64(clamping: pointee.account.bodySent)
        case .wireOut: return Int64(clamping: pointee.account.wireSent)
        case .acked: return acknowledged
        case .contentLength: return pointee.response == .none ? -1 : pointee.plan.declaredLength
        case .bodyIn: return Int64(clamping: pointee.bodyReceived)
        case .wireIn: return Int64(clamping: pointee.wireReceived)
        case .microsecondsTotal:
            let end = pointee.account.endedAt >= 0 ? pointee.account.endedAt : Clock.monotonicNanoseconds
            return max(0, end - pointee.startedAt) / 1000
        case .microsecondsFirstByte:
            let first = pointee.account.firstByteAt
            return first < 0 || pointee.account.wireSent == 0 ? -1 : max(0, first - pointee.startedAt) / 1000
        case .requests: return Int64(pointee.requestNumber)
        case .keptAlive:
            return isOver && !pointee.closesConnection && !pointee.isGone && pointee.plan.keepAlive ? 1 : 0
        case .tls: return pointee.isTLS ? 1 : 0
        }
    }

    /// From now on it is over for whoever asks, on any thread.
    func noteEnded(at moment: Int64) { withLock { pointee.account.endedAt = moment } }

    /// Lock held. 0: none of the answer went out.
    var sentStatus: Int32 { pointee.account.wireSent > pointee.interimBytes ? pointee.status : 0 }

    private var isOver: Bool {
        pointee.stage == .hooking || pointee.stage == .finished || pointee.account.endedAt >= 0
    }

    /// Live connections are asked now; of dead ones the answer was kept.
    private var acknowledged: Int64 {
        if pointee.descriptor < 0 { return pointee.account.acked }
        if pointee.peer.isUnix { return -1 }
        return pointee.account.ackedPart(SystemCalls.bytesAcked(pointee.descriptor))
    }
}
