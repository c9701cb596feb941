// SPDX-License-Identifier: MIT
// LogQueue - turns log lines into portions for the writes to their destination, and counts what is lost.
// Room: Server (system calls through System/LogCalls).

/// Lines that wait for one destination, in order, and those that are missing among them.
///
/// Ownership: owns the lines, lends the descriptor. Thread: one at a time; LogSink has the lock.
struct LogQueue: ~Copyable, Sendable {
    static let bytesMax = 64 << 10

    var descriptor: LogCalls.Descriptor
    private let isJSON: Bool
    // SAFETY: one owner, and only reached through the lock. Said here because lines come as pointers,
    // which the compiler would else suspect to stay behind in the buffer.
    nonisolated(unsafe) private var lines = ByteBuffer()
    /// The last write was refused for the moment: only `flush` tries again.
    private(set) var isStalled = false
    private var lost: UInt64 = 0
    private var reason = LogCalls.Failure(code: 0)
    /// Losses told by a line that still waits, ahead of all others.
    private var lostInReport: UInt64 = 0
    /// The last byte that was written is no line end.
    private var isMidLine = false
    /// The rest of that line is lost.
    private var owesLineEnd = false

    init(_ descriptor: LogCalls.Descriptor, isJSON: Bool) {
        self.descriptor = descriptor
        self.isJSON = isJSON
    }

    var isFull: Bool { lines.count >= Self.bytesMax }
    var hasLines: Bool { !lines.isEmpty }
    private var hasWriter: Bool { descriptor.kind == .borrowedStream }

    /// Takes one line from `write`, or drops and counts it.
    mutating func add(_ write: (inout ByteBuffer) -> Void) {
        if isFull, isStalled || hasWriter {
            if hasWriter { reason = .slowReader }
            lost += 1
            return
        }
        let start = lines.count
        write(&lines)
        lines.append(UInt8(ascii: "\n"))
        if lines.failed { undo(to: start) }
    }

    /// There was no memory for all of a line: those ahead of it stay.
    private mutating func undo(to start: Int) {
        lines.truncate(to: start)
        if lines.isEmpty { lines.clear(keepingCapacity: 0) }
        reason = .noMemory
        lost += 1
    }

    /// Hands over what waits, as far as the destination takes it. True: something still waits.
    mutating func flush() -> Bool {
        while let portion = next() {
            do throws(LogCalls.Failure) {
                wrote(try LogCalls.write(portion, to: descriptor))
            } catch {
                refused(error)
                return true
            }
        }
        return false
    }

    // MARK: Portions

    /// What the next write is to hand over: nil where nothing waits and no loss is to be told. A file takes
    /// all. What others write to as well, another log, loop or process, gets whole lines, few enough to be
    /// taken as one or not at all; a line that is longer comes in pieces.
    mutating func next() -> UnsafeRawBufferPointer? {
        // SAFETY: a literal lives as long as the program.
        if owesLineEnd { return UnsafeRawBufferPointer(start: ("\n" as StaticString).utf8Start, count: 1) }
        if lines.isEmpty, lost > 0 { report() }
        guard hasLines else { return nil }
        let all = lines.readable
        guard !descriptor.kind.isFile, all.count > LogCalls.pipeBytesMax else { return all }
        let head = all.prefix(LogCalls.pipeBytesMax)
        let end = head.lastIndex(of: UInt8(ascii: "\n")) ?? head.endIndex - 1
        return UnsafeRawBufferPointer(rebasing: head[...end])
    }

    /// So many bytes of the portion were taken.
    mutating func wrote(_ count: Int) {
        isStalled = false
        if owesLineEnd {
            owesLineEnd = false
            isMidLine = false
            return
        }
        let taken = lines.readable.prefix(count)
        isMidLine = taken.last != UInt8(ascii: "\n")
        if lostInReport > 0, taken.contains(UInt8(ascii: "\n")) { lostInReport = 0 }
        lines.consume(count)
        if lines.isEmpty { lines.clear(keepingCapacity: 2 * Self.bytesMax) }
    }

    /// The portion waits on, or all is lost.
    mutating func refused(_ failure: LogCalls.Failure) {
        reason = failure
        isStalled = failure.isTemporary
        if isStalled { return }
        var count: UInt64 = 0
        for byte in lines.readable where byte == UInt8(ascii: "\n") { count += 1 }
        // The report itself is no lost line; what it told is lost again.
        if lostInReport > 0 { count += lostInReport - 1 }
        lost += count
        lostInReport = 0
        owesLineEnd = isMidLine
        lines.clear(keepingCapacity: 0)
    }

    /// What follows goes to another file.
    mutating func reopened(as fresh: LogCalls.Descriptor) {
        descriptor = fresh
        isStalled = false
        isMidLine = false
        owesLineEnd = false
    }

    /// One line about the lines that are missing ahead of it.
    private mutating func report() {
        var text =
            isJSON
            ? "{\"lost\":\(lost),\"reason\":\""
            : "evy: \(lost) log \(lost == 1 ? "line" : "lines") lost: "
        text.withUTF8 { lines.append(UnsafeRawBufferPointer($0)) }
        var reason = reason.text
        reason.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            if isJSON { JSONEscape.append(bytes, into: &lines) } else { lines.append(bytes) }
        }
        lines.append(isJSON ? "\"}\n" : "\n")
        guard !lines.failed else { return lines.clear(keepingCapacity: 0) }
        lostInReport = lost
        lost = 0
    }
}
