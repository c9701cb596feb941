// SPDX-License-Identifier: MIT
// AddressRule - one entry of a list of trusted peers: an address, a network, "unix" or "*".
// Room: Proxy (pure). Spec: RFC 4632 section 3.1 (prefix notation).

struct AddressRule: BitwiseCopyable {
    private enum Kind: UInt8 { case everybody, unix, ipv4, ipv6 }

    private let kind: Kind
    private let bits: UInt128
    private let mask: UInt128

    /// bytes[range] as "*", "unix", "10.0.0.7", "10.0.0.0/8", "2001:db8::/32"; nil: none of these.
    init?(_ bytes: RawSpan, _ range: ByteRange) {
        if ASCII.equalsIgnoringCase(bytes, range, "*") {
            self.init(.everybody, 0, 0)
        } else if ASCII.equalsIgnoringCase(bytes, range, "unix") {
            self.init(.unix, 0, 0)
        } else {
            var slash = range.lower
            while slash < range.upper, bytes.byte(slash) != 0x2f { slash &+= 1 }
            guard let address = NetworkAddress(bytes, ByteRange(range.lower, slash)) else { return nil }
            let isMapped = address.family == .ipv4 && !Self.isIPv4(bytes, range.lower, slash)
            let width: UInt32 = address.family == .ipv4 ? 32 : 128
            var prefix = width
            if slash < range.upper {
                // A prefix behind ::ffff:0.0.0.0 could mean either width.
                guard !isMapped,
                    let told = NetworkAddress.decimal(bytes, ByteRange(slash &+ 1, range.upper)),
                    told <= width
                else { return nil }
                prefix = told
            }
            let all: UInt128 = width == 32 ? 0xffff_ffff : UInt128.max
            let mask = all & ~(prefix == 0 ? all : (1 << UInt128(width &- prefix)) &- 1)
            self.init(address.family == .ipv4 ? .ipv4 : .ipv6, address.bits & mask, mask)
        }
    }

    private init(_ kind: Kind, _ bits: UInt128, _ mask: UInt128) {
        self.kind = kind
        self.bits = bits
        self.mask = mask
    }

    private static func isIPv4(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Bool {
        NetworkAddress.ipv4(bytes, ByteRange(from, to)) != nil
    }

    func matches(_ address: NetworkAddress) -> Bool {
        switch kind {
        case .everybody: return true
        case .unix: return address.family == .unix
        case .ipv4: return address.family == .ipv4 && address.bits & mask == bits
        case .ipv6: return address.family == .ipv6 && address.bits & mask == bits
        }
    }
}
