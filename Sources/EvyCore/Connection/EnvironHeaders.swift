// SPDX-License-Identifier: MIT
// EnvironHeaders - header fields as HTTP_ keys, and as they came.
// Room: Connection. Spec: RFC 3875 section 4.1.18. Thread: under the lock of the exchange.

extension UnsafeMutablePointer<Exchange> {
    var fieldIndices: Range<Int> { 0..<min(pointee.head.fieldCount, pointee.fields.count) }

    /// `name` without HTTP_, upper case with underscores. Repeats are joined.
    func headerValue(_ name: UnsafeRawBufferPointer) -> EnvironText? {
        guard let first = fieldIndices.first(where: { isShown($0) && matches($0, name) }) else { return nil }
        return joinedValue(first)
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
        pointee.environ.headerBlock = copy(buffer)
        return pointee.environ.headerBlock
    }

    /// A field's value in the arena.
    func fieldText(_ index: Int) -> EnvironText? {
        let slot = pointee.fields[index]
        guard slot.isFolded else { return copy(text(slot.value)) }
        var buffer = ByteBuffer()
        appendUnfolded(index, &buffer)
        return copy(buffer)
    }

    func appendUnfolded(_ index: Int, _ buffer: inout ByteBuffer) {
        let slot = pointee.fields[index]
        guard slot.isFolded else { return buffer.append(text(slot.value)) }
        for byte in text(slot.value) { buffer.append(byte == 0x0d || byte == 0x0a ? 0x20 : byte) }
    }

    /// Content-Type and Content-Length have keys of their own; a name with "_" could pass for another field.
    func isShown(_ index: Int) -> Bool {
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
    func environName(_ index: Int) -> EnvironText? {
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
        var buffer = ByteBuffer()
        appendUnfolded(first, &buffer)
        var last = first
        while let index = nextRepeat(last) {
            let separator: StaticString =
                !pointee.reactor.pointee.settings.joinsWithSpace
                ? "," : pointee.fields[first].known == .cookie ? "; " : ", "
            buffer.append(separator)
            appendUnfolded(index, &buffer)
            last = index
        }
        guard let value = copy(buffer) else { return nil }
        slot.pointee = value
        return value
    }
    /// The next field behind `index` whose key is the same.
    private func nextRepeat(_ index: Int) -> Int? {
        if let groups = pointee.environ.groups { return groups.next(index) }
        let name = text(pointee.fields[index].name)
        return (index..<fieldIndices.upperBound).dropFirst().first {
            let other = text(pointee.fields[$0].name)
            return other.count == name.count && isShown($0)
                && zip(other, name).allSatisfy { environByte($0) == environByte($1) }
        }
    }
}
