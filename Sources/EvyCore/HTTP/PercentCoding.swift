// SPDX-License-Identifier: MIT
// PercentCoding - turns percent-encoded bytes of a path into the bytes they stand for.
// Room: HTTP (pure). Spec: RFC 3986 section 2.1.

enum PercentCoding {
    /// Decodes once, into room for as many bytes as `raw` has; what is not two hex digits stays as it is.
    /// Returns how many bytes came out.
    static func decode(_ raw: UnsafeRawBufferPointer, into room: UnsafeMutablePointer<UInt8>) -> Int {
        var count = 0
        var index = 0
        while index < raw.count {
            var byte = raw[index]
            index += 1
            if byte == 0x25, index + 1 < raw.count, ASCII.isHexDigit(raw[index]),
                ASCII.isHexDigit(raw[index + 1])
            {
                byte = ASCII.hexValue(raw[index]) << 4 | ASCII.hexValue(raw[index + 1])
                index += 2
            }
            // SAFETY: every byte that comes out stands for at least one that went in.
            room[count] = byte
            count += 1
        }
        return count
    }
}
