// SPDX-License-Identifier: MIT
// Outcome - turns the figures of evy_req_stat into one typed value: how a request ended and what it cost.
// Room: Evy (the Swift face).
internal import CEvy

/// How a request ended and what it cost. Byte counts are what the kernel took, before TLS.
public struct Outcome: Sendable, Hashable {
    public enum End: Int32, Sendable, CaseIterable, CustomStringConvertible {
        /// Every byte of the answer was taken by the kernel.
        case complete = 0
        case clientReset = 1
        /// The client closed its side first.
        case clientClosed = 2
        /// The client did not read for `Options.writeTimeout`.
        case writeTimeout = 3
        /// The client's body came too slowly.
        case readTimeout = 4
        /// No answer, or a short one.
        case handlerError = 5
        /// `Request.abort()`.
        case aborted = 6
        /// Cut at the end of the grace.
        case shutdown = 7
        /// The body was longer than `Options.maxBodySize`.
        case limit = 8
        /// The body was malformed.
        case brokenProtocol = 9
        /// Any other error of the connection.
        case io = 10
        /// The program took the connection over, see `Request.takeSocket()`.
        case upgraded = 11

        /// The library's name of it, "client-reset".
        public var description: String { String(cString: evy_end_name(rawValue)) }
    }

    /// The status that was sent; nil: none.
    public let status: Status?
    /// nil: not over yet.
    public let end: End?
    /// Head, interim answers and chunk framing.
    public let headBytes: Int64
    /// The body without framing.
    public let bodyBytes: Int64
    /// Both: every byte of this response.
    public let wireBytes: Int64
    /// Of `wireBytes`, what the client's TCP has acknowledged so far; after a reset, what arrived. nil: not
    /// known, on a unix socket.
    public let ackedBytes: Int64?
    /// The promised length of the body; nil: none.
    public let contentLength: Int64?
    /// The request's body, without framing.
    public let bodyBytesReceived: Int64
    /// The request's head, framing and body.
    public let wireBytesReceived: Int64
    /// From the complete request head to the end.
    public let duration: Duration
    /// From the complete request head to the first byte of the answer; nil: there was none.
    public let firstByteAfter: Duration?
    /// How many requests this connection has brought, this one included.
    public let requestsOnConnection: Int
    /// The connection goes on.
    public let isKeptAlive: Bool
    public let isTLS: Bool

    /// The client got less than everything.
    public var isCut: Bool { end != .complete }
}

extension Request {
    /// The figures so far; in hooks and in `Options.onAccess` they are final.
    public var outcome: Outcome {
        let status = statistic(EVY_STAT_STATUS) ?? 0
        return Outcome(
            status: status > 0 ? Status(Int(status)) : nil,
            end: statistic(EVY_STAT_END).flatMap { Outcome.End(rawValue: Int32(truncatingIfNeeded: $0)) },
            headBytes: statistic(EVY_STAT_HEAD_OUT) ?? 0, bodyBytes: statistic(EVY_STAT_BODY_OUT) ?? 0,
            wireBytes: statistic(EVY_STAT_WIRE_OUT) ?? 0, ackedBytes: statistic(EVY_STAT_ACKED),
            contentLength: statistic(EVY_STAT_CONTENT_LENGTH),
            bodyBytesReceived: statistic(EVY_STAT_BODY_IN) ?? 0,
            wireBytesReceived: statistic(EVY_STAT_WIRE_IN) ?? 0,
            duration: .microseconds(statistic(EVY_STAT_US_TOTAL) ?? 0),
            firstByteAfter: statistic(EVY_STAT_US_FIRST_BYTE).map { .microseconds($0) },
            requestsOnConnection: Int(statistic(EVY_STAT_REQUESTS) ?? 0),
            isKeptAlive: statistic(EVY_STAT_KEPT_ALIVE) == 1, isTLS: statistic(EVY_STAT_TLS) == 1)
    }

    /// nil: not known.
    private func statistic(_ what: some BinaryInteger) -> Int64? {
        let value = evy_req_stat(handle, Int32(truncatingIfNeeded: what))
        return value < 0 ? nil : value
    }
}
