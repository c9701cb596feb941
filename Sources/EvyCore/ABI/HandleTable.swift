// SPDX-License-Identifier: MIT
// HandleTable - tells handles that live from those that were freed, and from those of another kind.
// Room: ABI. Thread: any, and signal handlers: no locks, so a fork never finds one held.

internal import Glibc
internal import Synchronization

/// What a handle points to. The memory of cells is never given back and a cell is used again as late as
/// possible, so a handle that a host has kept beyond its life gives an error and no other object, as long as
/// fewer than `HandleTable.capacity` others were made after it.
///
/// Ownership: the handle's reference is the host's, until `give`; the cell itself only knows the object.
private struct HandleCell: ~Copyable {
    /// Loading it is safe beside the object's last release; storing it is not, so a cell is only filled while
    /// no thread is inside a look-up.
    weak var object: AnyObject?
    /// Always 0, where an exchange has its magic number: a handle in the place of a request is refused.
    private let noMagic: UInt64 = 0
    /// Kind, flags and how many threads are inside a look-up.
    let state = Atomic<UInt64>(0)
}

private enum CellState {
    static let isUsed: UInt64 = 1 << 1
    /// The host has freed it; others may still use the object (rule R1).
    static let isFreed: UInt64 = 1 << 2
    /// Somebody is about to fill it.
    static let isClaimed: UInt64 = 1 << 3
    static let kinds: UInt64 = 0xf0
    static let lookup: UInt64 = 1 << 8
}

enum HandleKind: UInt64 {
    case config = 0x10
    case tls = 0x20
    case server = 0x30
}

enum HandleTable {
    static let capacity = 1 << 16
    private static let stride = MemoryLayout<HandleCell>.stride
    /// SAFETY: never changes; the cells behind it are atomic.
    private nonisolated(unsafe) static let cells = UnsafeMutableRawPointer(calloc(capacity, stride))
    private static let cursor = Atomic<Int>(0)

    /// Gives the host a reference. nil: no memory, or no cell.
    static func make(_ object: AnyObject, _ kind: HandleKind) -> OpaquePointer? {
        guard let cells else { return nil }
        for _ in 0..<capacity {
            let index = cursor.wrappingAdd(1, ordering: .relaxed).oldValue & (capacity - 1)
            let cell = (cells + index * stride).assumingMemoryBound(to: HandleCell.self)
            guard claim(cell) else { continue }
            cell.pointee.object = object
            cell.pointee.state.store(CellState.isUsed | kind.rawValue, ordering: .releasing)
            _ = Unmanaged.passRetained(object)
            return OpaquePointer(cell)
        }
        return nil
    }

    /// nil: NULL, no handle, one of another kind, or one whose object is gone.
    static func find(_ handle: OpaquePointer?, _ kind: HandleKind) -> AnyObject? {
        guard let cell = cell(handle), enter(cell, kind) else { return nil }
        defer { leave(cell) }
        return cell.pointee.object
    }

    /// Takes the host's reference back. nil: there is none any more.
    static func give(_ handle: OpaquePointer?, _ kind: HandleKind) -> AnyObject? {
        guard let cell = cell(handle), enter(cell, kind) else { return nil }
        defer { leave(cell) }
        guard let object = cell.pointee.object,
            cell.pointee.state.bitwiseOr(CellState.isFreed, ordering: .acquiringAndReleasing).oldValue
                & CellState.isFreed == 0
        else { return nil }
        return object
    }

    // MARK: Inside

    private static func cell(_ handle: OpaquePointer?) -> UnsafeMutablePointer<HandleCell>? {
        guard let handle, let cells else { return nil }
        let offset = UInt(bitPattern: handle) &- UInt(bitPattern: cells)
        guard offset < UInt(capacity * stride), offset % UInt(stride) == 0 else { return nil }
        return UnsafeMutablePointer(handle)
    }

    private static func enter(_ cell: UnsafeMutablePointer<HandleCell>, _ kind: HandleKind) -> Bool {
        var seen = cell.pointee.state.load(ordering: .relaxed)
        while seen & (CellState.isUsed | CellState.kinds) == CellState.isUsed | kind.rawValue {
            let entered = cell.pointee.state.compareExchange(
                expected: seen, desired: seen &+ CellState.lookup, ordering: .acquiring)
            if entered.exchanged { return true }
            seen = entered.original
        }
        return false
    }

    private static func leave(_ cell: UnsafeMutablePointer<HandleCell>) {
        cell.pointee.state.wrappingSubtract(CellState.lookup, ordering: .releasing)
    }

    /// The cell is the caller's to fill, if it never was used, or what was in it is gone.
    private static func claim(_ cell: UnsafeMutablePointer<HandleCell>) -> Bool {
        let seen = cell.pointee.state.load(ordering: .relaxed)
        guard seen < CellState.lookup, seen == 0 || seen & CellState.isFreed != 0 else { return false }
        guard
            cell.pointee.state.compareExchange(
                expected: seen, desired: seen &+ CellState.lookup, ordering: .acquiring
            ).exchanged
        else { return false }
        guard seen == 0 || cell.pointee.object == nil else {
            leave(cell)
            return false
        }
        // From here on nobody enters; who was quicker keeps the cell as it is.
        let isAlone = cell.pointee.state.compareExchange(
            expected: seen &+ CellState.lookup, desired: CellState.isClaimed,
            ordering: .acquiringAndReleasing)
        if !isAlone.exchanged { leave(cell) }
        return isAlone.exchanged
    }
}
