// SPDX-License-Identifier: MIT
// Headers - header fields in their order, kept as the block of name and value pairs that evy.h speaks.
// Room: Evy (the Swift face). Spec: evy.h rule R4; RFC 9110 section 5.

/// Header fields, in order, repeats apart: `["Vary": "Accept", "ETag": "\"1\"", "Vary": "Cookie"]`.
///
/// Names are compared without regard to case. A name or value that cannot be sent (it holds CR, LF or NUL, or
/// the name is no token) is refused by the call that was to send it, with `EvyError.Code.badField`.
public struct Headers: Sendable, Hashable, ExpressibleByDictionaryLiteral, Sequence {
    /// One field as it came or will be sent.
    public struct Field: Sendable, Hashable {
        public let name: String
        /// The bytes; clients may send what is not UTF-8.
        public let rawValue: [UInt8]

        /// The value as text; bytes that are not UTF-8 become U+FFFD.
        public var value: String { String(decoding: rawValue, as: UTF8.self) }
    }

    /// name NUL value NUL ...
    private(set) var block: [UInt8] = []
    /// NUL separates pairs in a block, so one inside a field would make a field of the rest.
    private(set) var holdsNUL = false

    public init() {}

    public init(dictionaryLiteral pairs: (String, String)...) {
        for (name, value) in pairs { append(name, value) }
    }

    public init(_ pairs: some Sequence<(name: String, value: String)>) {
        for (name, value) in pairs { append(name, value) }
    }

    init(block: UnsafeRawBufferPointer) { self.block = Array(block) }

    /// Adds a field behind the others, also where there is one of that name.
    public mutating func append(_ name: String, _ value: String) { append(name, Array(value.utf8)) }

    /// The same with a value that is no text.
    public mutating func append(_ name: String, _ value: [UInt8]) {
        if name.utf8.contains(0) || value.contains(0) { holdsNUL = true }
        block.reserveCapacity(block.count + name.utf8.count + value.count + 2)
        block += name.utf8
        block.append(0)
        block += value
        block.append(0)
    }

    /// The value of the first field of that name. Setting replaces all of them, nil removes them.
    public subscript(name: String) -> String? {
        get { first { $0.has(name) }?.value }
        set {
            let others = filter { !$0.has(name) }
            let hadNUL = holdsNUL
            block.removeAll()
            for field in others { append(field.name, field.rawValue) }
            holdsNUL = hadNUL
            if let newValue { append(name, newValue) }
        }
    }

    /// The values of every field of that name, in order.
    public func values(_ name: String) -> [String] { filter { $0.has(name) }.map(\.value) }

    public func makeIterator() -> IndexingIterator<[Field]> {
        let parts = block.split(separator: 0, omittingEmptySubsequences: false)
        return stride(from: 0, to: parts.count - 1, by: 2).map {
            Field(name: String(decoding: parts[$0], as: UTF8.self), rawValue: Array(parts[$0 + 1]))
        }.makeIterator()
    }
}

extension Headers.Field {
    fileprivate func has(_ other: String) -> Bool {
        name.utf8.count == other.utf8.count
            && zip(name.utf8, other.utf8).allSatisfy { Self.folded($0) == Self.folded($1) }
    }

    private static func folded(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
}
