// SPDX-License-Identifier: MIT
// Settings - the part of a server's options that connections read, as plain values.
// Room: Connection. Times are milliseconds, Deadline.never for "no deadline".

internal import CSystem

struct Settings {
    /// With `auto`, what the client says is no longer than this is waited for.
    static let smallBodyBytesMax = 64 << 10

    var limits = HTTPLimits()
    var laxness: HTTPLaxness = []
    var body = BodyDelivery.buffer
    var keepAlive = true
    var maxMinorVersion: UInt8 = 1
    var requestsPerConnectionMax: UInt32 = 0
    var connectionsMax = 10_000
    var handshakeTimeout: Int64 = 10_000
    var headerTimeout: Int64 = 15_000
    var idleTimeout: Int64 = 75_000
    var bodyTimeout: Int64 = 30_000
    var bodyBytesPerSecondMin: Int64 = 240
    var writeTimeout: Int64 = 60_000
    var lingerTimeout: Int64 = 2_000
    var drainDelay: Int64 = 0
    var lingerBytes: UInt64 = 1 << 30
    /// So much of a body that nobody has read is read away for the sake of the connection's next request.
    static let unreadBodyMax: UInt64 = 64 << 10
    var writeHighWater = 256 << 10
    var writeLowWater = 64 << 10
    /// Host code may block: the loop moves on without it.
    var mayMove = true
    /// Other loops accept from the same sockets.
    var sharesListeners = false
    /// Somebody wants to hear of every finished exchange.
    var observesAll = false
    /// For what 431 is meant for, but other servers answer 400.
    var headerSizeStatus = 431
    var joinsWithSpace = true
    var fixesServerProtocol = false
    /// Texts owned by the server, alive as long as it.
    var serverHeader: UnsafeRawBufferPointer?
    var serverSoftware = UnsafeRawBufferPointer(start: nil, count: 0)
    var scriptName = UnsafeRawBufferPointer(start: nil, count: 0)
    /// "HTTP_X_REQUEST_ID"; empty: option request_id_header is not set.
    var requestIDKey = UnsafeRawBufferPointer(start: nil, count: 0)
    /// R4 block of the host's own environ pairs.
    var environPairs = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Peers whose forwarded headers count, and which of them.
    var trustedProxies = UnsafeBufferPointer<AddressRule>(start: nil, count: 0)
    var forwardedFields: ForwardedFields = []
    /// Held while callbacks of the host run; nil: they need none, or take it themselves.
    var hostLock: HostLock?
    var handler: HandlerFunction?
    var handlerUser: UnsafeMutableRawPointer?
}

enum LogLevel: Int32 { case error = 1, warn, info, debug }

/// What a reactor asks of the server above it.
/// Thread: `finished` and `log` on the holder of the loop; `handOver` on the thread that holds the loop, in
/// host code it is about to block in.
protocol ReactorDelegate: AnyObject {
    /// What an exchange that the host keeps keeps alive: the server.
    var owner: AnyObject { get }
    /// Should this callback go to another thread, because as many as allowed run already?
    func mustQueue() -> Bool
    /// Is the calling thread one of the server's, or the one that steps it?
    var isMember: Bool { get }
    /// False: no thread would ever take it up.
    func enqueue(_ exchange: ExchangeRef) -> Bool
    /// Access log and callback; the exchange is complete and its hooks have run.
    func finished(_ exchange: ExchangeRef)
    /// Another loop that has clearly fewer connections, or has a place at all: it is taken there.
    func lighterLoop() -> ReactorRef?
    func loopWithPlace() -> ReactorRef?
    /// Somebody waits whom this loop has no place for, and the others may not have heard of.
    func askOthersToAccept()
    /// False: nobody can take the loop.
    func handOver(_ worker: WorkerRef, ticket: UInt64) -> Bool
    /// A callback waits for its client: others may run meanwhile. True: `takePlace` is due.
    func givePlace() -> Bool
    func takePlace()
    func log(_ level: LogLevel, _ text: String)
    func wants(_ level: LogLevel) -> Bool
    /// Host code begins while nobody watches the lease.
    func wakeWatcher()
    /// The grace is over: what nobody has taken up yet will not be.
    func wasCut()
    /// Nothing is left to serve, and nobody needs what this loop has for the whole server.
    var mayEnd: Bool { get }
    /// The last turn is over.
    func ended()
    /// Lines of this turn can be written now.
    func turnEnded()
}

extension Settings {
    /// How often a client that takes no byte is looked at: the grain of write_timeout.
    var writeLookMilliseconds: Int64 {
        writeTimeout < 0 || writeTimeout == DeadlineWheel.never
            ? writeTimeout : max(1, min(500, writeTimeout / 8))
    }

    /// Of the answer to a peer that broke the rules.
    func status(_ error: HTTPError) -> Int {
        switch error {
        case .headerLineTooLong, .headerTooLarge: headerSizeStatus
        default: error.status
        }
    }
}
