// SPDX-License-Identifier: MIT
// ExchangeResponse - what the host says becomes bytes of the answer; every call checks what is allowed now.
// Room: Connection. Spec: RFC 9110 section 6, RFC 9112 section 6-7. Thread: any, under the exchange's lock.

internal import CSystem
internal import Synchronization

/// What a call on an exchange can come to; the raw values are evy_status of evy.h.
enum HostResult: Int32 {
    case ok = 0
    case full = 1
    case badArgument = -1
    case outOfMemory = -2
    case wrongState = -3
    case again = -4
    case timeout = -5
    case gone = -6
    case limit = -7
    case badField = -10
    case protocolError = -11
}

/// Status, reason and fields as the host gave them.
struct ResponseStart {
    var status: Int32
    var reason: UnsafeRawBufferPointer?
    var fields: UnsafeRawBufferPointer
}

extension UnsafeMutablePointer<Exchange> {
    /// The whole answer in one call.
    func respond(_ start: ResponseStart, body: UnsafeRawBufferPointer) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        let begun = writeStart(start, bodyLength: UInt64(body.count))
        guard begun == .ok else { return begun }
        switch pointee.plan.body {
        case .none: break
        case .length, .chunked, .untilClose:
            pointee.out.append(body)
            pointee.account.queueBody(body.count)
        }
        return finishOutput()
    }

    func begin(_ start: ResponseStart, length: UInt64?) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        let begun = writeStart(start, bodyLength: length)
        guard begun == .ok else { return begun }
        pointee.response = .begun
        if case .length(let promised) = pointee.plan.body { pointee.promisedLeft = Int64(clamping: promised) }
        postIfUnattended()
        return pointee.out.failed ? .outOfMemory : .ok
    }

    /// Takes a piece; `.full` when it is more than the high-water mark.
    func write(_ data: UnsafeRawBufferPointer) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        var count = Int64(data.count)
        if let refusal = admit(&count) { return refusal }
        let bytes = UnsafeRawBufferPointer(rebasing: data.prefix(Int(count)))
        if !bytes.isEmpty { append(bytes) }
        return afterWrite()
    }

    /// Lock held. Why no piece is taken now; nil: this many bytes of it, where fewer were promised.
    func admit(_ count: inout Int64) -> HostResult? {
        guard pointee.response == .begun, !pointee.isAborted else {
            return pointee.isGone ? goneResult : .wrongState
        }
        if pointee.connection == nil, pointee.stage != .serving { return goneResult }
        if pointee.isGone, pointee.descriptor < 0 { return goneResult }
        guard pointee.promisedLeft >= 0 else { return nil }
        if count > pointee.promisedLeft {
            count = pointee.promisedLeft
            pointee.isOverlong = true
        }
        pointee.promisedLeft -= count
        return nil
    }

    /// Lock held.
    func afterWrite() -> HostResult {
        if pointee.isTorn || withTail({ $0.failed }) {
            // A piece is missing, or a part of one: only a cut tells the client.
            cut()
            if pointee.end == .complete { pointee.end = .io }
            return .outOfMemory
        }
        postIfUnattended()
        guard isAboveHighWater else { return .ok }
        pointee.isFull = true
        return .full
    }

    /// Ends a streamed answer; trailers go out where it is chunked.
    func finish(trailers: UnsafeRawBufferPointer) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.response == .begun, !pointee.isAborted else {
            return pointee.isGone ? goneResult : .wrongState
        }
        if pointee.isGone, pointee.descriptor < 0 {
            // Why it was cut is known already; a short answer is not the handler's fault then.
            pointee.response = .ended
            return goneResult
        }
        if !trailers.isEmpty {
            do throws(ResponseError) { try HTTP1ResponseWriter.checkTrailers(trailers) } catch {
                return .badField
            }
        }
        if pointee.promisedLeft > 0 {
            // Fewer bytes than promised: only a cut tells the client. Where its own body broke off before,
            // the handler had no more to say, and that remains the reason.
            if pointee.end == .complete { pointee.end = .handlerError }
            cut()
            return .ok
        }
        if case .chunked = pointee.plan.body {
            appendFraming { HTTP1ResponseWriter.writeLastChunk(trailers: trailers, into: &$0) }
        }
        return finishOutput()
    }

    func abort() -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.response != .ended, !pointee.isAborted, pointee.stage == .serving else {
            return .wrongState
        }
        if pointee.end == .complete { pointee.end = .aborted }
        cut()
        return .ok
    }

    /// Lock held. Who waits for room, or for the body, waits in vain from here on.
    private func cut() {
        pointee.response = .ended
        pointee.isAborted = true
        postIfUnattended()
        pointee.changed.signal()
    }

    /// Called by the loop, lock held, when host code has returned: somebody has to answer.
    func answerWhereNobodyWill() {
        guard pointee.hostReferences == 0, pointee.response != .ended, pointee.stage == .serving else {
            return
        }
        if pointee.end == .complete { pointee.end = .handlerError }
        guard pointee.response == .none, pointee.descriptor >= 0 else {
            pointee.response = .ended
            pointee.isAborted = true
            return
        }
        pointee.closesConnection = true
        let text: StaticString = "Internal Server Error\n"
        let fields: StaticString = "Content-Type\0text/plain\0Connection\0close\0"
        let start = ResponseStart(
            status: 500, reason: nil,
            fields: UnsafeRawBufferPointer(start: fields.utf8Start, count: fields.utf8CodeUnitCount))
        guard writeStart(start, bodyLength: UInt64(text.utf8CodeUnitCount)) == .ok else {
            pointee.isAborted = true
            return
        }
        if pointee.plan.body != .none {
            pointee.out.append(text)
            pointee.account.queueBody(text.utf8CodeUnitCount)
        }
        if pointee.out.failed { pointee.isAborted = true }
        pointee.response = .ended
    }

    // MARK: Parts; lock held

    func writeStart(_ start: ResponseStart, bodyLength: UInt64?) -> HostResult {
        guard pointee.response == .none else { return .wrongState }
        guard !pointee.isAborted else { return pointee.isGone ? goneResult : .wrongState }
        guard pointee.descriptor >= 0 else { return goneResult }
        guard start.status >= 200, start.status <= 599 else { return .badArgument }
        let settings = pointee.reactor
        let facts = ResponseRequestFacts(
            minorVersion: pointee.head.minorVersion, isHead: pointee.head.method == .head,
            keepAlive: mayKeepAlive,
            echoesKeepAlive: pointee.head.echoesKeepAlive,
            maxMinorVersion: settings.pointee.settings.maxMinorVersion)
        let before = pointee.out.count
        if !pointee.isAttended { refreshDate() }
        do throws(ResponseError) {
            pointee.plan = try withUnsafeBytes(of: pointee.date.bytes) { date throws(ResponseError) in
                try HTTP1ResponseWriter.writeHead(
                    status: Int(start.status), reason: start.reason, fields: start.fields,
                    bodyLength: bodyLength,
                    facts: facts, date: UnsafeRawBufferPointer(rebasing: date[..<DateText.count]),
                    server: settings.pointee.settings.serverHeader, memo: &pointee.memo,
                    into: &pointee.out)
            }
        } catch {
            return error == .badStatus ? .badArgument : .badField
        }
        pointee.status = start.status
        pointee.wantsContinue = false
        pointee.account.queueFraming(pointee.out.count - before)
        return .ok
    }

    /// Keep-alive can be promised only when the next request will be found behind this one's body.
    private var mayKeepAlive: Bool {
        let settings = pointee.reactor
        guard pointee.head.keepAlive, settings.pointee.settings.keepAlive, !pointee.closesConnection,
            // From the stop on, also before the loop has come to see it.
            settings.pointee.stopRequest.load(ordering: .relaxed) == 0
        else { return false }
        let limit = settings.pointee.settings.requestsPerConnectionMax
        if limit > 0, pointee.requestNumber >= limit { return false }
        switch pointee.bodyEnd {
        case .complete: return true
        case .open:
            guard !pointee.wantsContinue, case .length(let length) = pointee.head.framing else {
                return false
            }
            return length &- pointee.bodyReceived
                <= min(settings.pointee.settings.lingerBytes, Settings.unreadBodyMax)
        case .gone, .timeout, .limit, .protocolError: return false
        }
    }

    private func append(_ bytes: UnsafeRawBufferPointer) {
        switch pointee.plan.body {
        case .none: return
        case .length, .untilClose: appendBody(bytes)
        case .chunked:
            appendFraming { HTTP1ResponseWriter.writeChunkHeader(byteCount: bytes.count, into: &$0) }
            appendBody(bytes)
            appendFraming { $0.append("\r\n") }
        }
    }

    func appendBody(_ bytes: UnsafeRawBufferPointer) {
        withTail { $0.append(bytes) }
        pointee.account.queueBody(bytes.count)
    }

    func appendFraming(_ write: (inout ByteBuffer) -> Void) {
        let count = withTail {
            let before = $0.count
            write(&$0)
            return $0.count - before
        }
        pointee.account.queueFraming(count)
    }

    func finishOutput() -> HostResult {
        pointee.response = .ended
        let hasFailed = pointee.isTorn || withTail { $0.failed }
        // Who reads on in a body that is thrown away from here on.
        if pointee.bodyEnd == .open { pointee.changed.signal() }
        if hasFailed {
            pointee.isAborted = true
            pointee.end = .io
        }
        postIfUnattended()
        return hasFailed ? .outOfMemory : .ok
    }

    private func refreshDate() {
        var scratch = ByteBuffer()
        pointee.date = DateText(secondsSinceEpoch: Clock.secondsSinceEpoch, scratch: &scratch)
    }

    var goneResult: HostResult { pointee.end == .writeTimeout ? .timeout : .gone }

    var isAboveHighWater: Bool {
        pointee.account.wireQueued &- pointee.account.wireSent
            > UInt64(pointee.reactor.pointee.settings.writeHighWater)
    }

    /// After a write above the high-water mark: nil while it still is.
    func roomAfterWrite() -> HostResult? {
        withLock {
            if pointee.isGone, pointee.descriptor < 0 { return goneResult }
            if pointee.isAborted { return .wrongState }
            if isAboveHighWater { return nil }
            pointee.isFull = false
            return .ok
        }
    }

    /// Lock held. The loop has to look, unless the thread that runs the handler will do so by itself.
    func postIfUnattended() {
        if !pointee.isAttended { pointee.reactor.post(self) }
    }
}
