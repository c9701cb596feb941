// SPDX-License-Identifier: MIT
// EnvironEntries - all keys of a request's environ at once: as entries, and as one block of pairs.
// Room: Connection. Spec: RFC 3875 section 4.1. Thread: under the lock of the exchange.

/// Which header fields share a key. The client chooses the names and how many there are, so they are compared
/// by a hash whose seed it does not know: each with each would take seconds at the limits of the options.
///
/// Ownership: lies in the arena of the exchange.
struct FieldGroups {
    /// The key of the first field of each group; null for the others, and for fields that are not shown.
    fileprivate let names: UnsafeMutablePointer<EnvironText>
    /// One more than the index of the next field of the group; 0: none.
    fileprivate let following: UnsafeMutablePointer<UInt32>

    func next(_ index: Int) -> Int? {
        let next = following[index]
        return next == 0 ? nil : Int(next) - 1
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// All keys, in their order; nil: out of memory.
    func environEntries() -> UnsafeMutableBufferPointer<EnvironEntry>? {
        if let entries = pointee.environ.entries { return entries }
        guard let groups = fieldGroups(), var list = makeEntryList() else { return nil }
        for key in EnvironKey.allCases {
            list.add(EnvironText(start: key.name.utf8Start, count: key.name.utf8CodeUnitCount), environValue)
        }
        let fields = fieldIndices
        for index in fields {
            let name = groups.names[index]
            guard name.baseAddress != nil else { continue }
            guard let value = fieldValue(index, name) else { return nil }
            list.append(EnvironEntry(name: name, value: value))
        }
        // A proxy's host may stand for one that the request itself did not name.
        let host: StaticString = "HTTP_HOST"
        list.addMissing(EnvironText(start: host.utf8Start, count: host.utf8CodeUnitCount), environValue)
        let idKey = pointee.reactor.pointee.settings.requestIDKey
        if !idKey.isEmpty { list.addMissing(idKey, environValue) }
        var pairs = PairReader(pointee.reactor.pointee.settings.environPairs)
        while let pair = pairs.next() { list.addMissing(pair.name, environValue) }
        var node = pointee.environ.overrides
        while let current = node {
            list.addMissing(current.pointee.entry.name, environValue)
            node = current.pointee.next
        }
        // A part would look whole.
        guard !pointee.arena.hasFailed else { return nil }
        let result = UnsafeMutableBufferPointer(rebasing: list.entries[..<list.count])
        pointee.environ.entries = result
        return result
    }

    private func makeEntryList() -> EntryList? {
        var others = 0
        var pairs = PairReader(pointee.reactor.pointee.settings.environPairs)
        while pairs.next() != nil { others += 1 }
        var node = pointee.environ.overrides
        while let current = node {
            others += 1
            node = current.pointee.next
        }
        // Two more: a proxy's host, and the id of the request.
        let capacity = EnvironKey.allCases.count + pointee.head.fieldCount + 2 + others
        guard let room = pointee.arena.allocate(capacity * MemoryLayout<EnvironEntry>.stride) else {
            return nil
        }
        return EntryList(
            entries: UnsafeMutableBufferPointer(
                start: room.bindMemory(to: EnvironEntry.self, capacity: capacity), count: capacity))
    }

    private func fieldValue(_ first: Int, _ name: EnvironText) -> EnvironText? {
        if let entry = override(named: name) { return entry.pointee.entry.value }
        if isRequestIDKey(UnsafeRawBufferPointer(rebasing: name.dropFirst(5))) { return requestID() }
        return joinedValue(first)
    }

    private func fieldGroups() -> FieldGroups? {
        if let groups = pointee.environ.groups { return groups }
        let count = pointee.head.fieldCount
        var slotCount = 8
        while slotCount < 2 * count { slotCount *= 2 }
        guard let nameRoom = pointee.arena.allocate(count * MemoryLayout<EnvironText>.stride),
            let numberRoom = pointee.arena.allocate((2 * count + slotCount) * MemoryLayout<UInt32>.stride)
        else { return nil }
        let names = nameRoom.bindMemory(to: EnvironText.self, capacity: count)
        names.initialize(repeating: EnvironText(start: nil, count: 0), count: count)
        let following = numberRoom.bindMemory(to: UInt32.self, capacity: 2 * count + slotCount)
        following.initialize(repeating: 0, count: 2 * count + slotCount)
        // Of each group's first field: the last one so far. Of each slot of the table: one more than a first.
        let lasts = following + count
        let slots = lasts + count
        for index in fieldIndices where isShown(index) {
            guard let name = environName(index) else { return nil }
            var hasher = Hasher()
            hasher.combine(bytes: name)
            var slot = hasher.finalize() & (slotCount - 1)
            while slots[slot] != 0, !names[Int(slots[slot]) - 1].equals(name) {
                slot = (slot + 1) & (slotCount - 1)
            }
            if slots[slot] == 0 {
                slots[slot] = UInt32(index) + 1
                names[index] = name
                lasts[index] = UInt32(index)
            } else {
                let first = Int(slots[slot]) - 1
                following[Int(lasts[first])] = UInt32(index) + 1
                lasts[first] = UInt32(index)
            }
        }
        let groups = FieldGroups(names: names, following: following)
        pointee.environ.groups = groups
        return groups
    }

    /// All keys as one R4 block, made once; nil: out of memory, or a value holds what ends a text in a block.
    func environBlock() -> EnvironText? {
        if let block = pointee.environ.block { return block }
        guard let entries = environEntries() else { return nil }
        var buffer = ByteBuffer()
        for entry in entries {
            // What stands behind a NUL would be read as keys of its own: a client's, with allow_encoded_nul.
            if entry.value.contains(0) { return nil }
            buffer.append(entry.name)
            buffer.append(0)
            buffer.append(entry.value)
            buffer.append(0)
        }
        pointee.environ.block = copy(buffer)
        return pointee.environ.block
    }
}

/// Entries as they come together. Ownership: its room lies in the arena of the exchange.
private struct EntryList {
    let entries: UnsafeMutableBufferPointer<EnvironEntry>
    private(set) var count = 0

    init(entries: UnsafeMutableBufferPointer<EnvironEntry>) { self.entries = entries }

    mutating func append(_ entry: EnvironEntry) {
        guard count < entries.count else { return }
        entries.initializeElement(at: count, to: entry)
        count += 1
    }

    mutating func add(_ name: EnvironText, _ value: (UnsafeRawBufferPointer) -> EnvironText?) {
        if let value = value(name) { append(EnvironEntry(name: name, value: value)) }
    }

    /// The host chooses how many of these there are.
    mutating func addMissing(_ name: EnvironText, _ value: (UnsafeRawBufferPointer) -> EnvironText?) {
        if !entries[..<count].contains(where: { $0.name.equals(name) }) { add(name, value) }
    }
}
