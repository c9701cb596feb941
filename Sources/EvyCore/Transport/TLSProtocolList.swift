// SPDX-License-Identifier: MIT
// TLSProtocolList - turns the option alpn into an answer to a client's list of application protocols.
// Room: Transport (no system calls). Spec: RFC 7301.

internal import COpenSSL

/// The protocols in order of preference; empty: ALPN is not answered at all.
struct TLSProtocolList: Sendable {
    private let names: [[UInt8]]

    static let spoken = ["http/1.1", "http/1.0"]
    static let all = TLSProtocolList(names: spoken)

    private init(names: [String]) { self.names = names.map { Array($0.utf8) } }

    /// "http/1.1,http/1.0", or "off".
    init(option key: String, _ value: String) throws(TLSError) {
        if value == "off" {
            self.init(names: [])
            return
        }
        let wanted = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for name in wanted where !TLSProtocolList.spoken.contains(name) {
            throw .value(key, value, "has \"\(name)\", which evy does not speak (http/1.1, http/1.0, or off)")
        }
        self.init(names: wanted)
    }

    var isEmpty: Bool { names.isEmpty }

    /// The client's list is a row of length-prefixed names (RFC 7301 section 3.1). A client that offers only
    /// what we do not speak is refused with no_application_protocol, as section 3.2 asks.
    static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
            UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { ssl, chosen, chosenCount, list, listCount, _ in
            guard let chosen, let chosenCount, let list, let attachment = TLSAttachment.of(ssl) else {
                return SSL_TLSEXT_ERR_NOACK
            }
            let offered = UnsafeBufferPointer(start: list, count: Int(listCount))
            for name in attachment.protocols.names {
                guard let start = find(name, in: offered) else { continue }
                // The name may point into the client's list: OpenSSL copies it.
                chosen.pointee = list + start
                chosenCount.pointee = UInt8(truncatingIfNeeded: name.count)
                return SSL_TLSEXT_ERR_OK
            }
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }

    /// Where the bytes of `name` stand in the list.
    private static func find(_ name: [UInt8], in offered: UnsafeBufferPointer<UInt8>) -> Int? {
        var index = 0
        while index < offered.count {
            let start = index &+ 1
            let end = start &+ Int(offered[index])
            guard end <= offered.count else { return nil }
            if offered[start..<end].elementsEqual(name) { return start }
            index = end
        }
        return nil
    }
}
