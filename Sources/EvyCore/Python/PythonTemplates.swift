// SPDX-License-Identifier: MIT
// PythonTemplates - environ dicts by the header fields they were made from, and texts seen lately.
// Room: Python. Thread: under the interpreter lock.

internal import CSystem
internal import Glibc

/// A client sends the same fields with every request, so most of environ can be copied from the last one.
/// What differs (the request line, the connection) is changed in the template ahead of the copy.
struct PythonTemplate {
    var hash: UInt64 = 0
    /// Another one with every change.
    var version: UInt64 = 0
    var isTLS = false
    /// The fields as they came.
    var fields = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    var requestLine = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    var peer = evy_address()
    var local = evy_address()
    var environ: PyRef?
    /// Whose objects it has.
    var kit: PythonKitRef?
}

/// Ownership: owns its copies of bytes; `dropAll` gives the objects back.
struct PythonTemplates: ~Copyable {
    private static let count = 64
    static let fieldBytesMax = 2048
    private static let portCount = 1024
    private static let textCount = 256
    private static let textBytesMax = 64

    struct Text {
        var hash: UInt64 = 0
        var object: PyRef?
        var bytes: UnsafeMutableRawBufferPointer = .init(start: nil, count: 0)
    }

    private let ports = UnsafeMutablePointer<(number: UInt16, object: PyRef?)>.allocate(
        capacity: Self.portCount)
    private let templates = UnsafeMutablePointer<PythonTemplate>.allocate(capacity: Self.count)
    private let texts = UnsafeMutablePointer<Text>.allocate(capacity: Self.textCount)

    init() {
        templates.initialize(repeating: PythonTemplate(), count: Self.count)
        texts.initialize(repeating: Text(), count: Self.textCount)
        ports.initialize(repeating: (0, nil), count: Self.portCount)
    }

    deinit {
        for index in 0..<Self.count {
            free(templates[index].fields.baseAddress)
            free(templates[index].requestLine.baseAddress)
        }
        for index in 0..<Self.textCount { free(texts[index].bytes.baseAddress) }
        ports.deallocate()
        templates.deallocate()
        texts.deallocate()
    }

    func forEach(_ body: (UnsafeMutablePointer<PythonTemplate>) -> Void) {
        for index in 0..<Self.count { body(templates + index) }
    }

    func dropAll(_ py: UnsafeMutablePointer<evy_py_api>) {
        for index in 0..<Self.count {
            if let environ = templates[index].environ { evy_py_decref(py, environ) }
            templates[index].environ = nil
            templates[index].kit = nil
        }
        for index in 0..<Self.textCount {
            if let object = texts[index].object { evy_py_decref(py, object) }
            texts[index].object = nil
        }
        for index in 0..<Self.portCount {
            if let object = ports[index].object { evy_py_decref(py, object) }
            ports[index].object = nil
        }
    }

    /// The place where the template of these fields is, or may be put.
    func place(_ fields: UnsafeRawBufferPointer, isTLS: Bool) -> UnsafeMutablePointer<PythonTemplate> {
        let hash = Self.hash(fields)
        let place = templates + Int(hash % UInt64(Self.count))
        let isThis =
            place.pointee.hash == hash && place.pointee.isTLS == isTLS && place.pointee.environ != nil
            && place.pointee.fields.count == fields.count
            && fields.equals(UnsafeRawBufferPointer(place.pointee.fields))
        if !isThis { place.pointee.hash = 0 }
        return place
    }

    /// Puts a template in its place; the reference is taken over.
    func put(
        _ environ: PyRef, _ fields: UnsafeRawBufferPointer, isTLS: Bool,
        into place: UnsafeMutablePointer<PythonTemplate>, _ py: UnsafeMutablePointer<evy_py_api>
    ) {
        let old = place.pointee.environ
        defer { if let old { evy_py_decref(py, old) } }
        if let kit = place.pointee.kit { kit.pointee.templates -= 1 }
        place.pointee.kit = nil
        place.pointee.version &+= 1
        place.pointee.environ = environ
        place.pointee.isTLS = isTLS
        place.pointee.hash = Self.copy(fields, into: &place.pointee.fields) ? Self.hash(fields) : 0
    }

    /// The digits of a port as a str. nil: an exception is set.
    func port(_ number: UInt16, _ py: UnsafeMutablePointer<evy_py_api>) -> PyRef? {
        let place = ports + Int(number) % Self.portCount
        if place.pointee.number != number || place.pointee.object == nil {
            var digits: (UInt64, UInt64) = (0, 0)
            let made = withUnsafeMutableBytes(of: &digits) { room -> PyRef? in
                var rest = number
                var start = room.count
                repeat {
                    start -= 1
                    room[start] = 0x30 + UInt8(rest % 10)
                    rest /= 10
                } while rest > 0
                return room.baseAddress.flatMap { evy_py_latin1(py, $0 + start, room.count - start) }
            }
            guard let made else { return nil }
            if let old = place.pointee.object { evy_py_decref(py, old) }
            place.pointee = (number, made)
        }
        if let object = place.pointee.object { evy_py_incref(py, object) }
        return place.pointee.object
    }

    /// A str of latin-1 bytes, which may be one that was made before. nil: an exception is set.
    func text(_ bytes: UnsafeRawBufferPointer, _ py: UnsafeMutablePointer<evy_py_api>) -> PyRef? {
        guard bytes.count <= Self.textBytesMax else {
            return evy_py_latin1(py, bytes.baseAddress, bytes.count)
        }
        let hash = Self.hash(bytes)
        let place = texts + Int(hash % UInt64(Self.textCount))
        if let object = place.pointee.object, place.pointee.hash == hash,
            bytes.equals(UnsafeRawBufferPointer(place.pointee.bytes))
        {
            evy_py_incref(py, object)
            return object
        }
        guard let object = evy_py_latin1(py, bytes.baseAddress, bytes.count) else { return nil }
        guard Self.copy(bytes, into: &place.pointee.bytes) else { return object }
        if let old = place.pointee.object { evy_py_decref(py, old) }
        evy_py_incref(py, object)
        place.pointee.object = object
        place.pointee.hash = hash
        return object
    }

    /// False: out of memory; what was there is gone.
    static func copy(
        _ bytes: UnsafeRawBufferPointer, into room: inout UnsafeMutableRawBufferPointer
    ) -> Bool {
        free(room.baseAddress)
        guard let start = malloc(max(bytes.count, 1)) else {
            room = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            return false
        }
        room = UnsafeMutableRawBufferPointer(start: start, count: bytes.count)
        room.copyMemory(from: bytes)
        return true
    }

    /// Eight bytes at a time. A client that makes others' templates collide only costs them the copy.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ UInt64(truncatingIfNeeded: bytes.count)
        var index = 0
        while index &+ 8 <= bytes.count {
            state =
                (state ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0xff51_afd7_ed55_8ccd
            state ^= state >> 32
            index &+= 8
        }
        while index < bytes.count {
            state = (state ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01b3
            index &+= 1
        }
        state ^= state >> 29
        return state | 1
    }
}
