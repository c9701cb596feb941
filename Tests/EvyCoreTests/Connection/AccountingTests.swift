// SPDX-License-Identifier: MIT
// AccountingTests - framing and body stay told apart however the kernel cuts what it takes.
// Room under test: Connection/Accounting (pure).

import Testing

@testable import EvyCore

@Suite struct AccountingTests {
    private struct Run {
        let count: Int
        let isBody: Bool
    }

    /// What a byte-by-byte bookkeeper would say after `taken` bytes.
    private static func bodyBytes(_ runs: [Run], taken: Int) -> Int {
        var left = taken
        var body = 0
        for run in runs {
            let part = min(left, run.count)
            if run.isBody { body += part }
            left -= part
        }
        return body
    }

    private static let chunked = [
        Run(count: 150, isBody: false), Run(count: 4, isBody: false), Run(count: 10, isBody: true),
        Run(count: 6, isBody: false), Run(count: 1, isBody: true), Run(count: 2, isBody: false),
        Run(count: 5, isBody: false), Run(count: 70_000, isBody: true), Run(count: 7, isBody: false),
    ]

    @Test(arguments: [1, 2, 3, 7, 149, 150, 151, 160, 170, 1_000, 69_999, 80_000])
    func framingAndBodyAreToldApartForEveryCut(step: Int) {
        var account = Accounting()
        for run in Self.chunked {
            if run.isBody { account.queueBody(run.count) } else { account.queueFraming(run.count) }
        }
        let total = Self.chunked.reduce(0) { $0 + $1.count }
        #expect(account.wireQueued == UInt64(total))
        var taken = 0
        while taken < total {
            account.take(UInt64(step))
            taken = min(taken + step, total)
            #expect(account.wireSent == UInt64(taken))
            #expect(account.bodySent == UInt64(Self.bodyBytes(Self.chunked, taken: taken)))
            #expect(account.headSent + account.bodySent == account.wireSent)
        }
        #expect(account.isDrained == true)
    }

    @Test func queueingAndTakingMayAlternate() {
        var account = Accounting()
        var body: UInt64 = 0
        account.queueFraming(100)
        account.take(40)
        for size in 1...50 {
            account.queueFraming(3)
            account.queueBody(size)
            body += UInt64(size)
            account.take(UInt64(size))
        }
        account.take(UInt64.max)
        #expect(account.isDrained == true)
        #expect(account.bodySent == body)
        #expect(account.headSent == 100 + 3 * 50)
    }

    @Test func takingMoreThanWasQueuedTakesWhatThereIs() {
        var account = Accounting()
        account.queueBody(5)
        account.take(9)
        #expect(account.wireSent == 5)
        #expect(account.bodySent == 5)
    }

    @Test func theAcknowledgedPartLiesBetweenNothingAndAll() {
        var account = Accounting()
        account.queueFraming(100)
        account.queueBody(900)
        account.take(1_000)
        account.socketStart = 5_000
        account.socketEnd = 6_000
        #expect(account.ackedPart(-1) == -1)
        #expect(account.ackedPart(4_000) == 0)
        #expect(account.ackedPart(5_400) == 400)
        #expect(account.ackedPart(9_000) == 1_000)
    }

    @Test func cipherBytesAreMappedBackByTheirShare() {
        var account = Accounting()
        account.queueBody(10_000)
        account.take(10_000)
        account.socketStart = 0
        account.socketEnd = 10_220
        #expect(account.ackedPart(10_220) == 10_000)
        #expect(abs(account.ackedPart(5_110) - 5_000) <= 1)
    }
}
