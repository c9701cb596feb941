// SPDX-License-Identifier: MIT
// ExchangeBody - the request body on its way to the host: whole, pulled or pushed.
// Room: Connection. Spec: RFC 9110 section 10.1.1 (100-continue). Thread: any, under the exchange's lock.

internal import CSystem

extension UnsafeMutablePointer<Exchange> {
    /// Bytes kept for a host that does not read; then the client is left waiting.
    private static var bodyHighWater: Int { 256 << 10 }
    private static var bodyLowWater: Int { 64 << 10 }

    // MARK: The loop's side

    /// May more input be taken for this exchange now?
    var takesInput: Bool {
        switch pointee.stage {
        case .readingHead: return true
        // Without a body nothing of what follows is its own, and the reader is still that of an earlier
        // request, perhaps another client's, which it would read on.
        case .readingBody: return pointee.bodyEnd == .open
        case .serving: return isAwaitingBody
        case .hooking, .finished: return false
        }
    }

    /// A pause ends with the answer: what comes then is only read away, to find the next request.
    var isAwaitingBody: Bool {
        withLock {
            pointee.bodyEnd == .open && (!pointee.isReadingPaused || pointee.response == .ended)
        }
    }

    /// Should body bytes be coming? A client that waits for 100 Continue owes none before the handler asks;
    /// and what is still to come after the answer is not waited for as long.
    var bodyWait: Connection.Wait {
        withLock {
            guard pointee.bodyEnd == .open, !pointee.wantsContinue else { return .nothing }
            if pointee.response == .ended { return .unreadBody }
            return pointee.isReadingPaused ? .nothing : .body
        }
    }

    var hasBrokenBody: Bool {
        switch pointee.bodyEnd {
        case .open, .complete: return false
        case .gone, .timeout, .limit, .protocolError: return true
        }
    }

    /// Lock held.
    func pauseReadingIfFull() {
        if pointee.stage == .serving, pointee.response != .ended, pointee.body.count > Self.bodyHighWater {
            pointee.isReadingPaused = true
        }
    }

    /// Lock held. Memory was there for all that has come so far.
    var hasRoomForBody: Bool { !pointee.body.failed && !pointee.trailers.failed }

    /// Nothing more will come.
    func endBody(_ end: Exchange.BodyEnd) {
        withLock {
            if pointee.bodyEnd == .open { pointee.bodyEnd = end }
            if end == .gone { pointee.isGone = true }
            let isWhole = pointee.response == .ended && pointee.account.isDrained
            if pointee.end == .complete, !isWhole {
                switch end {
                case .timeout: pointee.end = .readTimeout
                case .limit: pointee.end = .limit
                case .protocolError: pointee.end = .protocolError
                case .gone: pointee.end = .clientClosed
                case .open, .complete: break
                }
            }
        }
        pointee.changed.signal()
        if end == .gone { tellGone() }
    }

    /// Lock held: is there a piece, or the end, for the body callback?
    var hasBodyForCallback: Bool {
        guard pointee.onBody != nil, !pointee.isBodyPaused || isCutInPause else { return false }
        return !pointee.body.isEmpty || pointee.bodyEnd != .open
    }

    /// Lock held. The client has gone while the host wanted no more: it is owed the end.
    private var isCutInPause: Bool { pointee.isBodyPaused && pointee.connection == nil }

    /// Lock held. Once; not after the answer has begun.
    func sendContinue() {
        guard pointee.wantsContinue, pointee.response == .none else { return }
        pointee.wantsContinue = false
        guard pointee.reactor.pointee.settings.maxMinorVersion >= 1 else { return }
        let before = pointee.out.count
        HTTP1ResponseWriter.writeContinue(into: &pointee.out)
        let count = pointee.out.count - before
        pointee.account.queueFraming(count)
        pointee.interimBytes &+= UInt64(count)
    }

    // MARK: The host's side

    var declaredBodyLength: Int64 {
        switch pointee.head.framing {
        case .none: return 0
        case .length(let length): return Int64(clamping: length)
        case .chunked: return pointee.bodyMode == .buffer ? Int64(clamping: pointee.bodyReceived) : -1
        }
    }

    /// Lock held. nil: the body is not buffered. An empty body has an address too. It is lent for as long as
    /// the request lives: from now on nobody may have its pieces pushed, which would use them up.
    func lendWholeBody() -> UnsafeRawBufferPointer? {
        guard pointee.bodyMode == .buffer, !pointee.environ.isRefused else { return nil }
        pointee.hasReadBody = true
        if pointee.body.isEmpty { return UnsafeRawBufferPointer(start: UnsafeRawPointer(self), count: 0) }
        return pointee.body.readable
    }

    enum BodyRead {
        case bytes(Int)
        case end
        case failed(HostResult)
        case nothingYet
    }

    /// What can be had without waiting. The first call asks the client to send.
    func takeBody(into room: UnsafeMutableRawBufferPointer) -> BodyRead {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.onBody == nil, !pointee.environ.isRefused else { return .failed(.wrongState) }
        pointee.hasReadBody = true
        if !pointee.body.isEmpty {
            let count = min(room.count, pointee.body.count)
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: pointee.body.readable.prefix(count)))
            pointee.body.consume(count)
            resumeReadingIfLow()
            return .bytes(count)
        }
        // Once answered, what is left is thrown away, and is no whole body.
        let isGivenUp = pointee.response == .ended && pointee.bodyEnd == .open
        if pointee.isBodyDropped || isGivenUp { return .failed(pointee.isAborted ? .gone : .wrongState) }
        switch pointee.bodyEnd {
        case .complete: return .end
        case .gone: return .failed(.gone)
        case .timeout: return .failed(.timeout)
        case .limit: return .failed(.limit)
        case .protocolError: return .failed(.protocolError)
        case .open: break
        }
        if pointee.wantsContinue {
            sendContinue()
            postIfUnattended()
        }
        return .nothingYet
    }

    func listenToBody(
        _ function: @escaping BodyFunction, _ user: UnsafeMutableRawPointer?, _ drop: DropFunction?
    ) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        // The function is forgotten with the last piece, but the drop that came with it is still owed then.
        guard pointee.bodyMode != .push, !pointee.hasReadBody, pointee.stage == .serving else {
            return .wrongState
        }
        pointee.bodyMode = .push
        pointee.onBody = function
        pointee.onBodyUser = user
        pointee.onBodyDrop = drop
        if pointee.bodyEnd == .open { sendContinue() }
        postIfUnattended()
        return .ok
    }

    func pauseBody(_ isPaused: Bool) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.onBody != nil else { return .wrongState }
        pointee.isBodyPaused = isPaused
        if !isPaused { postIfUnattended() }
        return .ok
    }

    /// On a thread that may block, lock free: pieces until there are none, or the host pauses.
    func deliverBody() {
        var piece = ByteBuffer()
        while true {
            pointee.lock.lock()
            // The call before may have answered: pieces that came meanwhile are nobody's any more.
            guard let function = pointee.onBody, !pointee.isBodyPaused || isCutInPause,
                pointee.response != .ended, !pointee.isAborted
            else { break }
            var end = pointee.bodyEnd
            if isCutInPause {
                // What waits is not wanted, and so what was delivered is no whole body.
                if end == .complete, !pointee.body.isEmpty { end = .gone }
                pointee.body.clear(keepingCapacity: 0)
            }
            let user = pointee.onBodyUser
            swap(&piece, &pointee.body)
            let isLast = piece.isEmpty
            if isLast {
                guard end != .open else { break }
                pointee.onBody = nil
            }
            resumeReadingIfLow()
            pointee.lock.unlock()
            function(
                user, OpaquePointer(self), piece.readable.baseAddress, piece.count,
                isLast ? end.result.rawValue : 0)
            piece.clear(keepingCapacity: 256 << 10)
        }
        pointee.lock.unlock()
    }

    /// Lock held.
    private func resumeReadingIfLow() {
        guard pointee.isReadingPaused, pointee.body.count < Self.bodyLowWater else { return }
        pointee.isReadingPaused = false
        pointee.reactor.post(self)
    }
}

extension Exchange.BodyEnd {
    var result: HostResult {
        switch self {
        case .open, .complete: return .ok
        case .gone: return .gone
        case .timeout: return .timeout
        case .limit: return .limit
        case .protocolError: return .protocolError
        }
    }
}
