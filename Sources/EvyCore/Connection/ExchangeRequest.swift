// SPDX-License-Identifier: MIT
// ExchangeRequest - reads one request's head and body out of the connection's input.
// Room: Connection. Spec: RFC 9112 section 2-7.

internal import CSystem

extension UnsafeMutablePointer<Reactor> {
    /// True: complete, `position` is behind it; false: more bytes needed; nil: refused.
    func readHead(_ exchange: ExchangeRef, _ window: UnsafeRawBufferPointer, _ position: inout Int) -> Bool? {
        let bytes = UnsafeRawBufferPointer(rebasing: window[position...])
        if bytes.isEmpty { return false }
        do throws(HTTPError) {
            var slots = exchange.pointee.fields.mutableSpan
            let isComplete = try exchange.pointee.parser.parse(
                bytes.bytes, limits: pointee.settings.limits, laxness: pointee.settings.laxness,
                fields: &slots, head: &exchange.pointee.head)
            guard isComplete else { return false }
        } catch {
            keepRequestLine(exchange, bytes)
            beginRefusal(exchange, error)
            return nil
        }
        let byteCount = exchange.pointee.head.byteCount
        exchange.pointee.bytes.append(UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]))
        position += byteCount
        return accept(exchange, byteCount: byteCount)
    }

    /// What the server knows beyond the head.
    private func accept(_ exchange: ExchangeRef, byteCount: Int) -> Bool? {
        guard let connection = exchange.pointee.connection, !exchange.pointee.bytes.failed else {
            beginRefusal(exchange, .headerTooLarge)
            return nil
        }
        connection.pointee.requests &+= 1
        // The deadline was this head's, or the body's ahead of it: what begins behind it in the same bytes
        // has its own. And it is no idle connection's any more, whoever serves it.
        connection.pointee.headDeadline = 0
        connection.pointee.idleDeadline = 0
        connection.pointee.windowLeft = 0
        if connection.pointee.wait != .write { connection.pointee.wait = .nothing }
        identify(exchange, connection)
        exchange.pointee.wireReceived = UInt64(byteCount)
        exchange.pointee.wireReceived &+= UInt64(connection.pointee.passedOver)
        connection.pointee.passedOver = 0
        let framing = exchange.pointee.head.framing
        let settings = pointee.settings
        exchange.pointee.bodyMode = buffers(exchange.pointee.head) ? .buffer : .pull
        exchange.pointee.wantsContinue = exchange.pointee.head.expectsContinue
        exchange.pointee.stage = .readingBody
        if exchange.believesProxies, let fault = exchange.forwardedFault() {
            beginRefusal(exchange, fault)
            return nil
        }
        guard framing != .none, framing != .length(0) else {
            exchange.pointee.bodyEnd = .complete
            return true
        }
        if case .length(let length) = framing, settings.limits.bodyBytesMax > 0,
            length > settings.limits.bodyBytesMax
        {
            beginRefusal(exchange, .contentTooLarge)
            return nil
        }
        exchange.pointee.bodyReader = HTTP1BodyReader(framing: framing, limits: settings.limits)
        return true
    }

    /// Does the handler wait for the whole body?
    private func buffers(_ head: RequestHead) -> Bool {
        switch pointee.settings.body {
        case .buffer: return true
        case .stream: return false
        case .auto:
            guard !head.expectsContinue, case .length(let length) = head.framing else { return false }
            return length <= UInt64(Settings.smallBodyBytesMax)
        }
    }

    private func identify(_ exchange: ExchangeRef, _ connection: ConnectionRef) {
        pointee.counters.add(.requestsTotal)
        exchange.pointee.id = newRequestID()
        exchange.pointee.requestNumber = connection.pointee.requests
        exchange.pointee.peer = connection.pointee.peer
        exchange.pointee.local = connection.pointee.local
        exchange.pointee.isTLS = connection.pointee.tls != nil
        if let tls = connection.pointee.tls, exchange.pointee.tlsFacts == nil {
            exchange.pointee.tlsFacts = tls.pointee.facts?.retained()
        }
        exchange.pointee.startedAt = loop.pointee.now
        exchange.pointee.date = pointee.date
    }

    /// Takes body bytes from the window. False: refused before the handler ran.
    func feed(_ exchange: ExchangeRef, _ window: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
        let failure = feedBytes(exchange, window, &position)
        guard let failure else { return true }
        // A handler that takes the body itself hears of it there, however the bytes arrived.
        if exchange.pointee.stage == .readingBody, exchange.pointee.bodyMode == .buffer {
            beginRefusal(exchange, failure)
            return false
        }
        exchange.endBody(failure.kind == .limit ? .limit : .protocolError)
        exchange.pointee.connection?.pointee.flags.insert(.inputLost)
        position = window.count
        return true
    }

    private func feedBytes(
        _ exchange: ExchangeRef, _ window: UnsafeRawBufferPointer, _ position: inout Int
    ) -> HTTPError? {
        exchange.pointee.lock.lock()
        defer { exchange.pointee.lock.unlock() }
        let before = position
        defer { exchange.pointee.wireReceived &+= UInt64(truncatingIfNeeded: position - before) }
        let isWanted = exchange.pointee.response != .ended
        while true {
            do throws(HTTPError) {
                switch try exchange.pointee.bodyReader.read(window.bytes, from: position) {
                case .data(let start, let count, let next):
                    exchange.pointee.bodyReceived &+= UInt64(count)
                    if isWanted {
                        exchange.pointee.body.append(
                            UnsafeRawBufferPointer(rebasing: window[start..<(start + count)]))
                    } else {
                        exchange.pointee.isBodyDropped = true
                    }
                    position = next
                case .trailer(let start, let count, let next):
                    if isWanted {
                        exchange.pointee.trailers.append(
                            UnsafeRawBufferPointer(rebasing: window[start..<(start + count)]))
                    }
                    position = next
                case .needMore(let next):
                    position = next
                    exchange.pauseReadingIfFull()
                    exchange.pointee.changed.signal()
                    return exchange.hasRoomForBody ? nil : .contentTooLarge
                case .end(let next):
                    position = next
                    exchange.pointee.bodyEnd = .complete
                    exchange.pointee.changed.signal()
                    return exchange.hasRoomForBody ? nil : .contentTooLarge
                }
            } catch { return error }
        }
    }

    /// The body will not come whole, and the handler is or will be told. False: the loop was lost.
    func failBody(_ exchange: ExchangeRef, _ end: Exchange.BodyEnd) -> Bool {
        exchange.endBody(end)
        exchange.pointee.connection?.pointee.flags.insert(.inputLost)
        return attend(exchange)
    }

    /// body=buffer reads ahead of the handler, so the client that waits for 100 Continue gets it here.
    func askForBody(_ exchange: ExchangeRef) {
        guard exchange.pointee.wantsContinue else { return }
        exchange.withLock { exchange.sendContinue() }
        pump(exchange)
    }
}

// MARK: - Refusals

extension UnsafeMutablePointer<Reactor> {
    /// A whole answer by the library; the connection ends after it.
    func beginRefusal(_ exchange: ExchangeRef, _ error: HTTPError) {
        guard let connection = exchange.pointee.connection else { return }
        if exchange.pointee.id == 0 || exchange.pointee.stage == .readingHead {
            connection.pointee.requests &+= 1
            identify(exchange, connection)
        }
        pointee.counters.add(Counter(refusal: error))
        let status = pointee.settings.status(error)
        let isToHead = exchange.asksForHead
        exchange.withLock {
            exchange.pointee.environ.isRefused = true
            exchange.pointee.hooks.isSealed = true
            exchange.pointee.response = .ended
            exchange.pointee.status = Int32(status)
            let before = exchange.pointee.out.count
            let bodyCount = withUnsafeBytes(of: pointee.date.bytes) {
                HTTP1ResponseWriter.writeRefusal(
                    error, status: status, minorVersion: pointee.settings.maxMinorVersion,
                    toHead: isToHead,
                    date: UnsafeRawBufferPointer(rebasing: $0.prefix(DateText.count)),
                    into: &exchange.pointee.out)
            }
            exchange.pointee.account.queueFraming(exchange.pointee.out.count - before - bodyCount)
            exchange.pointee.account.queueBody(bodyCount)
        }
        exchange.pointee.closesConnection = true
        exchange.pointee.bodyEnd = error.kind == .limit ? .limit : .protocolError
        exchange.pointee.end =
            error.kind == .timeout ? .readTimeout : error.kind == .limit ? .limit : .protocolError
        exchange.pointee.stage = .serving
        connection.pointee.flags.insert(.inputLost)
        logDebug { "\(connection.pointee.peer.text) refused: \(status) \(error.reason)" }
    }

    /// False: the loop was lost.
    func finishRefusal(_ exchange: ExchangeRef) -> Bool {
        guard let connection = exchange.pointee.connection else { return true }
        switch advance(exchange) {
        case .lost: return false
        case .gone: return true
        case .next, .wait: return flushAndSettle(connection)
        }
    }

    func refuse(_ exchange: ExchangeRef, _ error: HTTPError) -> Bool {
        guard let connection = exchange.pointee.connection else { return true }
        keepRequestLine(exchange, connection.pointee.input.readable)
        connection.pointee.input.clear(keepingCapacity: 0)
        pointee.worker.pointee.connection = connection
        beginRefusal(exchange, error)
        return finishRefusal(exchange)
    }

    /// So that the access line of a refused request shows what there was of it.
    private func keepRequestLine(_ exchange: ExchangeRef, _ bytes: UnsafeRawBufferPointer) {
        guard exchange.pointee.stage == .readingHead else { return }
        let line = exchange.pointee.parser.requestLineSoFar
        let end = min(Int(line.start) + Int(line.count), bytes.count, 8192)
        exchange.pointee.head = RequestHead()
        guard Int(line.start) < end else { return }
        exchange.pointee.bytes.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(end)))
        exchange.pointee.head.requestLine = ByteRange(Int(line.start), end)
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// By its request line: of a request that is refused no method may be known.
    fileprivate var asksForHead: Bool {
        UnsafeRawBufferPointer(rebasing: text(pointee.head.requestLine).prefix(5)).equals("HEAD ")
    }
}
