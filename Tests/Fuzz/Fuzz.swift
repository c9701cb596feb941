// SPDX-License-Identifier: MIT
// Fuzz - the entry of every fuzz target: one program, which is the target it is called by.
// Room: fuzzing. A target takes one input and stops the process when something does not hold.

/// By the name of the program, without what follows a dot.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "HeadParserFuzz": fuzzHeadParser,
    "BodyFuzz": fuzzBody,
    "ProxyFuzz": fuzzProxy,
    "ResponseFuzz": fuzzResponse,
    "AccessFuzz": fuzzAccess,
    "OptionFuzz": fuzzOption,
    "TextFuzz": fuzzText,
]

/// SAFETY: set once, before the first input.
nonisolated(unsafe) private var target: @Sendable ([UInt8]) -> Void = { _ in }

@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzz(
    _ argc: UnsafeMutablePointer<CInt>,
    _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let program = argv.pointee[0].map { String(cString: $0) } ?? ""
    let name = program.split(separator: "/").last?.split(separator: ".").first.map(String.init) ?? ""
    guard let known = targets[name] else {
        fatalError("\(name) is none of \(targets.keys.sorted().joined(separator: ", "))")
    }
    target = known
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

/// Unlike a precondition it says what it was, also when optimised.
func require(
    _ holds: Bool, _ what: @autoclosure () -> String = "broken", file: StaticString = #fileID,
    line: UInt = #line
) {
    if !holds { fatalError(what(), file: file, line: line) }
}

/// Cuts one input into the arguments of a call; a used up input gives zeros and nothing.
struct Input {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }
    mutating func flag() -> Bool { byte() & 1 != 0 }

    mutating func number() -> Int64 {
        var value: UInt64 = 0
        for _ in 0..<8 { value = value << 8 | UInt64(byte()) }
        return Int64(bitPattern: value)
    }

    /// A length, and so many bytes.
    mutating func bytes() -> [UInt8] {
        let count = min(Int(byte()), rest.count)
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func all() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }
}

/// The name and value pairs of a block (rule R4 of evy.h), straight from its grammar; nil: it is none.
func plainPairs(_ block: [UInt8]) -> [(name: [UInt8], value: [UInt8])]? {
    var pairs: [(name: [UInt8], value: [UInt8])] = []
    var pieces = block.split(separator: 0, omittingEmptySubsequences: false)
    // The last NUL may be absent.
    if pieces.last?.isEmpty == true, block.last == 0, pieces.count % 2 == 1 { pieces.removeLast() }
    if block.isEmpty { return [] }
    guard pieces.count % 2 == 0 else { return nil }
    for index in stride(from: 0, to: pieces.count, by: 2) {
        guard isToken(pieces[index]), pieces[index + 1].allSatisfy(isFieldByte) else { return nil }
        pairs.append((Array(pieces[index]), Array(pieces[index + 1])))
    }
    return pairs
}

func isFieldByte(_ byte: UInt8) -> Bool { byte == 9 || byte >= 0x20 && byte != 0x7f }

func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    !bytes.isEmpty
        && bytes.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
            }
        }
}

func lowered(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}

func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 9 }
    guard let first = bytes.firstIndex(where: { !isBlank($0) }),
        let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return [] }
    return Array(bytes[first...last])
}
