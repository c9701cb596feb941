// SPDX-License-Identifier: MIT
// LogSinkTests - files, pipes whose reader is slow or gone, sockets, closed descriptors, many threads.
// Room tested: Server/LogSink, System/LogCalls. Spec: options access_log and error_log of evy.h.

import Glibc
import Testing

@testable import EvyCore

private func open(_ text: String) throws -> LogSink {
    let destination = try #require(LogDestination(text))
    return try #require(try LogSink.open(destination, option: "access_log"))
}

private func refusal(_ text: String) throws -> String? {
    let destination = try #require(LogDestination(text))
    do throws(OptionError) {
        _ = try LogSink.open(destination, option: "access_log")
        return nil
    } catch { return error.text }
}

extension LogSink {
    fileprivate func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }
}

/// A directory of the test's own.
private final class Scratch {
    let path: String
    init() {
        var template = Array("/tmp/evy-log-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }
    deinit {
        for name in ["access.log", "old.log", "fifo"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}

private func contents(_ path: String) -> String {
    let file = Glibc.open(path, O_RDONLY)
    defer { close(file) }
    return readAll(file)
}

/// Everything that can be read now: to the end, or until the reader would wait.
private func readAll(_ number: Int32) -> String {
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(number, &room, room.count)
        if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += room[..<count]
    }
}

private struct Pair {
    var reader: Int32
    var writer: Int32

    static func pipe() -> Pair {
        var ends: [Int32] = [-1, -1]
        _ = Glibc.pipe(&ends)
        return Pair(reader: ends[0], writer: ends[1])
    }
    static func sockets() -> Pair {
        var ends: [Int32] = [-1, -1]
        _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
        return Pair(reader: ends[0], writer: ends[1])
    }
    func closeBoth() {
        close(reader)
        close(writer)
    }
}

/// One after another: some change what SIGPIPE does to the process.
@Suite(.serialized) struct LogSinkTests {
    // MARK: - Files

    @Test func aFileIsCreatedAndAppendedTo() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        for text in ["one", "two"] {
            let sink = try open(path)
            sink.append(text)
        }
        #expect(contents(path) == "one\ntwo\n")
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o137 == 0)
    }

    @Test func linesWaitForFlush() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        let sink = try open(path)
        sink.append("one")
        #expect(contents(path) == "")
        sink.flush()
        #expect(contents(path) == "one\n")
        sink.flush()
        #expect(contents(path) == "one\n")
    }

    @Test func sixtyFourKilobytesAreFlushedAtOnce() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        let sink = try open(path)
        for _ in 0..<1023 { sink.append(String(repeating: "x", count: 63)) }
        #expect(contents(path) == "")
        sink.append(String(repeating: "x", count: 63))
        #expect(contents(path).utf8.count == 65_536)
    }

    @Test func aRecordIsFormattedIntoTheBatch() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        let sink = try open(path)
        let format = try AccessFormat("%(status_code)s %(wire_bytes)s")
        for status in 200..<203 {
            var record = AccessRecord()
            record.status = Int64(status)
            sink.append(record, as: format)
        }
        sink.flush()
        #expect(contents(path) == "200 0\n201 0\n202 0\n")
    }

    @Test func aRotatedFileIsOpenedAnew() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        let sink = try open(path)
        sink.append("old")
        #expect(rename(path, "\(scratch.path)/old.log") == 0)
        try sink.reopen(option: "access_log")
        sink.append("new")
        sink.flush()
        #expect(contents("\(scratch.path)/old.log") == "old\n")
        #expect(contents(path) == "new\n")
    }

    @Test func linesOfManyThreadsStayWhole() async throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/access.log"
        let sink = try open(path)
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    for number in 0..<5000 {
                        sink.append("\(thread) \(number)")
                        if number % 64 == 0 { sink.flush() }
                    }
                }
            }
        }
        sink.flush()
        let lines = contents(path).split(separator: "\n")
        #expect(lines.count == 20_000)
        #expect(Set(lines).count == 20_000)
    }

    @Test func aFullDiskIsSurvived() throws {
        let sink = try open("/dev/full")
        for _ in 0..<5000 { sink.append(String(repeating: "x", count: 99)) }
        sink.flush()
        sink.append("still here")
        sink.flush()
    }

    // MARK: - What cannot be opened

    @Test func errorsNameThePathAndTheReason() throws {
        #expect(
            try refusal("/nonexistent/access.log")
                == "option access_log: cannot open /nonexistent/access.log: No such file or directory")
        #expect(try refusal("/") == "option access_log: cannot open /: Is a directory")
        #expect(try refusal("fd:1000000") == "option access_log: cannot open fd:1000000: Bad file descriptor")
        let pipe = Pair.pipe()
        defer { pipe.closeBoth() }
        #expect(
            try refusal("fd:\(pipe.reader)")
                == "option access_log: cannot open fd:\(pipe.reader): Bad file descriptor")
        let scratch = Scratch()
        #expect(mkfifo("\(scratch.path)/fifo", 0o600) == 0)
        #expect(
            try refusal("\(scratch.path)/fifo")
                == "option access_log: cannot open \(scratch.path)/fifo: No such device or address")
        #expect(try LogSink.open(.off, option: "access_log") == nil)
        #expect(try LogSink.open(.stderr, option: "error_log") != nil)
    }

    // MARK: - Pipes

    @Test func theHostsDescriptorIsDuplicatedAndKeepsItsFlags() throws {
        let pipe = Pair.pipe()
        let sink = try open("fd:\(pipe.writer)")
        #expect(fcntl(pipe.writer, F_GETFL) & O_NONBLOCK == 0)
        close(pipe.writer)
        sink.append("one")
        sink.flush()
        #expect(readAll(pipe.reader) == "one\n")
        close(pipe.reader)
    }

    @Test func aFullPipeNeverBlocksAndTellsWhatWasLost() throws {
        let pipe = Pair.pipe()
        defer { pipe.closeBoth() }
        let sink = try open("fd:\(pipe.writer)")
        var text = ""
        for number in 0..<4000 {
            sink.append("\(number) " + String(repeating: "x", count: 90))
            if number % 100 == 0 { sink.flush() }
        }
        sink.flush()
        for _ in 0..<10 {
            text += readAll(pipe.reader)
            sink.flush()
        }
        sink.append("after")
        sink.flush()
        text += readAll(pipe.reader)
        // Numbered lines without a gap, then the report on what is missing.
        let all = text.split(separator: "\n").map(String.init)
        let lines = all.dropLast(2)
        #expect(all.last == "after")
        let report = try #require(all.dropLast().last)
        for (number, line) in lines.enumerated() {
            #expect(line == "\(number) " + String(repeating: "x", count: 90))
        }
        #expect(report == "evy: \(4000 - lines.count) log lines lost: its reader is too slow")
        #expect(lines.count > 1000)
        #expect(lines.count < 4000)
    }

    @Test func aPipeWithoutReaderRaisesNoSignal() throws {
        // The test's own thread; SIGPIPE at its default would end the process.
        let before = signal(SIGPIPE, SIG_DFL)
        defer { _ = signal(SIGPIPE, before) }
        let pipe = Pair.pipe()
        let sink = try open("fd:\(pipe.writer)")
        close(pipe.reader)
        for _ in 0..<3000 { sink.append(String(repeating: "x", count: 99)) }
        sink.flush()
        var pending = sigset_t()
        sigpending(&pending)
        #expect(sigismember(&pending, SIGPIPE) == 0)
        var mask = sigset_t()
        pthread_sigmask(SIG_SETMASK, nil, &mask)
        #expect(sigismember(&mask, SIGPIPE) == 0)
        close(pipe.writer)
    }

    @Test func aPendingSignalOfTheHostStaysPending() throws {
        var pipeOnly = sigset_t()
        var before = sigset_t()
        sigemptyset(&pipeOnly)
        sigaddset(&pipeOnly, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &pipeOnly, &before)
        let disposition = signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        let pipe = Pair.pipe()
        let sink = try open("fd:\(pipe.writer)")
        pipe.closeBoth()
        sink.append("lost")
        sink.flush()
        var atOnce = timespec()
        #expect(sigtimedwait(&pipeOnly, nil, &atOnce) == SIGPIPE)
        _ = signal(SIGPIPE, disposition)
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    @Test func lossesToAnAbsentReaderAreToldToTheNext() throws {
        let scratch = Scratch()
        let path = "\(scratch.path)/fifo"
        #expect(mkfifo(path, 0o600) == 0)
        var reader = Glibc.open(path, O_RDONLY | O_NONBLOCK)
        let sink = try open(path)
        sink.append("one")
        sink.flush()
        #expect(readAll(reader) == "one\n")
        close(reader)
        for _ in 0..<3 {
            sink.append("lost")
            sink.append("lost too")
            sink.flush()
        }
        reader = Glibc.open(path, O_RDONLY | O_NONBLOCK)
        sink.append("two")
        sink.flush()
        #expect(readAll(reader) == "two\nevy: 6 log lines lost: Broken pipe\n")
        sink.append("three")
        sink.flush()
        #expect(readAll(reader) == "three\n")
        close(reader)
    }

    // MARK: - Sockets

    @Test func aSocketThatDoesNotReadNeverBlocks() throws {
        let pair = Pair.sockets()
        defer { pair.closeBoth() }
        let sink = try open("fd:\(pair.writer)")
        for _ in 0..<20_000 { sink.append(String(repeating: "x", count: 99)) }
        sink.flush()
        let first = readAll(pair.reader)
        sink.flush()
        let text = first + readAll(pair.reader)
        let lines = text.split(separator: "\n")
        let isWhole = lines.dropLast().allSatisfy { $0.utf8.count == 99 }
        #expect(isWhole)
        #expect(lines.last == "evy: \(20_000 - (lines.count - 1)) log lines lost: its reader is too slow")
    }

    @Test func aSocketWhosePeerLeftRaisesNoSignal() throws {
        let before = signal(SIGPIPE, SIG_DFL)
        defer { _ = signal(SIGPIPE, before) }
        let pair = Pair.sockets()
        let sink = try open("fd:\(pair.writer)")
        pair.closeBoth()
        sink.append("lost")
        sink.flush()
    }

    // MARK: - Ends

    @Test func aSinkClosesItsOwnDescriptorOnly() throws {
        let pipe = Pair.pipe()
        do {
            let sink = try open("fd:\(pipe.writer)")
            sink.append("last words")
        }
        #expect(fcntl(pipe.writer, F_GETFD) >= 0)
        close(pipe.writer)
        // Blocking read: the end of file comes only if the sink's copy is closed as well.
        var room = [UInt8](repeating: 0, count: 100)
        #expect(read(pipe.reader, &room, room.count) == 11)
        #expect(read(pipe.reader, &room, room.count) == 0)
        close(pipe.reader)
    }
}
