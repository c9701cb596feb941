// SPDX-License-Identifier: MIT
// AsyncTests - handlers that are tasks: answers, bodies as sequences, back pressure, cancellation, drain.
internal import Evy
internal import Glibc
internal import Synchronization
internal import Testing

/// Handlers are tasks here: run apart from tests that block the threads of tasks (Tests/unit.sh).
@Suite struct AsyncTests {
    @Test func aTaskThatThrowsOrSaysNothingIsAnswered500() async throws {
        let log = Collector<String>()
        let ends = Collector<Outcome.End?>()
        let server = try serving(log: log) { request in
            try request.request.onComplete { _, outcome in ends.add(outcome.end) }
            try await Task.sleep(for: .milliseconds(1))
            switch request.request.path {
            case "/throws": throw Refusal()
            case "/silent": break
            default: try request.respond(.ok, body: "a task's")
            }
        }
        let port = server.port
        let lines = try await client {
            try ["/throws", "/silent", "/good"].map { try RawClient(port: port).get($0).statusLine }
        }
        #expect(lines.map { $0.prefix(12) } == ["HTTP/1.1 500", "HTTP/1.1 500", "HTTP/1.1 200"])
        try await client { _ = try ends.wait(for: 3) }
        #expect(ends.all == [.handlerError, .handlerError, .complete])
        #expect(log.all.contains { $0.hasPrefix("handler of GET /throws failed: Refusal") }, "\(log.all)")
        #expect(!log.all.contains { $0.contains("/silent failed") })
    }

    @Test(arguments: [Options.BodyMode.stream, .buffer])
    func aBodyIsASequenceOfPieces(mode: Options.BodyMode) async throws {
        let server = try serving(body: mode) { request in
            var (sum, count) = (0, 0)
            for try await piece in request.body {
                #expect(!piece.isEmpty)
                sum += piece.reduce(0) { $0 + Int($1) }
                count += piece.count
            }
            try request.respond(.ok, body: "\(count) \(sum)")
        }
        let port = server.port
        let texts = try await client {
            let client = try RawClient(port: port)
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n")
            client.send([UInt8](repeating: 2, count: 300_000))
            let sized = try client.answer().text
            client.send(
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3\r\n\u{1}\u{1}\u{1}\r\n2\r\n\u{1}\u{1}\r\n0\r\n\r\n")
            return [sized, try client.answer().text, try client.get("/").text]
        }
        #expect(texts == ["300000 600000", "5 5", "0 0"])
    }

    @Test func aBodyIsCollectedUpToALimitAndIteratedOnce() async throws {
        let seen = Collector<String>()
        let server = try serving { request in
            do {
                seen.add("\(try await request.body.collect(upTo: 10).count)")
            } catch { seen.add(code(error)) }
            do { for try await _ in request.body {} } catch { seen.add(code(error)) }
            try request.respond(.ok, headers: ["Connection": "close"])
        }
        let port = server.port
        try await client {
            for body in ["0123456789", "0123456789A"] {
                let client = try RawClient(port: port)
                client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                _ = try client.answer()
            }
        }
        #expect(seen.all == ["10", "wrongState", "limit", "wrongState"])
    }

    @Test func aTaskThatDoesNotReadHoldsItsClientBack() async throws {
        let (opened, door) = AsyncStream.makeStream(of: Void.self)
        let server = try serving { request in
            var count = 0
            for try await piece in request.body {
                if count == 0 { for await _ in opened { break } }
                count += piece.count
            }
            try request.respond(.ok, body: "\(count)")
        }
        let (port, total) = (server.port, 15_000_000)
        async let text = client {
            let client = try RawClient(port: port)
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(total)\r\n\r\n")
            client.send([UInt8](repeating: 3, count: total))
            return try client.answer().text
        }
        let taken = try await client {
            // The server has stopped to read when what it got stays the same.
            var last: Int64 = -1
            try eventually("a server that reads no more") {
                defer { last = server.counters[.bytesIn] }
                usleep(50_000)
                return last > 1000 && server.counters[.bytesIn] == last
            }
            return last
        }
        #expect(taken < 5_000_000, "\(taken) bytes were taken that nobody read")
        door.yield()
        #expect(try await text == "\(total)")
    }

    @Test func aWriterIsSuspendedUntilItsClientReads() async throws {
        let written = Atomic<Int>(0)
        let server = try serving(highWater: 100_000) { request in
            let writer = try request.begin(.ok)
            for _ in 0..<400 {
                try await writer.write([UInt8](repeating: 0x79, count: 50_000))
                written.add(1, ordering: .relaxed)
            }
            try writer.end(trailers: ["X-Sum": "right"])
            #expect(throws: EvyError.self) { try writer.end() }
        }
        let port = server.port
        let count = try await client {
            let client = try RawClient(port: port, receiveBuffer: 65536)
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            try eventually("a full window") { try written.load(ordering: .relaxed) > 0 && client.holdsBack }
            // What the kernel takes is bounded, and the task waits for it without a thread.
            var last = -1
            try eventually("a writer that waits") {
                defer { last = written.load(ordering: .relaxed) }
                usleep(50_000)
                return last == written.load(ordering: .relaxed)
            }
            #expect(last < 400, "everything was written to a client that does not read")
            try eventually("no thread that waits with it") { server.counters[.threadsBusy] == 0 }
            var (count, line) = (0, "")
            repeat { line = try client.line() } while !line.isEmpty
            while let size = Int(try client.line(), radix: 16), size > 0 {
                count += try client.receive(size).count
                _ = try client.receive(2)
            }
            #expect(try client.line() == "X-Sum: right")
            return count
        }
        #expect(count == 20_000_000)
    }

    @Test func aTaskIsCancelledWhenItsClientLeaves() async throws {
        let (begun, seen) = (Collector<Bool>(), Collector<String>())
        let ends = Collector<Outcome.End?>()
        let server = try serving { request in
            begun.add(true)
            try request.request.onComplete { _, outcome in ends.add(outcome.end) }
            do {
                switch request.request.path {
                case "/sleep": try await Task.sleep(for: .seconds(3600))
                case "/body": for try await _ in request.body {}
                default:
                    let writer = try request.begin(.ok)
                    while true { try await writer.write([UInt8](repeating: 0, count: 100_000)) }
                }
            } catch {
                let reason = ["CancellationError", "gone"].contains(code(error)) ? "told" : code(error)
                seen.add("\(request.request.path) \(reason) \(Task.isCancelled) \(request.request.isGone)")
                throw error
            }
        }
        let port = server.port
        try await client {
            for path in ["/sleep", "/body", "/write"] {
                let before = seen.all.count
                do {
                    let client = try RawClient(port: port, receiveBuffer: 65536)
                    let length = path == "/body" ? 5 : 0
                    client.send("POST \(path) HTTP/1.1\r\nHost: h\r\nContent-Length: \(length)\r\n\r\n")
                    _ = try begun.wait(for: before + 1)
                    if path == "/write" { try eventually("a full window") { try client.holdsBack } }
                    client.resetOnClose()
                }
                _ = try seen.wait(for: before + 1)
                _ = try ends.wait(for: before + 1)
            }
        }
        #expect(seen.all == ["/sleep told true true", "/body told true true", "/write told true true"])
        #expect(ends.all == [.clientReset, .clientReset, .clientReset])
    }

    @Test func aCancelledServeLetsRequestsFinishAndReturns() async throws {
        let (opened, door) = AsyncStream.makeStream(of: Void.self)
        var options = Options()
        options.onLog = { _, _ in }
        let server = try Server(taskPerRequestOn: .tcp("127.0.0.1", port: 0), options: options) { request in
            for await _ in opened { break }
            try request.respond(.ok, body: "finished")
        }
        let port = server.port
        let serving = Task { try await server.serve(grace: .seconds(60)) }
        let answer = Task {
            try await client {
                let answer = try RawClient(port: port).get("/")
                return "\(answer.text) \(answer.field("Connection") ?? "-")"
            }
        }
        try await client { try eventually("the request") { server.counters[.requestsActive] == 1 } }
        serving.cancel()
        try await client {
            try eventually("a closed door") { (try? RawClient(port: port)) == nil }
        }
        #expect(server.counters[.requestsActive] == 1, "the request was cut")
        door.yield()
        #expect(try await answer.value == "finished close")
        try await serving.value
        await #expect(throws: EvyError.self) { try await server.serve() }
    }

    @Test func aServeThatIsCancelledAheadEnds() async throws {
        let server = try Server(taskPerRequestOn: .tcp("127.0.0.1", port: 0)) { try $0.respond(.ok) }
        let serving = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await server.serve()
        }
        try await serving.value
        #expect(server.counters[.connectionsOpen] == 0)
    }
}
