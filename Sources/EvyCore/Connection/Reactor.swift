// SPDX-License-Identifier: MIT
// Reactor - one event loop with its connections, its exchanges and its listeners.
// Room: Connection.

internal import CSystem
internal import Glibc
internal import Synchronization

typealias ReactorRef = UnsafeMutablePointer<Reactor>

/// Ownership: made and freed by the server; owns connections, pooled exchanges and the loop.
/// Lifetime:  as long as the server, which every escaped exchange keeps alive.
/// Thread:    the holder of the loop, except `post`, `wake` and the atomics.
struct Reactor: ~Copyable {
    /// Places of the deadline wheel that no connection has.
    static let drainIndex: UInt32 = 0
    static let acceptIndex: UInt32 = 1
    static let partingIndex: UInt32 = 2
    static let reservedCount = 3

    /// First, because no other thread reads it: ThreadSanitizer books a change of any member as one of the
    /// first byte.
    var unfinished = 0  // exchanges
    let loop: UnsafeMutablePointer<EventLoop>
    /// Nothing in it changes from the first turn on.
    var settings: Settings
    /// Of the process that may turn this loop.
    private let generation = ForkWatch.generation
    let listeners: [Listener]
    /// SAFETY: of the server, which owns the reactor; a counted reference would cost two atomics a call.
    unowned(unsafe) let delegate: any ReactorDelegate
    let doorstep: UnsafeMutablePointer<Doorstep>
    var table = ConnectionTable()
    let counters = Counters()
    /// When the loop woke up; nanoseconds, monotonic.
    var turnStartedAt: Int64 = 0
    /// Bytes the kernel took since the last end of a turn: one whose thread lost the loop has none.
    var turnSent = 0
    /// The number of the turn.
    var turn: UInt32 = 0
    /// The thread that holds the loop.
    var worker: WorkerRef
    fileprivate var pool = ExchangePool()
    private var scratch = ByteBuffer()
    private var dateSecond: Int64 = -1
    var date = DateText()
    var isAccepting = false
    /// Connections there are, and those on the doorstep or about to be accepted.
    let placesTaken = Atomic<Int>(0)
    /// Somebody waits for a place.
    var isAcceptPaused = false
    /// It will be looked for one from time to time.
    var looksAgain = false
    /// Where the search for an idle connection goes on: at one that has just become so, or where it ended.
    var idlingIndex: UInt32 = 0
    /// Set by another loop that has no place for somebody, ahead of a wake-up; until this one has looked.
    let isAskedToAccept = Atomic<Bool>(false)
    /// Of what accepting takes: descriptors, memory.
    var shortage = Shortage()
    /// Set by stop(), seen by the holder: milliseconds of grace + 2; 0: not stopping, 1: for ever.
    let stopRequest = Atomic<Int64>(0)
    let isDraining = Atomic<Bool>(false)
    /// Draining, and the listeners are closed.
    var isParted = false
    /// Draining, but idle connections may still bring a request (option drain_delay).
    var isDrainDelayed = false
    /// Nobody samples the lease; who goes into host code has to say so.
    let isUnwatched = Atomic<Bool>(true)
    /// No holder comes any more; what is posted now is cleared away by who posts.
    let isClosed = Atomic<Bool>(false)

    init(
        loop: consuming EventLoop, settings: Settings, listeners: [Listener], worker: WorkerRef,
        delegate: any ReactorDelegate
    ) {
        self.loop = .allocate(capacity: 1)
        self.loop.initialize(to: loop)
        doorstep = .allocate(capacity: 1)
        doorstep.initialize(to: Doorstep())
        self.settings = settings
        self.listeners = listeners
        self.worker = worker
        self.delegate = delegate
    }

    deinit {
        doorstep.deinitialize(count: 1)
        doorstep.deallocate()
        loop.deinitialize(count: 1)
        loop.deallocate()
    }

    /// The Date header of this second.
    mutating func readClock() {
        let second = Clock.secondsSinceEpoch
        guard second != dateSecond else { return }
        dateSecond = second
        date = DateText(secondsSinceEpoch: second, scratch: &scratch)
    }

    /// This process is a child of the one that started the server: nothing here is its own.
    @inline(__always)
    var isForked: Bool { generation != ForkWatch.generation }
}

/// Unique in the process, as evy_req_id promises; the one thing servers share.
private let nextRequestID = Atomic<UInt64>(1)

extension UnsafeMutablePointer<Reactor> {
    @inline(__always) var loop: UnsafeMutablePointer<EventLoop> { pointee.loop }
    @inline(__always) var nowMilliseconds: Int64 { pointee.loop.pointee.now / 1_000_000 }

    // MARK: Any thread

    /// The holder shall look at the exchange. Callers may hold its lock.
    func post(_ exchange: ExchangeRef) {
        if loop.pointee.inbox.post(exchange.pointee.node) { loop.pointee.poll.wake() }
    }

    /// Who has given back a reference, and holds no lock, sees to what no holder will look at any more.
    func clearInboxIfClosed() {
        if pointee.isClosed.load(ordering: .sequentiallyConsistent) { clearInbox() }
    }

    func wake() { loop.pointee.poll.wake() }

    /// Frees what is posted after the last holder left: finished exchanges their hosts have released.
    func clearInbox() {
        var node = loop.pointee.inbox.takeAll()
        while let current = node {
            let exchange = current.pointee.owner.assumingMemoryBound(to: Exchange.self)
            let isFree = exchange.withLock {
                // Under the lock, as the posts are: else the last release could post it again in between, and
                // two threads would free it.
                node = Inbox.release(current)
                return exchange.pointee.hostReferences == 0 && exchange.pointee.stage == .finished
            }
            if isFree {
                exchange.free()
            }
        }
    }

    // MARK: The holder

    /// An exchange for the connection's next request; nil: out of memory.
    func takeExchange(for connection: ConnectionRef) -> ExchangeRef? {
        guard
            let exchange = pointee.pool.pop()
                ?? ExchangeRef.make(reactor: self, fieldCapacity: pointee.settings.limits.headerCountMax)
        else { return nil }
        exchange.pointee.magic = Exchange.magicAlive
        exchange.pointee.connection = connection
        exchange.pointee.descriptor = connection.pointee.descriptor
        if connection.pointee.passedOver > 0 {
            exchange.pointee.parser = HTTP1HeadParser(blankLineBytes: connection.pointee.passedOver)
        }
        pointee.unfinished += 1
        connection.pointee.current = exchange
        return exchange
    }

    func newRequestID() -> UInt64 { nextRequestID.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// The reactor is done with a finished exchange. The memory stays as long as the host refers to it.
    func letGo(_ exchange: ExchangeRef) {
        pointee.unfinished -= 1
        let isFree = exchange.withLock {
            exchange.pointee.stage = .finished
            return exchange.pointee.hostReferences == 0
        }
        if isFree { recycle(exchange) }
    }

    /// Nobody refers to the exchange any more.
    @inline(never)
    func recycle(_ exchange: ExchangeRef) {
        let server = exchange.releaseHold()
        exchange.reset(keepsBuffers: pointee.pool.wantsReady)
        exchange.pointee.magic = Exchange.magicPooled
        if !pointee.pool.push(exchange, force: Inbox.isPosted(exchange.pointee.node)) { exchange.destroy() }
        server?.release()
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// Calls the drop functions still owed; returns the server's reference that an escaped exchange holds.
    fileprivate func releaseHold() -> Unmanaged<AnyObject>? {
        if let drop = pointee.onBodyDrop {
            pointee.onBodyDrop = nil
            drop(pointee.onBodyUser)
        }
        pointee.onWritable.release()
        pointee.onGone.release()
        return pointee.keepsServer
            ? Unmanaged.passUnretained(pointee.reactor.pointee.delegate.owner) : nil
    }

    /// Frees an exchange whose reactor has closed.
    fileprivate func free() {
        let server = releaseHold()
        destroy()
        server?.release()
    }
}
