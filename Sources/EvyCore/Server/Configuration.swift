// SPDX-License-Identifier: MIT
// Configuration - everything a server is made from: options, listeners, environ pairs, callbacks.
// Room: Server.

internal import CSystem
internal import Glibc

/// A value: a server takes a snapshot, and the configuration can make more servers.
struct Configuration {
    enum Source {
        case address(ListenAddress)
        /// A duplicate of the host's descriptor, owned by the configuration's box.
        case descriptor(AdoptedDescriptor)
    }

    var options = Options()
    var listeners: [(source: Source, tls: TLSProvider?)] = []
    /// R4 block.
    var environPairs: [UInt8] = []
    var handler: HostCallback<HandlerFunction>?
    var hostLock: HostLock?
    var log: HostCallback<LogFunction>?
    var access: HostCallback<AccessFunction>?
}

/// Keeps a duplicate, so that the host may close its own before the server is made.
final class AdoptedDescriptor {
    let descriptor: Int32
    let number: Int32
    /// What its address asked for, where it was named by one.
    let traits: ListenAddress.Traits

    init?(_ number: Int32, _ traits: ListenAddress.Traits = ListenAddress.Traits()) {
        self.number = number
        self.traits = traits
        descriptor = fcntl(number, F_DUPFD_CLOEXEC, 3)
        if descriptor < 0 { return nil }
    }

    deinit { SystemCalls.close(descriptor) }
}

/// Texts that settings point to; alive as long as the server.
final class SettingTexts {
    private var rooms: [UnsafeMutableRawBufferPointer] = []

    deinit { for room in rooms { room.deallocate() } }

    /// A NUL-terminated copy; its count does not include the NUL.
    func keep(_ bytes: some Collection<UInt8>) -> UnsafeRawBufferPointer {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 1, alignment: 1)
        room.copyBytes(from: bytes)
        room[bytes.count] = 0
        rooms.append(room)
        return UnsafeRawBufferPointer(rebasing: room[..<bytes.count])
    }

    func keep(_ rules: [AddressRule]) -> UnsafeBufferPointer<AddressRule> {
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(rules.count, 1) * MemoryLayout<AddressRule>.stride,
            alignment: MemoryLayout<AddressRule>.alignment)
        rooms.append(room)
        return UnsafeBufferPointer(room.initializeMemory(as: AddressRule.self, fromContentsOf: rules))
    }
}

extension Settings {
    init(_ configuration: Configuration, texts: SettingTexts) {
        let options = configuration.options
        self.init()
        limits.requestLineMax = options.maxRequestLine
        limits.headerLineMax = options.maxHeaderLine
        limits.headerBytesMax = options.maxHeaderSize
        limits.headerCountMax = options.maxHeaders
        limits.bodyBytesMax = UInt64(clamping: options.maxBodySize)
        headerSizeStatus = options.headerSizeStatus
        laxness = Self.laxness(options)
        body = options.body
        keepAlive = options.keepAlive
        maxMinorVersion = options.maxHttpVersion == .http10 ? 0 : 1
        requestsPerConnectionMax = UInt32(clamping: options.maxRequestsPerConnection)
        connectionsMax = options.maxConnections
        handshakeTimeout = options.handshakeTimeout
        headerTimeout = options.headerTimeout
        idleTimeout = options.idleTimeout
        bodyTimeout = options.bodyTimeout
        bodyBytesPerSecondMin = Int64(clamping: options.bodyMinRate)
        writeTimeout = options.writeTimeout
        lingerTimeout = options.lingerTimeout
        drainDelay = options.drainDelay
        lingerBytes = UInt64(clamping: options.lingerBytes)
        writeHighWater = options.writeHighWater
        writeLowWater = options.writeLowWater
        mayMove = options.threads > 1
        observesAll = configuration.access != nil || options.accessLog != .off
        joinsWithSpace = options.headerJoin == .commaSpace
        fixesServerProtocol = options.serverProtocolFixed
        if !options.serverHeader.isEmpty { serverHeader = texts.keep(Array(options.serverHeader.utf8)) }
        serverSoftware = texts.keep(Array("evy/\(Version.text)".utf8))
        scriptName = texts.keep(Array(options.scriptName.utf8))
        if !options.requestIDHeader.isEmpty {
            let name = options.requestIDHeader.uppercased().utf8.map { $0 == 0x2d ? 0x5f : $0 }
            requestIDKey = texts.keep(Array("HTTP_".utf8) + name)
        }
        environPairs = texts.keep(configuration.environPairs)
        trustedProxies = texts.keep(AddressList.rules(options.trustedProxies))
        forwardedFields = ForwardedFields(options.forwardedHeaders)
        hostLock = configuration.hostLock
        handler = configuration.handler?.function
        handlerUser = configuration.handler?.user
    }

    private static func laxness(_ options: Options) -> HTTPLaxness {
        var laxness: HTTPLaxness = []
        if options.allowMissingHost { laxness.insert(.allowMissingHost) }
        if options.allowUnknownExpect { laxness.insert(.allowUnknownExpect) }
        if options.allowBareLf { laxness.insert(.allowBareLF) }
        if options.allowObsFold { laxness.insert(.allowObsFold) }
        if options.lenientContentLength { laxness.insert(.lenientContentLength) }
        if options.allowEncodedNul { laxness.insert(.allowEncodedNUL) }
        switch options.underscoreHeaders {
        case .drop: break
        case .refuse: laxness.insert(.underscoreRefuse)
        case .allow: laxness.insert(.underscoreAllow)
        }
        return laxness
    }
}

enum Version {
    static let text: StaticString = "0.1.0"
    static let number: UInt32 = 0x000100
}
