import Testing

@testable import Answering

/// When a second call is worth it, and whether it can be paid for.
@Suite struct HedgeBookTests {
    @Test func aSecondCallIsWorthItAfterWhat95Of100Took() {
        var recent = RecentDurations()
        for time in 1..<RecentDurations.fewest {
            recent.add(.seconds(time))
            #expect(recent.late == nil)
        }
        for time in RecentDurations.fewest...100 { recent.add(.seconds(time)) }
        // As of a few calls ago.
        #expect((.seconds(88) ... .seconds(96)).contains(recent.late ?? .zero))
    }

    @Test func whatWasLongAgoCountsNoMore() {
        var recent = RecentDurations()
        for _ in 0..<1_000 { recent.add(.seconds(60)) }
        for _ in 0..<300 { recent.add(.seconds(1)) }
        #expect(recent.late == .seconds(1))
    }

    @Test func twoOfAHundredCallsAreMadeTwiceAndFewAtOnce() {
        var book = HedgeBook()
        var paid = 0
        for _ in 0..<10_000 {
            _ = book.began(streams: false)
            if book.canPay {
                book.pay()
                paid += 1
            }
        }
        #expect((195...200).contains(paid))
        for _ in 0..<10_000 { _ = book.began(streams: false) }
        paid = 0
        while book.canPay {
            book.pay()
            paid += 1
        }
        #expect(paid <= 4)
    }

    @Test func answersAndFirstPiecesAreTimedApart() {
        var book = HedgeBook()
        for _ in 0..<100 {
            book.came(after: .seconds(9), streams: false)
            book.came(after: .seconds(1), streams: true)
        }
        #expect(book.began(streams: false) == .seconds(9))
        #expect(book.began(streams: true) == .seconds(1))
    }
}
