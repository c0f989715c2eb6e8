import ChatJobs
import Testing

@testable import Answering

/// Which endpoint of a model is asked, and which is left alone.
@Suite struct EndpointBookTests {
    private var book = EndpointBook(weights: [1, 1, 1], timeout: .seconds(60))
    private let order = [0, 1, 2]

    private mutating func begin(_ tried: Set<Int> = [], at now: Double = 0) -> Int? {
        book.begin(order, without: tried, now: .seconds(now))
    }

    /// A call to the endpoint, which ends like that.
    private mutating func call(
        _ place: Int, _ verdict: EndpointBook.Verdict, after length: Double = 1, at now: Double = 0
    ) {
        let others = Set(order).subtracting([place])
        #expect(book.begin(order, without: others, now: .seconds(now)) == place)
        book.end(place, verdict, after: .seconds(length), now: .seconds(now))
    }

    @Test mutating func aLoneCallGoesWhereItsPromptIsKnown() {
        for _ in 0..<5 {
            #expect(begin() == 0)
            book.end(0, .answered, after: .seconds(1), now: .zero)
        }
    }

    @Test mutating func noneHasMuchMoreThanItsShare() {
        var calls = [0, 0, 0]
        for _ in 0..<120 { if let place = begin() { calls[place] += 1 } }
        #expect(calls == [50, 50, 20])
    }

    @Test func aShareIsByWeight() {
        var book = EndpointBook(weights: [1, 3], timeout: .seconds(60))
        var calls = [0, 0]
        for _ in 0..<80 { if let place = book.begin([0, 1], without: [], now: .zero) { calls[place] += 1 } }
        #expect(calls == [25, 55])
    }

    @Test mutating func whoIsAbsentIsOutAtOnceAndBackAfterAProbeWithOneCall() {
        call(0, .absent(retryAfter: nil))
        #expect(begin() == 1)
        #expect(book.dueProbes(now: .milliseconds(900)) == [])
        #expect(book.dueProbes(now: .seconds(1)) == [0])
        #expect(book.dueProbes(now: .seconds(1)) == [], "one probe at a time")
        book.probed(0, isThere: false, now: .seconds(1))
        #expect(book.dueProbes(now: .seconds(2)) == [])
        #expect(book.dueProbes(now: .seconds(3)) == [0])
        book.probed(0, isThere: true, now: .seconds(3))
        #expect(begin(at: 3) == 0)
        #expect([begin(at: 3), begin(at: 3)].contains(0) == false, "its first call is not back")
        book.end(0, .answered, after: .seconds(1), now: .seconds(4))
        #expect(begin(at: 4) == 0)
    }

    @Test mutating func aPauseIsKeptAndEndsByItself() {
        call(0, .paused(for: .seconds(7)))
        #expect(begin(at: 6.9) == 1)
        #expect(book.dueProbes(now: .seconds(6.9)) == [])
        #expect(begin(at: 7) == 0)
    }

    @Test mutating func whoSpoilsOneCallIsAskedLastAndWhoSpoilsThreeIsOut() {
        call(0, .ill)
        #expect(book.isUp(0) && begin() == 1)
        call(0, .ill)
        call(0, .ill)
        #expect(!book.isUp(0))
    }

    @Test mutating func theLastThatIsInIsNotPutOutForWhatItAnswers() {
        for place in order { for _ in 0..<5 where book.isUp(place) { call(place, .ill) } }
        #expect(order.map(book.isUp) == [false, false, true])
        #expect(begin() == 2)
        #expect(!book.hasOther(than: 2))
    }

    @Test mutating func aTimeOutCountsWhenTheTimeWasLong() {
        call(1, .answered, after: 2)
        for _ in 0..<5 { call(0, .late, after: 1) }
        #expect(begin() == 0)
        book.end(0, .nothing, after: .zero, now: .zero)
        for _ in 0..<3 { call(0, .late, after: 9) }
        #expect(!book.isUp(0))
    }

    @Test mutating func whoSaysNothingForLongIsNotFilledUpWithCalls() {
        book = EndpointBook(weights: [9, 1, 1], timeout: .seconds(60))
        #expect(begin() == 0)
        #expect(begin(at: 4) == 0)
        #expect(begin(at: 6) == 1)
        // Its first answer shows that it was only slow.
        book.end(0, .answered, after: .seconds(7), now: .seconds(7))
        #expect(begin(at: 7) == 0)
    }

    @Test mutating func whatWasTriedIsNotTriedAgain() {
        #expect(begin([0]) == 1)
        #expect(begin([0, 1, 2]) == nil)
    }

    @Test mutating func withAllOutNobodyIsAskedAndItIsKnownForHowLong() {
        call(0, .paused(for: .seconds(9)))
        call(1, .paused(for: .seconds(4)))
        #expect(book.firstReturn(now: .zero) == nil)
        call(2, .paused(for: .seconds(5)))
        #expect(begin() == nil && book.isPaused)
        #expect(book.firstReturn(now: .seconds(1)) == .seconds(3))
    }

    // MARK: - Order

    private static let names = (1...8).map { (name: "http://10.0.0.\($0)/v1", weight: $0 == 8 ? 3 : 1) }

    @Test func promptsThatBeginAlikePreferTheSameAndOthersSpreadByWeight() {
        var first = [Int](repeating: 0, count: 8)
        for number in 0..<10_000 {
            let order = EndpointOrder.order(of: Self.names, for: "agent \(number)")
            #expect(order.sorted() == Array(0..<8))
            first[order[0]] += 1
        }
        // Of ten shares three are the heavy one's.
        #expect((2_700...3_300).contains(first[7]))
        #expect(first[..<7].allSatisfy { (850...1_150).contains($0) })
    }

    @Test func whenOneGoesOnlyItsOwnPromptsChangePlace() {
        for number in 0..<500 {
            let key = "agent \(number)"
            let all = EndpointOrder.order(of: Self.names, for: key)
            let fewer = EndpointOrder.order(of: Array(Self.names.dropFirst()), for: key).map { $0 + 1 }
            #expect(fewer == all.filter { $0 != 0 })
        }
    }
}
