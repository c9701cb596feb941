// SPDX-License-Identifier: MIT
// HTTP1Feed - plays a connection to the pure rooms: pieces of bytes in, one line of outcome per request out.
// Room: tests.

@testable import EvyCore

struct HTTP1Feed {
    var limits = HTTPLimits()
    var laxness: HTTPLaxness = []

    private(set) var outcomes: [String] = []
    private var bytes: [UInt8] = []
    private var headStart = 0
    private var position = 0
    private var parser = HTTP1HeadParser()
    private var reader: HTTP1BodyReader?
    private var facts = ""
    private var keepsAlive = true
    private var body: [UInt8] = []
    /// Of all requests, as they came.
    private(set) var trailers: [UInt8] = []
    private var trailersOfOthers = 0
    /// Refused, or the client wanted no more: nothing further is read.
    private var isOver = false

    init(limits: HTTPLimits = HTTPLimits(), laxness: HTTPLaxness = []) {
        self.limits = limits
        self.laxness = laxness
    }

    /// What becomes of `bytes` when they arrive cut at `cuts`.
    func outcomes(of bytes: [UInt8], cutAt cuts: [Int]) -> [String] {
        var feed = HTTP1Feed(limits: limits, laxness: laxness)
        var lower = 0
        for cut in cuts + [bytes.count] {
            feed.receive(bytes[lower..<cut])
            lower = cut
        }
        return feed.finished()
    }

    mutating func receive(_ piece: ArraySlice<UInt8>) {
        bytes += piece
        while !isOver, step() {}
    }

    private func finished() -> [String] {
        if isOver { return outcomes }
        if reader != nil { return outcomes + ["\(facts) body=\(Self.escaped(body)) and more"] }
        return headStart < bytes.count ? outcomes + ["more"] : outcomes
    }

    private mutating func step() -> Bool {
        reader == nil ? readHead() : readBody()
    }

    private mutating func readHead() -> Bool {
        guard headStart < bytes.count else { return false }
        // Fresh slots and a fresh head each time: the parser must not rely on what it left in the last ones.
        var slots = [FieldSlot](repeating: .empty, count: limits.headerCountMax)
        var head = RequestHead()
        head.minorVersion = 0
        let prefix = Array(bytes[headStart...])
        do throws(HTTPError) {
            var span = slots.mutableSpan
            let isComplete = try parser.parse(
                prefix.span.bytes, limits: limits, laxness: laxness, fields: &span, head: &head)
            guard isComplete else { return false }
        } catch {
            outcomes.append("\(error.status) \(error.reason)")
            isOver = true
            return false
        }
        facts = describe(head, slots, prefix)
        keepsAlive = head.keepAlive
        reader = HTTP1BodyReader(framing: head.framing, limits: limits)
        body = []
        position = headStart + head.byteCount
        return true
    }

    private mutating func readBody() -> Bool {
        guard var current = reader else { return false }
        defer { if reader != nil { reader = current } }
        do throws(HTTPError) {
            switch try current.read(bytes.span.bytes, from: position) {
            case .data(let start, let count, let next):
                body += bytes[start..<start + count]
                position = next
                return true
            case .trailer(let start, let count, let next):
                trailers += bytes[start..<start + count]
                position = next
                return true
            case .needMore(let next):
                position = next
                return false
            case .end(let next):
                outcomes.append("\(facts) body=\(Self.escaped(body))\(trailerWords())")
                isOver = !keepsAlive
                headStart = next
                parser = HTTP1HeadParser()
                reader = nil
                return true
            }
        } catch {
            outcomes.append("\(facts) body=\(Self.escaped(body)) and \(error.status) \(error.reason)")
            isOver = true
            return false
        }
    }

    /// " trailers=1 trailer(Name)=value": those of this request that the application would see.
    private mutating func trailerWords() -> String {
        let own = Array(trailers[trailersOfOthers...])
        trailersOfOthers = trailers.count
        var pairs = ByteBuffer()
        HTTP1Trailers.writePairs(own.span.bytes, into: &pairs)
        let texts = Array(pairs.readable).split(separator: 0, omittingEmptySubsequences: false).dropLast()
        var words = " trailers=\(texts.count / 2)"
        for at in stride(from: 0, to: texts.count - 1, by: 2) {
            words += " trailer(\(Self.escaped(texts[at])))=\(Self.escaped(texts[at + 1]))"
        }
        return words
    }

    private func describe(_ head: RequestHead, _ slots: [FieldSlot], _ prefix: [UInt8]) -> String {
        func text(_ range: ByteRange) -> String { Self.escaped(prefix[range.lower..<range.upper]) }
        var words = ["ok", text(head.methodName), "path=\(text(head.path))", "HTTP/1.\(head.minorVersion)"]
        if head.hasQuery { words.append("query=\(text(head.query))") }
        words.append("authority=\(text(head.authority))")
        words.append(head.keepAlive ? "keep-alive" : "close")
        if head.echoesKeepAlive { words.append("echo") }
        words.append(head.expectsContinue ? "100-continue" : "no-100-continue")
        words.append(head.upgrade ? "upgrade" : "no-upgrade")
        switch head.framing {
        case .none: words.append("framing=none")
        case .length(let length): words.append("framing=\(length)")
        case .chunked: words.append("framing=chunked")
        }
        words.append("fields=\(head.fieldCount)")
        for slot in slots[..<head.fieldCount] {
            let name = text(slot.name)
            let value = prefix[slot.value.lower..<slot.value.upper]
            let unfolded = value.map { $0 == 0x0d || $0 == 0x0a ? UInt8(0x20) : $0 }
            words.append(
                slot.isFolded ? "folded(\(name))=\(Self.escaped(unfolded))" : "\(name)=\(text(slot.value))")
        }
        return words.joined(separator: " ")
    }

    /// Printable text without blanks, one for one with the bytes.
    static func escaped(_ bytes: some Sequence<UInt8>) -> String {
        let plain = Array(bytes)
        if plain.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x5c }) {
            return String(decoding: plain, as: UTF8.self)
        }
        var text = ""
        for byte in plain {
            if byte > 0x20, byte < 0x7f, byte != 0x5c {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16)
                text += hex.count == 1 ? "\\x0\(hex)" : "\\x\(hex)"
            }
        }
        return text
    }
}
