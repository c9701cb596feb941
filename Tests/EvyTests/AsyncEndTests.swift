// SPDX-License-Identifier: MIT
// AsyncEndTests - tasks that end ahead of a body, an answer or a client, and what they leave to others.
@testable internal import Evy
internal import Testing

private let upload = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n0123456789"

extension AsyncTests {
    @Test(arguments: ["throws", "returns"])
    func aTaskThatEndsInMidBodyIsAnswered500(how: String) async throws {
        let ends = Collector<Outcome.End?>()
        let server = try serving { request in
            try request.request.onComplete { _, outcome in ends.add(outcome.end) }
            for try await _ in request.body {
                if how == "throws" { throw Refusal() }
                break
            }
        }
        let port = server.port
        let line = try await client {
            let client = try RawClient(port: port)
            client.send(upload)
            let line = try client.answer().statusLine
            _ = try ends.wait(for: 1)
            try eventually("the request's end") { server.counters[.requestsActive] == 0 }
            return line
        }
        #expect(line.hasPrefix("HTTP/1.1 500") && ends.all == [.handlerError])
    }

    /// A task that was slow to let the body flow has let in a piece too many.
    @Test func aPieceThatComesBeforeTheLastOneIsTakenIsKeptToo() async throws {
        let pieces = PieceQueue()
        #expect(pieces.isEmpty && !pieces.put([1, 2]) && !pieces.put([3]) && !pieces.isEmpty)
        var roomMade = 0
        #expect(try await pieces.next { roomMade += 1 } == [1, 2, 3])
        #expect(pieces.isEmpty && !pieces.put([4]))
        pieces.end(.success(()))
        pieces.end(.failure(Refusal()))
        #expect(try await pieces.next { roomMade += 1 } == [4])
        #expect(try await pieces.next { roomMade += 1 } == nil)
        #expect(roomMade == 2)
    }

    @Test func aWriterOfAnotherTaskGoesOnWhenItsClientLeaves() async throws {
        let (seen, ends) = (Collector<String>(), Collector<Outcome.End?>())
        let server = try serving(highWater: 100_000) { request in
            try request.request.onComplete { _, outcome in ends.add(outcome.end) }
            let writer = try request.begin(.ok)
            Task {
                do {
                    while true { try await writer.write([UInt8](repeating: 0x79, count: 100_000)) }
                } catch { seen.add(code(error)) }
            }
        }
        let port = server.port
        try await client {
            do {
                let client = try RawClient(port: port, receiveBuffer: 65536)
                client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                try eventually("a full window") { try client.holdsBack }
                client.resetOnClose()
            }
            _ = try ends.wait(for: 1)
            _ = try seen.wait(for: 1)
        }
        #expect(seen.all == ["gone"] && ends.all == [.clientReset])
    }

    @Test func aReaderOfAnotherTaskGoesOnWhenTheRequestEnds() async throws {
        let (begun, seen) = (Collector<Bool>(), Collector<String>())
        let (opened, door) = AsyncStream.makeStream(of: Void.self)
        let server = try serving { request in
            let body = request.body
            Task {
                do {
                    for try await _ in body {
                        begun.add(true)
                        door.yield()
                    }
                    seen.add("end")
                } catch { seen.add(code(error)) }
            }
            for await _ in opened { break }
            // Later ones are held until their client has gone.
            if begun.all.count == 1 {
                try request.respond(.ok, headers: ["Connection": "close"], body: "early")
            } else {
                try await Task.sleep(for: .seconds(3600))
            }
        }
        let port = server.port
        let text = try await client {
            let first = try RawClient(port: port)
            first.send(upload)
            let text = try first.answer().text
            _ = try seen.wait(for: 1)
            do {
                let second = try RawClient(port: port)
                second.send(upload)
                _ = try begun.wait(for: 2)
                second.resetOnClose()
            }
            _ = try seen.wait(for: 2)
            return text
        }
        #expect(text == "early" && seen.all == ["wrongState", "gone"])
    }

    @Test func aBodyThatCannotBeReadSaysSoEachTime() async throws {
        let seen = Collector<String>()
        let server = try serving { request in
            for try await _ in request.body {}
            let second = request.body.makeAsyncIterator()
            for _ in 0..<2 {
                do { seen.add("\(try await second.next()?.count ?? -1)") } catch { seen.add(code(error)) }
            }
            try request.respond(.ok, body: "read")
        }
        let port = server.port
        #expect(try await client { try RawClient(port: port).get("/").text } == "read")
        #expect(seen.all == ["wrongState", "wrongState"])
    }

    @Test func theNoticeOfAClientThatLeavesIsInUse() async throws {
        let seen = Collector<String>()
        let server = try serving { request in
            do { try request.request.onGone { _ in } } catch { seen.add(code(error)) }
            try request.respond(.ok)
        }
        let port = server.port
        try await client { _ = try RawClient(port: port).get("/") }
        #expect(seen.all == ["wrongState"])
    }
}
