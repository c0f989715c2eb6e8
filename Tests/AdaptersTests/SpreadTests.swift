import Testing

@testable import Adapters

@Suite struct SpreadTests {
    @Test func numbersAreSpreadEvenlyOverTheirRange() {
        let spread = Spread()
        var bins = [Int](repeating: 0, count: 10)
        for _ in 0..<100_000 {
            let number = spread.next()
            #expect(number >= -1 && number < 1)
            bins[Int((number + 1) * 5)] += 1
        }
        // Six standard deviations: by chance once in a hundred million runs.
        #expect(bins.allSatisfy { abs($0 - 10_000) < 570 }, "\(bins)")
    }

    @Test func noTwoAreAlike() {
        let (one, other) = (Spread(), Spread())
        #expect(Set((0..<1000).flatMap { _ in [one.next(), other.next()] }).count == 2000)
    }
}
