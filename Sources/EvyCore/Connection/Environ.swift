// SPDX-License-Identifier: MIT
// Environ - the CGI and WSGI view of a request, made piece by piece when the host asks for it.
// Room: Connection. Spec: RFC 3875 section 4.1, PEP 3333. Thread: under the lock of the exchange.

internal import CSystem
internal import Glibc

/// A text lent to the host: `count` bytes, then a NUL.
typealias EnvironText = UnsafeRawBufferPointer

struct EnvironEntry {
    var name: EnvironText
    var value: EnvironText
}

/// What the host set itself, newest first.
struct EnvironOverride {
    var entry: EnvironEntry
    var next: UnsafeMutablePointer<EnvironOverride>?
}

/// Ownership: everything it points to lies in the arena of the exchange.
struct EnvironState {
    /// Answered by the library before it had an environ.
    var isRefused = false
    var requestID: EnvironText?
    fileprivate(set) var overrides: UnsafeMutablePointer<EnvironOverride>?
    /// Values made so far: the standard keys, then one for each header field. Null where not made yet.
    fileprivate var made: UnsafeMutablePointer<EnvironText>?
    var entries: UnsafeMutableBufferPointer<EnvironEntry>?
    var groups: FieldGroups?
    var block: EnvironText?
    var headerBlock: EnvironText?
    var isForwardedRead = false
    /// What is wrong with the words of a trusted proxy.
    var forwardedFault: HTTPError?
    var forwarded: UnsafeMutablePointer<ForwardedView>?
}

enum EnvironKey: Int, CaseIterable {
    case requestMethod, scriptName, pathInfo, rawPathInfo, queryString, requestURI, rawURI, serverProtocol
    case serverName, serverPort, serverSoftware, gatewayInterface, remoteAddress, remotePort, urlScheme, https
    case contentType, contentLength
    case tlsProtocol, tlsCipher, tlsServerName, clientVerify, clientSubject, clientIssuer, clientCertificate

    var name: StaticString {
        switch self {
        case .requestMethod: return "REQUEST_METHOD"
        case .scriptName: return "SCRIPT_NAME"
        case .pathInfo: return "PATH_INFO"
        case .rawPathInfo: return "RAW_PATH_INFO"
        case .queryString: return "QUERY_STRING"
        case .requestURI: return "REQUEST_URI"
        case .rawURI: return "RAW_URI"
        case .serverProtocol: return "SERVER_PROTOCOL"
        case .serverName: return "SERVER_NAME"
        case .serverPort: return "SERVER_PORT"
        case .serverSoftware: return "SERVER_SOFTWARE"
        case .gatewayInterface: return "GATEWAY_INTERFACE"
        case .remoteAddress: return "REMOTE_ADDR"
        case .remotePort: return "REMOTE_PORT"
        case .urlScheme: return "wsgi.url_scheme"
        case .https: return "HTTPS"
        case .contentType: return "CONTENT_TYPE"
        case .contentLength: return "CONTENT_LENGTH"
        case .tlsProtocol: return "SSL_PROTOCOL"
        case .tlsCipher: return "SSL_CIPHER"
        case .tlsServerName: return "SSL_SERVER_NAME"
        case .clientVerify: return "SSL_CLIENT_VERIFY"
        case .clientSubject: return "SSL_CLIENT_S_DN"
        case .clientIssuer: return "SSL_CLIENT_I_DN"
        case .clientCertificate: return "SSL_CLIENT_CERT"
        }
    }

    /// By length first: handlers ask at every request, and walking all keys took a tenth of our own time.
    static func named(_ name: UnsafeRawBufferPointer) -> EnvironKey? {
        switch name.count {
        case 5: return match(name, .https)
        case 7: return match(name, .rawURI)
        case 9: return match(name, .pathInfo)
        case 10: return match(name, .tlsCipher)
        case 11:
            return match(name, .requestURI) ?? match(name, .scriptName) ?? match(name, .remoteAddress)
                ?? match(name, .remotePort) ?? match(name, .serverName) ?? match(name, .serverPort)
        case 12:
            return match(name, .queryString) ?? match(name, .contentType) ?? match(name, .tlsProtocol)
        case 13: return match(name, .rawPathInfo)
        case 14: return match(name, .requestMethod) ?? match(name, .contentLength)
        case 15:
            return match(name, .serverProtocol) ?? match(name, .serverSoftware) ?? match(name, .urlScheme)
                ?? match(name, .tlsServerName) ?? match(name, .clientSubject) ?? match(name, .clientIssuer)
                ?? match(name, .clientCertificate)
        case 17: return match(name, .gatewayInterface) ?? match(name, .clientVerify)
        default: return nil
        }
    }

    @inline(__always)
    private static func match(_ name: UnsafeRawBufferPointer, _ key: EnvironKey) -> EnvironKey? {
        name.equals(key.name) ? key : nil
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// nil: absent.
    func environValue(_ name: UnsafeRawBufferPointer) -> EnvironText? {
        if let entry = override(named: name) { return entry.pointee.entry.value }
        if name.count > 5, UnsafeRawBufferPointer(rebasing: name[..<5]).equals("HTTP_") {
            let field = UnsafeRawBufferPointer(rebasing: name.dropFirst(5))
            if isRequestIDKey(field) { return requestID() }
            if let value = headerValue(field) { return value }
            if name.equals("HTTP_HOST") {
                if believesProxies, let host = forwarded()?.pointee.host { return host }
                // A host in the target needs no field (HTTP/1.0, option allow_missing_host).
                if !pointee.head.authority.isEmpty { return copy(text(pointee.head.authority)) }
            }
        } else if let key = EnvironKey.named(name) {
            // The others tell of the request itself, by their absence too.
            if key == .urlScheme || key == .https, let value = configuredValue(name) { return value }
            return standardValue(key)
        }
        return configuredValue(name)
    }

    /// Adds or replaces. False: out of memory.
    func setEnviron(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard let copy = pointee.arena.copy(value) else { return false }
        let text = EnvironText(start: copy, count: value.count)
        pointee.environ.entries = nil
        if let existing = override(named: name) {
            existing.pointee.entry.value = text
            return true
        }
        guard let key = pointee.arena.copy(name),
            let room = pointee.arena.allocate(MemoryLayout<EnvironOverride>.stride)
        else { return false }
        let node = room.bindMemory(to: EnvironOverride.self, capacity: 1)
        let entry = EnvironEntry(name: EnvironText(start: key, count: name.count), value: text)
        node.initialize(to: EnvironOverride(entry: entry, next: pointee.environ.overrides))
        pointee.environ.overrides = node
        return true
    }

    func override(named name: UnsafeRawBufferPointer) -> UnsafeMutablePointer<EnvironOverride>? {
        var node = pointee.environ.overrides
        while let current = node {
            if current.pointee.entry.name.equals(name) { return current }
            node = current.pointee.next
        }
        return nil
    }

    // MARK: Standard keys

    /// nil: this request has none.
    func standardValue(_ key: EnvironKey) -> EnvironText? {
        guard let slot = madeSlot(key.rawValue) else { return nil }
        if slot.pointee.baseAddress == nil, let value = makeStandard(key) { slot.pointee = value }
        return slot.pointee.baseAddress == nil ? nil : slot.pointee
    }

    private func makeStandard(_ key: EnvironKey) -> EnvironText? {
        let head = pointee.head
        let settings = pointee.reactor.pointee.settings
        if believesProxies, let value = forwardedValue(key) { return value }
        switch key {
        case .requestMethod: return copy(text(head.methodName))
        case .scriptName: return copy(settings.scriptName)
        case .pathInfo: return decodedPath()
        case .rawPathInfo: return copy(text(head.path))
        case .queryString: return head.hasQuery ? copy(text(head.query)) : constant("")
        case .requestURI, .rawURI: return copy(text(head.target))
        case .serverProtocol:
            return head.minorVersion == 0 || settings.fixesServerProtocol
                ? constant("HTTP/1.0") : constant("HTTP/1.1")
        case .serverName: return address(pointee.local)
        case .serverPort: return port(pointee.local)
        case .serverSoftware: return copy(settings.serverSoftware)
        case .gatewayInterface: return constant("CGI/1.1")
        case .remoteAddress: return address(pointee.peer)
        case .remotePort: return port(pointee.peer)
        case .urlScheme: return pointee.isTLS ? constant("https") : constant("http")
        case .https: return pointee.isTLS ? constant("on") : nil
        case .contentType:
            guard let index = fieldIndices.first(where: { pointee.fields[$0].known == .contentType }) else {
                return nil
            }
            return fieldText(index)
        case .contentLength: return contentLength()
        case .tlsProtocol, .tlsCipher, .tlsServerName, .clientVerify, .clientSubject, .clientIssuer,
            .clientCertificate:
            return handshakeValue(key)
        }
    }

    /// A buffered chunked body is a body of known length by the time the application sees it.
    private func contentLength() -> EnvironText? {
        switch pointee.head.framing {
        case .length(let length): return number(length)
        case .chunked: return pointee.bodyMode == .buffer ? number(pointee.bodyReceived) : nil
        case .none: return nil
        }
    }

    /// Percent-decoded bytes, behind the mount point (PEP 3333); a proxy may have taken that away before. The
    /// mount point is no more encoded than they are: clients spell /café as /caf%C3%A9, and may spell /app as
    /// /%61pp.
    private func decodedPath() -> EnvironText? {
        let raw = text(pointee.head.path)
        guard let place = pointee.arena.allocate(raw.count + 1) else { return nil }
        let room = place.assumingMemoryBound(to: UInt8.self)
        let count = PercentCoding.decode(raw, into: room)
        room[count] = 0
        let mount = pointee.reactor.pointee.settings.scriptName
        let path = UnsafeRawBufferPointer(start: place, count: count)
        guard path.starts(with: mount), count == mount.count || path[mount.count] == 0x2f else {
            return EnvironText(start: place, count: count)
        }
        return EnvironText(start: place + mount.count, count: count - mount.count)
    }

    func address(_ address: evy_address) -> EnvironText? {
        guard let place = pointee.arena.allocate(evy_address.textMax + 1) else { return nil }
        let room = UnsafeMutableRawBufferPointer(start: place, count: evy_address.textMax + 1)
        let count = address.write(into: room)
        room[count] = 0
        return EnvironText(start: place, count: count)
    }

    private func port(_ address: evy_address) -> EnvironText? {
        address.isUnix ? constant("") : number(UInt64(address.port))
    }

    func number(_ value: UInt64) -> EnvironText? {
        var digits = ByteBuffer()
        digits.append(decimal: value)
        return copy(digits)
    }

    func constant(_ text: StaticString) -> EnvironText {
        EnvironText(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// nil: out of memory.
    func copy(_ buffer: borrowing ByteBuffer) -> EnvironText? {
        if buffer.failed {
            pointee.arena.fail()
            return nil
        }
        return copy(buffer.readable)
    }

    /// nil: out of memory.
    func copy(_ bytes: UnsafeRawBufferPointer) -> EnvironText? {
        guard let place = pointee.arena.copy(bytes) else { return nil }
        return EnvironText(start: place, count: bytes.count)
    }

    private func configuredValue(_ name: UnsafeRawBufferPointer) -> EnvironText? {
        var pairs = PairReader(pointee.reactor.pointee.settings.environPairs)
        while let pair = pairs.next() {
            if pair.name.equals(name) { return pair.value }
        }
        return nil
    }

    /// Where a made value is kept: the standard keys first, then the fields.
    func madeSlot(_ index: Int) -> UnsafeMutablePointer<EnvironText>? {
        if pointee.environ.made == nil {
            let count = EnvironKey.allCases.count + pointee.head.fieldCount
            guard let room = pointee.arena.allocate(count * MemoryLayout<EnvironText>.stride) else {
                return nil
            }
            let slots = room.bindMemory(to: EnvironText.self, capacity: count)
            slots.initialize(repeating: EnvironText(start: nil, count: 0), count: count)
            pointee.environ.made = slots
        }
        return pointee.environ.made.map { $0 + index }
    }
}

/// Walks an R4 block: name NUL value NUL ...
struct PairReader {
    private var rest: UnsafeRawBufferPointer

    init(_ block: UnsafeRawBufferPointer) { rest = block }

    mutating func next() -> EnvironEntry? {
        guard !rest.isEmpty, let name = take(), let value = take() else { return nil }
        return EnvironEntry(name: name, value: value)
    }

    private mutating func take() -> EnvironText? {
        guard let end = rest.firstIndex(of: 0) else { return nil }
        let text = UnsafeRawBufferPointer(rebasing: rest[..<end])
        rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
        return text
    }
}
