import Testing

@testable import Answering

@Suite struct GateTests {
    private func rank(_ priority: Int, _ deadline: Int64 = .max, _ arrival: UInt64 = 0) -> Rank {
        Rank(priority: priority, deadline: deadline, arrival: arrival)
    }

    private func gate(_ limit: Int) -> Gate { Gate(ceiling: limit, maxWait: .seconds(60)) }

    /// Everybody who waits, in the order in which they start.
    private func order(_ gate: inout Gate, now: Duration = .zero) -> [UInt64] {
        var order: [UInt64] = []
        while true {
            gate.leave(.unanswered, now: .zero)
            guard let next = gate.next(now: now) else { return order }
            order.append(next)
        }
    }

    @Test func startsAtOnceUpToItsLimit() {
        var gate = gate(2)
        let started = (1...3).map { gate.enter(rank(0), token: $0, now: .zero) }
        #expect(started == [true, true, false])
        #expect(gate.running == 2)
        #expect(gate.queued == 1)
    }

    @Test func givesAFreePlaceToTheBestRank() {
        var gate = gate(1)
        _ = gate.enter(rank(4), token: 1, now: .zero)
        for (token, rank) in [(2, rank(0)), (3, rank(9, 50)), (4, rank(9, 10)), (5, rank(9, 10, 7))] {
            _ = gate.enter(rank, token: UInt64(token), now: .zero)
        }
        #expect(order(&gate) == [4, 5, 3, 2])
        #expect(gate.running == 0)
    }

    @Test func whoHasWaitedLongEnoughGoesBeforeEverybody() {
        var gate = gate(1)
        _ = gate.enter(rank(4), token: 1, now: .zero)
        _ = gate.enter(rank(0), token: 2, now: .zero)
        _ = gate.enter(rank(0), token: 3, now: .seconds(1))
        _ = gate.enter(rank(9), token: 4, now: .seconds(30))
        _ = gate.enter(rank(5), token: 5, now: .seconds(30))
        #expect(order(&gate, now: .seconds(60)) == [2, 4, 5, 3])
    }

    @Test func passesOverThoseWhoGaveUp() {
        var gate = gate(1)
        _ = gate.enter(rank(4), token: 1, now: .zero)
        _ = gate.enter(rank(9), token: 2, now: .zero)
        _ = gate.enter(rank(1), token: 3, now: .zero)
        gate.withdraw(2)
        #expect(gate.queued == 1)
        #expect(order(&gate, now: .seconds(100)) == [3])
        #expect(gate.running == 0)
    }

    @Test func afterAnOutageTheLimitDoublesWithEachRoundOfCalls() {
        var gate = gate(512)
        gate.restart()
        var rounds: [Int] = []
        while gate.limit < 512 {
            rounds.append(gate.limit)
            for _ in 0..<gate.limit { gate.leave(.answered(after: .zero), now: .zero) }
        }
        #expect(rounds == [1, 2, 4, 8, 16, 32, 64, 128, 256])
        gate.leave(.answered(after: .zero), now: .zero)
        #expect(gate.limit == 512)
    }

    @Test func slowingDownHalvesWhatRuns() {
        var gate = gate(512)
        for token in 1...20 as ClosedRange<UInt64> { _ = gate.enter(rank(4), token: token, now: .zero) }
        gate.leave(.overloaded, now: .zero)
        #expect(gate.limit == 10)
        let next = gate.next(now: .zero)
        #expect(next == nil)
    }

    @Test func everybodyCanBeSentAway() {
        var gate = gate(1)
        for token in 1...4 as ClosedRange<UInt64> { _ = gate.enter(rank(4), token: token, now: .zero) }
        let gone = gate.withdrawAll()
        #expect(gone == [2, 3, 4])
        #expect(gate.queued == 0)
        #expect(order(&gate).isEmpty)
    }
}
