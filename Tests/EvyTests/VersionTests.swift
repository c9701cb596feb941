// SPDX-License-Identifier: MIT
// VersionTests - the version is reachable from Swift and says the same twice.
import Evy
import Testing

@Test func versionTextAndNumberAgree() {
    let number = Library.versionNumber
    let text = "\(number >> 16).\(number >> 8 & 0xff).\(number & 0xff)"
    #expect(Library.version.hasPrefix(text))
}
