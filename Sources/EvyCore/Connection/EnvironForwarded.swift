// SPDX-License-Identifier: MIT
// EnvironForwarded - what trusted proxies say of a request, in place of what the socket says.
// Room: Connection. Spec: evy.h, option trusted_proxies. Thread: under the lock of the exchange.

internal import CSystem

/// Ownership: texts lie in the arena of the exchange.
struct ForwardedView {
    /// nil: the peer itself.
    var client: evy_address?
    var isSecure: Bool?
    /// HTTP_HOST, as given.
    var host: EnvironText?
    var serverName: EnvironText?
    /// 0: nothing was said.
    var serverPort: UInt16 = 0
}

extension UnsafeMutablePointer<Exchange> {
    /// Off the way of every request whose server trusts nobody.
    @inline(__always)
    var believesProxies: Bool { !pointee.reactor.pointee.settings.trustedProxies.isEmpty }

    /// nil: nobody said anything that counts. Made once.
    @inline(never)
    func forwarded() -> UnsafeMutablePointer<ForwardedView>? {
        if !pointee.environ.isForwardedRead {
            pointee.environ.isForwardedRead = true
            pointee.environ.forwarded = readForwarded()
        }
        return pointee.environ.forwarded
    }

    /// What a trusted proxy says cannot be read: its client has broken the list, or there is no memory.
    /// Without it the request would look like the proxy's own.
    @inline(never)
    func forwardedFault() -> HTTPError? {
        withLock {
            _ = forwarded()
            return pointee.environ.forwardedFault
        }
    }

    /// The value of a key that proxies can replace: .some(nil) is "absent", nil "as the socket says".
    @inline(never)
    func forwardedValue(_ key: EnvironKey) -> EnvironText?? {
        guard let view = forwarded()?.pointee else { return nil }
        switch key {
        case .remoteAddress: return view.client.map { .some(address($0)) } ?? nil
        case .remotePort:
            guard let client = view.client else { return nil }
            // A proxy seldom tells the port, and its own would be wrong.
            return .some(client.port == 0 ? constant("") : number(UInt64(client.port)))
        case .urlScheme: return view.isSecure.map { .some(constant($0 ? "https" : "http")) } ?? nil
        case .https: return view.isSecure.map { .some($0 ? constant("on") : nil) } ?? nil
        case .serverName: return view.serverName.map { .some($0) } ?? nil
        case .serverPort: return view.serverPort == 0 ? nil : .some(number(UInt64(view.serverPort)))
        default: return nil
        }
    }

    /// The client for the access log.
    func clientAddress() -> evy_address {
        believesProxies ? forwarded()?.pointee.client ?? pointee.peer : pointee.peer
    }

    /// Once some peers are trusted, what the others send is not worth a place in the log.
    var showsForwardedFor: Bool { !believesProxies || withLock { forwarded() != nil } }

    private func readForwarded() -> UnsafeMutablePointer<ForwardedView>? {
        let settings = pointee.reactor.pointee.settings
        func trusts(_ address: NetworkAddress) -> Bool {
            settings.trustedProxies.contains { $0.matches(address) }
        }
        guard let peer = pointee.peer.networkAddress, trusts(peer) else { return nil }
        var view = ForwardedView()
        if settings.forwardedFields.contains(.standard) {
            readStandard(&view, trusts)
        } else {
            readSeparate(&view, settings.forwardedFields, trusts)
        }
        finishPort(&view)
        let room = pointee.arena.allocate(MemoryLayout<ForwardedView>.stride)
        if pointee.arena.hasFailed { pointee.environ.forwardedFault = .headerTooLarge }
        guard let room else { return nil }
        let place = room.bindMemory(to: ForwardedView.self, capacity: 1)
        place.initialize(to: view)
        return place
    }

    private func readStandard(_ view: inout ForwardedView, _ trusts: (NetworkAddress) -> Bool) {
        guard let list = joinedField("forwarded") else { return }
        guard let (path, element) = Forwarded.standard(list.bytes, trusts: trusts) else {
            pointee.environ.forwardedFault = .malformedForwarded
            return
        }
        view.client = path.client.map { evy_address($0) }
        view.isSecure = Forwarded.isSecure(list.bytes, element.scheme)
        setHost(&view, list, element.host)
    }

    private func readSeparate(
        _ view: inout ForwardedView, _ fields: ForwardedFields, _ trusts: (NetworkAddress) -> Bool
    ) {
        var hopCount = 1
        if fields.contains(.client), let list = joinedField("x-forwarded-for") {
            let path = Forwarded.path(list.bytes, trusts: trusts)
            view.client = path.client.map { evy_address($0) }
            hopCount = path.hopCount
        }
        if fields.contains(.scheme), let list = joinedField("x-forwarded-proto") {
            view.isSecure = Forwarded.isSecure(
                list.bytes, Forwarded.entry(list.bytes, hopCount: hopCount))
        }
        if fields.contains(.host), let list = joinedField("x-forwarded-host") {
            setHost(&view, list, Forwarded.entry(list.bytes, hopCount: hopCount))
        }
        if fields.contains(.port), let list = joinedField("x-forwarded-port") {
            let entry = Forwarded.entry(list.bytes, hopCount: hopCount)
            let port = Scanner.portNumber(list.bytes, entry.lower, entry.upper)
            if port > 0, view.serverPort == 0 { addPort(&view, UInt16(truncatingIfNeeded: port)) }
        }
    }

    /// A port of its own belongs to a host that has none, as far as the scheme does not imply it.
    private func addPort(_ view: inout ForwardedView, _ port: UInt16) {
        view.serverPort = port
        // Its own, if any, was empty or none: "a.example:", "a.example:0".
        guard view.host != nil, let name = view.serverName else { return }
        guard port != ((view.isSecure ?? pointee.isTLS) ? 443 : 80) else { return view.host = name }
        var buffer = ByteBuffer()
        buffer.append(name)
        buffer.append(":")
        buffer.append(decimal: UInt64(port))
        view.host = copy(buffer)
    }

    /// Where only scheme or host are told, the port is the scheme's.
    private func finishPort(_ view: inout ForwardedView) {
        guard view.serverPort == 0, view.isSecure != nil || view.host != nil else { return }
        view.serverPort = (view.isSecure ?? pointee.isTLS) ? 443 : 80
    }

    /// A host that could not have come in Host is none.
    private func setHost(_ view: inout ForwardedView, _ list: EnvironText, _ range: ByteRange) {
        let bytes = list.bytes
        guard !range.isEmpty, HostRules.isWellFormed(bytes, range) else { return }
        view.host = copy(UnsafeRawBufferPointer(rebasing: list[range.lower..<range.upper]))
        var nameEnd = range.upper
        while nameEnd > range.lower, ASCII.isDigit(bytes.byte(nameEnd - 1)) { nameEnd -= 1 }
        if nameEnd > range.lower, bytes.byte(nameEnd - 1) == ASCII.colon,
            bytes.byte(range.lower) != 0x5b || bytes.byte(nameEnd - 2) == 0x5d
        {
            let port = Scanner.portNumber(bytes, nameEnd, range.upper)
            if port > 0 { view.serverPort = UInt16(truncatingIfNeeded: port) }
            nameEnd -= 1
        } else {
            nameEnd = range.upper
        }
        view.serverName = copy(UnsafeRawBufferPointer(rebasing: list[range.lower..<nameEnd]))
    }

    /// All lines of a field as one list. The name counts to the letter: one that only looks like it in
    /// environ ("X_Forwarded_For") is not the proxy's.
    private func joinedField(_ name: StaticString) -> EnvironText? {
        var buffer = ByteBuffer()
        for index in fieldIndices {
            let field = text(pointee.fields[index].name).bytes
            guard ASCII.equalsIgnoringCase(field, ByteRange(0, field.byteCount), name) else { continue }
            if !buffer.isEmpty { buffer.append(", ") }
            appendUnfolded(index, &buffer)
        }
        return buffer.isEmpty && !buffer.failed ? nil : copy(buffer)
    }
}
