// SPDX-License-Identifier: MIT
// EnvironHeaders - header fields as HTTP_ keys, as blocks of pairs, and as they came.
// Room: Connection. Spec: RFC 3875 section 4.1.18. Thread: under the lock of the exchange.

extension UnsafeMutablePointer<Exchange> {
    var fieldIndices: Range<Int> { 0..<min(pointee.head.fieldCount, pointee.fields.count) }

    /// `name` without HTTP_, upper case with underscores. Repeats are joined.
    func headerValue(_ name: UnsafeRawBufferPointer) -> EnvironText? {
        guard let first = fieldIndices.first(where: { isShown($0) && matches($0, name) }) else { return nil }
        return joinedValue(first)
    }

    /// All keys, in their order.
    func environEntries() -> UnsafeMutableBufferPointer<EnvironEntry>? {
        if let entries = pointee.environ.entries { return entries }
        var configured = 0
        var pairs = PairReader(pointee.reactor.pointee.settings.environPairs)
        while pairs.next() != nil { configured += 1 }
        var overridden = 0
        var node = pointee.environ.overrides
        while let current = node {
            overridden += 1
            node = current.pointee.next
        }
        let capacity = EnvironKey.allCases.count + pointee.head.fieldCount + 1 + configured + overridden
        guard let room = pointee.arena.allocate(capacity * MemoryLayout<EnvironEntry>.stride) else {
            return nil
        }
        let entries = UnsafeMutableBufferPointer(
            start: room.bindMemory(to: EnvironEntry.self, capacity: capacity), count: capacity)
        var count = 0
        func add(_ name: EnvironText, _ value: EnvironText?) {
            guard count < capacity, !(0..<count).contains(where: { entries[$0].name.equals(name) }) else {
                return
            }
            guard let effective = environValue(name) ?? value else { return }
            entries.initializeElement(at: count, to: EnvironEntry(name: name, value: effective))
            count += 1
        }
        for key in EnvironKey.allCases {
            add(EnvironText(start: key.name.utf8Start, count: key.name.utf8CodeUnitCount), nil)
        }
        for index in fieldIndices where isShown(index) {
            if let name = environName(index) { add(name, nil) }
        }
        // A proxy's host may stand for one that the request itself did not name.
        let host: StaticString = "HTTP_HOST"
        add(EnvironText(start: host.utf8Start, count: host.utf8CodeUnitCount), nil)
        pairs = PairReader(pointee.reactor.pointee.settings.environPairs)
        while let pair = pairs.next() { add(pair.name, pair.value) }
        node = pointee.environ.overrides
        while let current = node {
            add(current.pointee.entry.name, current.pointee.entry.value)
            node = current.pointee.next
        }
        let result = UnsafeMutableBufferPointer(rebasing: entries[..<count])
        pointee.environ.entries = result
        return result
    }

    /// All keys as one R4 block; made once.
    func environBlock() -> EnvironText? {
        if let block = pointee.environ.block { return block }
        guard let entries = environEntries() else { return nil }
        var buffer = ByteBuffer()
        for entry in entries {
            buffer.append(entry.name)
            buffer.append(0)
            buffer.append(entry.value)
            buffer.append(0)
        }
        pointee.environ.block = buffer.failed ? nil : copy(buffer.readable)
        return pointee.environ.block
    }

    /// The fields as they came: order and case kept, repeats apart.
    func headerBlock() -> EnvironText? {
        if let block = pointee.environ.headerBlock { return block }
        var buffer = ByteBuffer()
        for index in fieldIndices {
            buffer.append(text(pointee.fields[index].name))
            buffer.append(0)
            appendUnfolded(index, &buffer)
            buffer.append(0)
        }
        pointee.environ.headerBlock = buffer.failed ? nil : copy(buffer.readable)
        return pointee.environ.headerBlock
    }

    /// A field's value in the arena.
    func fieldText(_ index: Int) -> EnvironText? {
        let slot = pointee.fields[index]
        guard slot.isFolded else { return copy(text(slot.value)) }
        var buffer = ByteBuffer()
        appendUnfolded(index, &buffer)
        return copy(buffer.readable)
    }

    func appendUnfolded(_ index: Int, _ buffer: inout ByteBuffer) {
        let slot = pointee.fields[index]
        guard slot.isFolded else { return buffer.append(text(slot.value)) }
        for byte in text(slot.value) { buffer.append(byte == 0x0d || byte == 0x0a ? 0x20 : byte) }
    }

    /// Content-Type and Content-Length have keys of their own; a name with "_" could pass for another field.
    private func isShown(_ index: Int) -> Bool {
        let slot = pointee.fields[index]
        switch slot.known {
        case .contentType, .contentLength: return false
        case .transferEncoding: return pointee.bodyMode != .buffer
        default:
            return !slot.hasUnderscore || pointee.reactor.pointee.settings.laxness.contains(.underscoreAllow)
        }
    }

    private func matches(_ index: Int, _ name: UnsafeRawBufferPointer) -> Bool {
        let field = text(pointee.fields[index].name)
        guard field.count == name.count else { return false }
        for offset in 0..<field.count where environByte(field[offset]) != name[offset] { return false }
        return true
    }

    private func environByte(_ byte: UInt8) -> UInt8 {
        if byte == 0x2d { return 0x5f }
        return byte >= 0x61 && byte <= 0x7a ? byte & 0xdf : byte
    }

    /// "HTTP_USER_AGENT"
    private func environName(_ index: Int) -> EnvironText? {
        let field = text(pointee.fields[index].name)
        guard let place = pointee.arena.allocate(field.count + 6) else { return nil }
        let room = UnsafeMutableRawBufferPointer(start: place, count: field.count + 6)
        room.copyBytes(from: "HTTP_".utf8)
        for offset in 0..<field.count { room[5 + offset] = environByte(field[offset]) }
        room[field.count + 5] = 0
        return EnvironText(start: place, count: field.count + 5)
    }

    /// A field and its repeats behind it, as one value. Lock held.
    func joinedValue(_ first: Int) -> EnvironText? {
        guard let slot = madeSlot(EnvironKey.allCases.count + first) else { return nil }
        if slot.pointee.baseAddress != nil { return slot.pointee }
        if pointee.fields[first].known == .host, believesProxies, let host = forwarded()?.pointee.host {
            slot.pointee = host
            return host
        }
        if pointee.fields[first].known == .host, !pointee.head.authority.isEmpty {
            // A host in the target outranks the field (RFC 9112 section 3.2.2).
            guard let value = copy(text(pointee.head.authority)) else { return nil }
            slot.pointee = value
            return value
        }
        let name = text(pointee.fields[first].name)
        var buffer = ByteBuffer()
        for index in first..<fieldIndices.upperBound where isShown(index) {
            let other = text(pointee.fields[index].name)
            guard other.count == name.count,
                zip(other, name).allSatisfy({ environByte($0) == environByte($1) })
            else { continue }
            if index > first {
                let separator: StaticString =
                    !pointee.reactor.pointee.settings.joinsWithSpace
                    ? "," : pointee.fields[first].known == .cookie ? "; " : ", "
                buffer.append(separator)
            }
            appendUnfolded(index, &buffer)
        }
        guard !buffer.failed, let value = copy(buffer.readable) else { return nil }
        slot.pointee = value
        return value
    }
}
