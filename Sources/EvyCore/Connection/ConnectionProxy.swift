// SPDX-License-Identifier: MIT
// ConnectionProxy - takes the PROXY protocol header off a new connection, ahead of TLS and HTTP.
// Room: Connection. Spec: Proxy/ProxyHeader.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<Reactor> {
    /// The header is looked at first and then taken to the byte: what follows it is TLS's or HTTP's.
    func readProxyHeader(_ connection: ConnectionRef) {
        let saved = connection.pointee.input.count
        let worker = pointee.worker
        let upper = min(ProxyHeader.byteCountMax, worker.pointee.input.count)
        guard saved < upper else { return refuseProxy(connection, ProxyHeaderError(kind: .tooLong)) }
        let room = UnsafeMutableRawBufferPointer(rebasing: worker.pointee.input[saved..<upper])
        let seen = SystemCalls.peek(connection.pointee.descriptor, into: room)
        if seen == -Int(EAGAIN) { return }
        // Closed, or broken, before it said anything: a port check of the balancer.
        guard seen > 0 else { return close(connection) }
        worker.pointee.input.copyMemory(from: connection.pointee.input.readable)
        let bytes = UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(worker.pointee.input)[..<(saved + seen)])
        do throws(ProxyHeaderError) {
            let header = try ProxyHeader.parse(bytes.bytes)
            let taken = header.map { $0.byteCount - saved } ?? seen
            guard taken >= 0, take(connection, taken, into: room) else { return close(connection) }
            if let header {
                connection.pointee.input.clear(keepingCapacity: 0)
                accept(header, on: connection)
            } else {
                connection.pointee.input.append(UnsafeRawBufferPointer(rebasing: room[..<seen]))
                if connection.pointee.input.failed { close(connection) }
            }
        } catch {
            refuseProxy(connection, error)
        }
    }

    /// Receives what was peeked at: it lies in the socket, so it comes whole.
    private func take(
        _ connection: ConnectionRef, _ count: Int, into room: UnsafeMutableRawBufferPointer
    ) -> Bool {
        countReceived(
            SystemCalls.receive(
                connection.pointee.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: room[..<count])))
            == count
    }

    private func accept(_ header: ProxyHeader, on connection: ConnectionRef) {
        connection.pointee.flags.remove(.proxyHeader)
        if let addresses = header.addresses {
            connection.pointee.peer = evy_address(addresses.source)
            connection.pointee.local = evy_address(addresses.destination)
        }
        // Without TLS the deadline goes on: header and request head are one wait.
        if connection.pointee.flags.contains(.handshaking) { wait(connection, .handshake) }
    }

    private func refuseProxy(_ connection: ConnectionRef, _ error: ProxyHeaderError) {
        // A balancer and a listener that disagree are a wrong configuration, so this is worth its line.
        if pointee.delegate.wants(.info) {
            pointee.delegate.log(.info, "\(connection.pointee.peer.text) closed: \(error.reason)")
        }
        close(connection)
    }
}

extension evy_address {
    init(_ address: NetworkAddress) {
        self.init()
        port = address.port
        switch address.family {
        case .unix: family = 1
        case .ipv4:
            family = 4
            let bits = UInt32(truncatingIfNeeded: address.bits).bigEndian
            withUnsafeMutableBytes(of: &bytes) { $0.storeBytes(of: bits, as: UInt32.self) }
        case .ipv6:
            family = 6
            let bits = address.bits.bigEndian
            withUnsafeMutableBytes(of: &bytes) { room in
                withUnsafeBytes(of: bits) { room.copyMemory(from: $0) }
            }
        }
    }

    /// What rules of trust are matched with; nil: an address of no known family.
    var networkAddress: NetworkAddress? {
        switch family {
        case 1: return .unix
        case 4:
            let bits = withUnsafeBytes(of: bytes) { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) }
            return NetworkAddress(.ipv4, bits: UInt128(bits), port: port)
        case 6:
            let bits = withUnsafeBytes(of: bytes) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
            return NetworkAddress(ipv6: bits, port: port)
        default: return nil
        }
    }
}
