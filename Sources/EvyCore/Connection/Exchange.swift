// SPDX-License-Identifier: MIT
// Exchange - one request and its response: what evy_req points to.
// Room: Connection. Spec: docs/architecture.md, "One exchange".

internal import CSystem
internal import Glibc

typealias ExchangeRef = UnsafeMutablePointer<Exchange>
typealias HandlerFunction = @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?) -> Void
typealias DropFunction = @convention(c) (UnsafeMutableRawPointer?) -> Void
typealias BodyFunction =
    @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafeRawPointer?, Int, Int32) -> Void

/// How a request ended; the raw values are EVY_END_* of evy.h.
enum ExchangeEnd: Int32 {
    case complete = 0
    case clientReset, clientClosed, writeTimeout, readTimeout, handlerError, aborted, shutdown, limit,
        protocolError, io, upgraded

    /// Nothing is wrong with the connection itself, only what was said on it.
    var isOurs: Bool {
        switch self {
        case .handlerError, .aborted, .limit, .protocolError, .readTimeout: return true
        case .complete, .clientReset, .clientClosed, .writeTimeout, .shutdown, .io, .upgraded: return false
        }
    }

    /// The name that logs and hosts show.
    var name: StaticString {
        switch self {
        case .complete: return "complete"
        case .clientReset: return "client-reset"
        case .clientClosed: return "client-closed"
        case .writeTimeout: return "write-timeout"
        case .readTimeout: return "read-timeout"
        case .handlerError: return "handler-error"
        case .aborted: return "aborted"
        case .shutdown: return "shutdown"
        case .limit: return "limit"
        case .protocolError: return "protocol"
        case .io: return "io"
        case .upgraded: return "upgraded"
        }
    }
}

/// One exchange. Its memory is its own: a handler on another thread never depends on the loop's buffers.
///
/// Ownership: pooled by its reactor; lent to the host for callbacks, and kept for it while it holds
/// references.
/// Lifetime:  until finished and no host reference is left. Pointers handed to the host live as long.
/// Thread:    three groups of members, see the marks. Always reached through a pointer, never copied.
struct Exchange: ~Copyable {
    static let magicAlive: UInt32 = 0x4556_5921
    /// In the pool: a pointer to it that a host has kept is refused until the memory serves anew.
    static let magicPooled: UInt32 = 0x4556_5930

    enum Stage: UInt8 { case readingHead, readingBody, serving, hooking, finished }
    enum Job: UInt8 { case handler, body, writable, hooks }
    enum Response: UInt8 { case none, begun, ended }
    enum BodyMode: UInt8 { case buffer, pull, push }
    /// The way of a connection from the library to the host.
    enum Takeover: UInt8 {
        case none
        case asked  // by another thread than the handler's: when that has returned
        case wanted
        case failed, given, pumped, over

        var isPending: Bool { self == .asked || self == .wanted }
    }
    enum BodyEnd: UInt8 { case open, complete, gone, timeout, limit, protocolError }

    /// First, and nobody else's: ThreadSanitizer books a change of any member as one of the first byte, so
    /// what other threads read must not lie there.
    private let anchor: UInt64 = 0

    var magic = Exchange.magicAlive
    // MARK: Set once for the life of the memory
    let lock = FutexLock()
    /// Signalled when a body arrived, output drained, or the client went.
    let changed = FutexEvent()
    let node: UnsafeMutablePointer<InboxNode>
    let reactor: ReactorRef
    let fields: UnsafeMutableBufferPointer<FieldSlot>

    // MARK: The loop's own
    var connection: ConnectionRef?
    var nextUnsent: ExchangeRef?
    var stage = Stage.readingHead
    var parser = HTTP1HeadParser()
    var bodyReader = HTTP1BodyReader(framing: .none, bodyBytesMax: 0)
    /// Bytes of later, unobserved answers of the same connection that follow this one's.
    var silentBytesBehind: UInt64 = 0
    var silentAnswersBehind: UInt64 = 0
    /// Output that left the lock and waits for the kernel; `out` follows it.
    var sending = ByteBuffer()
    /// Behind `sending`: what is sent from where the host keeps it. `out` follows it.
    var segment: SegmentRef?
    /// The connection closes after this answer.
    var closesConnection = false

    // MARK: The request; written by the loop before the handler runs, then only read (NULs under the lock)
    var id: UInt64 = 0
    var head = RequestHead()
    var bytes = ByteBuffer()
    var peer = evy_address()
    var local = evy_address()
    var isTLS = false
    /// A reference, so that a request may outlive its connection.
    var tlsFacts: TLSFactsRef?
    var requestNumber: UInt32 = 0
    var startedAt: Int64 = 0
    /// The Date of the answer, as of the turn that dispatched the request.
    var date = DateText()

    // MARK: Shared with the host's threads; under `lock`
    var hostReferences: Int32 = 0
    var keepsServer = false
    /// Host code of this exchange is being run, or queued to be.
    var isRunning = false
    var job = Job.handler
    /// The thread that runs it will look at the exchange itself when it is done: no post is needed.
    var isAttended = false
    var runner: UInt = 0
    /// The scratch of that thread.
    var worker: WorkerRef?
    /// Input behind this request, rescued from the scratch of a thread that lost the loop.
    var leftover = ByteBuffer()
    var user: UnsafeMutableRawPointer?
    var arena = Arena()
    var environ = EnvironState()
    var hooks = PosthookList()
    /// The client's socket for TCP_INFO, -1 once closed.
    var descriptor: Int32 = -1
    var isGone = false
    var end = ExchangeEnd.complete

    var response = Response.none
    var plan = ResponsePlan(body: .none, keepAlive: false, declaredLength: -1)
    var status: Int32 = 0
    var out = ByteBuffer()
    /// What follows `out`, in order; each one has behind it the copied output that comes next.
    var firstSegment: SegmentRef?
    var lastSegment: SegmentRef?
    /// A writer was told to slow down, and has not been told to go on.
    var isFull = false
    var onWritable = HostNotice()
    var onGone = HostNotice()
    /// Outlives the request: the next one on this memory probably has the same fields.
    var memo = FieldsMemo()
    var account = Accounting()
    /// Body bytes that may still come under the promised length; -1: no promise.
    var promisedLeft: Int64 = -1
    var takeover = Takeover.none
    /// What the host gets of a connection it has taken over, until it was told.
    var takenDescriptor: Int32 = -1
    var isAborted = false
    /// Bytes of the answer could not be kept.
    var isTorn = false
    var isOverlong = false

    var bodyMode = BodyMode.buffer
    var body = ByteBuffer()
    var bodyEnd = BodyEnd.open
    /// Trailer lines as they came, and the pairs made of them when the host asks.
    var trailers = ByteBuffer()
    var trailerPairs = ByteBuffer()
    var bodyReceived: UInt64 = 0
    var wireReceived: UInt64 = 0
    var wantsContinue = false
    /// Bytes of 100 Continue among the framing.
    var interimBytes: UInt64 = 0
    /// Some of it came when it was nobody's any more.
    var isBodyDropped = false
    var isBodyPaused = false
    var isReadingPaused = false
    var hasReadBody = false
    var onBody: BodyFunction?
    var onBodyUser: UnsafeMutableRawPointer?
    var onBodyDrop: DropFunction?

    init(
        reactor: ReactorRef, node: UnsafeMutablePointer<InboxNode>,
        fields: UnsafeMutableBufferPointer<FieldSlot>
    ) {
        self.reactor = reactor
        self.node = node
        self.fields = fields
    }
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", 29 bytes, held inline.
struct DateText {
    var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    static let count = 29

    init() {}

    init(secondsSinceEpoch: Int64, scratch: inout ByteBuffer) {
        scratch.clear(keepingCapacity: 64)
        HTTPDate.write(secondsSinceEpoch: secondsSinceEpoch, into: &scratch)
        withUnsafeMutableBytes(of: &bytes) { $0.copyBytes(from: scratch.readable.prefix(Self.count)) }
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// nil: out of memory.
    static func make(reactor: ReactorRef, fieldCapacity: Int) -> ExchangeRef? {
        let rooms = (
            malloc(MemoryLayout<Exchange>.stride),
            calloc(max(fieldCapacity, 1), MemoryLayout<FieldSlot>.stride),
            malloc(MemoryLayout<InboxNode>.stride)
        )
        guard let room = rooms.0, let slots = rooms.1, let nodeRoom = rooms.2 else {
            free(rooms.0)
            free(rooms.1)
            free(rooms.2)
            return nil
        }
        let exchange = room.bindMemory(to: Exchange.self, capacity: 1)
        let node = nodeRoom.bindMemory(to: InboxNode.self, capacity: 1)
        node.initialize(to: InboxNode(owner: room))
        let fields = UnsafeMutableBufferPointer(
            start: slots.bindMemory(to: FieldSlot.self, capacity: fieldCapacity), count: fieldCapacity)
        exchange.initialize(to: Exchange(reactor: reactor, node: node, fields: fields))
        return exchange
    }

    /// Gives the memory back to the system.
    func destroy() {
        let node = pointee.node
        let fields = pointee.fields
        pointee.magic = 0
        pointee.tlsFacts?.release()
        deinitialize(count: 1)
        node.deinitialize(count: 1)
        free(node)
        free(fields.baseAddress)
        free(self)
    }

    /// Back to the state of a new one; buffers keep a little of their memory, or none.
    func reset(keepsBuffers: Bool) {
        pointee.connection = nil
        if let facts = pointee.tlsFacts {
            pointee.tlsFacts = nil
            facts.release()
        }
        pointee.nextUnsent = nil
        pointee.stage = .readingHead
        pointee.parser = HTTP1HeadParser()
        // Of a body that broke off: the next request on this memory may have none, and start none.
        if !pointee.bodyReader.isEnded {
            pointee.bodyReader = HTTP1BodyReader(framing: .none, bodyBytesMax: 0)
        }
        pointee.silentBytesBehind = 0
        pointee.silentAnswersBehind = 0
        pointee.sending.clear(keepingCapacity: 0)
        pointee.closesConnection = false
        pointee.bytes.clear(keepingCapacity: keepsBuffers ? 4096 : 0)
        pointee.keepsServer = false
        pointee.leftover.clear(keepingCapacity: 0)
        pointee.user = nil
        pointee.arena.reset(keepsChunk: keepsBuffers)
        pointee.environ = EnvironState()
        pointee.hooks = PosthookList()
        pointee.descriptor = -1
        pointee.isGone = false
        pointee.end = .complete
        pointee.response = .none
        pointee.plan = ResponsePlan(body: .none, keepAlive: false, declaredLength: -1)
        pointee.status = 0
        pointee.out.clear(keepingCapacity: keepsBuffers ? 4096 : 0)
        if pointee.segment != nil || pointee.firstSegment != nil { dropSegments() }
        pointee.isFull = false
        pointee.onWritable = HostNotice()
        pointee.onGone = HostNotice()
        pointee.account.reset()
        pointee.promisedLeft = -1
        pointee.takeover = .none
        pointee.takenDescriptor = -1
        pointee.isAborted = false
        pointee.isTorn = false
        pointee.isBodyDropped = false
        pointee.isOverlong = false
        pointee.body.clear(keepingCapacity: keepsBuffers ? 4096 : 0)
        pointee.bodyEnd = .open
        pointee.bodyReader = HTTP1BodyReader(framing: .none, bodyBytesMax: 0)
        pointee.trailers.clear(keepingCapacity: 0)
        pointee.trailerPairs.clear(keepingCapacity: 0)
        pointee.bodyReceived = 0
        pointee.wireReceived = 0
        pointee.wantsContinue = false
        pointee.interimBytes = 0
        pointee.isBodyPaused = false
        pointee.isReadingPaused = false
        pointee.hasReadBody = false
        pointee.onBody = nil
        pointee.onBodyUser = nil
        pointee.onBodyDrop = nil
    }

    @inline(__always)
    func withLock<R>(_ body: () -> R) -> R {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        return body()
    }

    /// What a request was can still be read in a forked child, where a thread that does not exist may hold
    /// the lock, and no other could change anything.
    @inline(__always)
    func withLockUnlessForked<R>(_ body: () -> R) -> R {
        pointee.reactor.pointee.isForked ? body() : withLock(body)
    }

    /// Bytes of the request head.
    @inline(__always)
    func text(_ range: ByteRange) -> UnsafeRawBufferPointer {
        let all = pointee.bytes.readable
        let start = Int(range.start)
        let end = start + Int(range.count)
        guard end <= all.count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: all[start..<end])
    }
}
