// SPDX-License-Identifier: MIT
// Connection - one accepted socket: what the loop keeps of it while nothing happens.
// Room: Connection.

internal import CSystem

typealias ConnectionRef = UnsafeMutablePointer<Connection>

/// Ownership: lives in the table of its reactor; owns its socket, its TLS state and its two rests of bytes.
/// Thread:    the holder of the loop. Never copied; reached through a pointer.
struct Connection: ~Copyable {
    /// What the connection's one deadline stands for.
    enum Wait: UInt8 { case nothing, handshake, head, idle, body, unreadBody, write, linger }

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let handshaking = Flags(rawValue: 1)
        static let peerClosed = Flags(rawValue: 2)  // its FIN was seen
        static let closing = Flags(rawValue: 4)  // close when all output is taken
        static let lingering = Flags(rawValue: 8)  // our side is shut, input is thrown away
        static let inputLost = Flags(rawValue: 16)  // input is left unread: closing at once would reset
        static let proxyHeader = Flags(rawValue: 32)  // its PROXY protocol header is still to come
        static let pipelines = Flags(rawValue: 64)  // so many requests at a time that others would wait
        static let headAhead = Flags(rawValue: 128)  // ahead of a large body, in a packet of its own
    }

    let index: UInt32
    var generation: UInt32 = 0
    var descriptor: Int32 = -1
    var interest: EventSet = []
    var flags: Flags = []
    var wait = Wait.nothing
    var listener: UInt16 = 0
    /// Bytes of a line end that came behind the last request, and has begun no other.
    var passedOver: UInt8 = 0
    var requests: UInt32 = 0
    var peer = evy_address()
    var local = evy_address()
    var tls: UnsafeMutablePointer<TLSState>?
    /// The pair between it and a host that has taken the connection over.
    var tunnel: TunnelRef?
    /// Input that could not be used yet: a partial head, or requests behind the one being served.
    var input = ByteBuffer()
    /// Output of finished answers that the kernel has not taken yet.
    var backlog = ByteBuffer()
    /// The request being read or served.
    var current: ExchangeRef?
    /// Answered ones whose last byte is still to be taken, in order; they have no hooks.
    var firstUnsent: ExchangeRef?
    var lastUnsent: ExchangeRef?
    /// Bytes queued ahead of firstUnsent that nobody asks about.
    var silentBytes: UInt64 = 0
    /// Of those answers, how many there are of each class of status (see countSilent).
    var silentAnswers: UInt64 = 0
    /// Bytes the kernel took on this socket; under TLS these are cipher bytes.
    var socketSent: UInt64 = 0
    /// Of those, what it took in the turn of this number (see ConnectionShare).
    var turnSent = 0
    var turn: UInt32 = 0
    /// What tells whether the wait gets anywhere. While lingering, bytes thrown away; for room to write, what
    /// the peer had taken at its start (see SystemCalls.takenMark), and while idle what it had when its place
    /// was wanted last, or -1.
    var waitMark: Int64 = 0
    /// Bytes received in this window of a body's minimum rate; and the milliseconds that are left of it while
    /// the connection waits for room to write, which begins no new one.
    var windowMark: Int64 = 0
    var windowLeft: Int64 = 0
    /// While it waits for room to write, or is idle: since when the peer has acknowledged nothing. While
    /// lingering: what it had taken when the wait began.
    var stalledSince: Int64 = 0
    /// When the head that is being read must be complete, 0 where none is. A wait for room to write does not
    /// put it off.
    var headDeadline: Int64 = 0
    /// When the connection has been idle for too long, 0 since its last request was read. What carries none
    /// does not put it off.
    var idleDeadline: Int64 = 0

    init(index: UInt32) { self.index = index }

    /// Changes with every connection in this place, so an old event cannot reach a new one.
    var token: UInt64 { UInt64(generation) << 32 | UInt64(index) }
    /// Every byte of every finished answer was taken by the kernel.
    var isDrained: Bool {
        firstUnsent == nil && backlog.isEmpty && (tls?.pointee.backlog.isEmpty ?? true)
    }
    /// Bytes of answers ahead of the current exchange's own are still to be sent.
    var owesEarlier: Bool { firstUnsent != nil || silentBytes > 0 }
    /// A part of a TLS record has come: of the next request, most likely.
    var holdsRecord: Bool { tls?.pointee.session.holdsInput ?? false }
    var isIdle: Bool {
        current == nil && isDrained && input.isEmpty && !holdsRecord
            && flags.isSubset(of: [.proxyHeader, .pipelines, .headAhead])
    }
}

/// What TLS adds to a connection.
struct TLSState: ~Copyable {
    var session: TLSSession
    /// Cipher bytes the kernel has not taken yet, and the plain bytes inside them and before.
    var backlog = ByteBuffer()
    var plainInFlight: UInt64 = 0
    /// The last receive brought hardly any plain bytes.
    var isSparse = false
    /// What requests tell of it; from the end of the handshake on.
    var facts: TLSFactsRef?

    init(session: consuming TLSSession) { self.session = session }

    deinit { facts?.release() }
}
