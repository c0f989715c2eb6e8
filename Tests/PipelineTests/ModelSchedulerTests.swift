import Testing

@testable import Pipeline

@Suite struct ModelSchedulerTests {
    private func rank(_ priority: Int, _ deadline: Int64 = .max, _ arrival: UInt64 = 0) -> Rank {
        Rank(priority: priority, deadline: deadline, arrival: arrival)
    }

    private func scheduler(_ limit: Int) -> ModelScheduler { ModelScheduler(limit: limit, maxWait: .seconds(60)) }

    /// Everybody who waits, in the order in which they start.
    private func order(_ scheduler: inout ModelScheduler, now: Duration = .zero) -> [UInt64] {
        var order: [UInt64] = []
        while true {
            scheduler.finish()
            guard let next = scheduler.next(now: now) else { return order }
            order.append(next)
        }
    }

    @Test func startsAtOnceUpToItsLimit() {
        var scheduler = scheduler(2)
        let started = (1...3).map { scheduler.start(rank(0), token: $0, now: .zero) }
        #expect(started == [true, true, false])
        #expect(scheduler.running == 2)
        #expect(scheduler.queued == 1)
    }

    @Test func givesAFreePlaceToTheBestRank() {
        var scheduler = scheduler(1)
        _ = scheduler.start(rank(4), token: 1, now: .zero)
        for (token, rank) in [(2, rank(0)), (3, rank(9, 50)), (4, rank(9, 10)), (5, rank(9, 10, 7))] {
            _ = scheduler.start(rank, token: UInt64(token), now: .zero)
        }
        #expect(order(&scheduler) == [4, 5, 3, 2])
        #expect(scheduler.running == 0)
    }

    @Test func whoHasWaitedLongEnoughGoesBeforeEverybody() {
        var scheduler = scheduler(1)
        _ = scheduler.start(rank(4), token: 1, now: .zero)
        _ = scheduler.start(rank(0), token: 2, now: .zero)
        _ = scheduler.start(rank(0), token: 3, now: .seconds(1))
        _ = scheduler.start(rank(9), token: 4, now: .seconds(30))
        _ = scheduler.start(rank(5), token: 5, now: .seconds(30))
        #expect(order(&scheduler, now: .seconds(60)) == [2, 4, 5, 3])
    }

    @Test func passesOverThoseWhoGaveUp() {
        var scheduler = scheduler(1)
        _ = scheduler.start(rank(4), token: 1, now: .zero)
        _ = scheduler.start(rank(9), token: 2, now: .zero)
        _ = scheduler.start(rank(1), token: 3, now: .zero)
        scheduler.withdraw(2)
        #expect(scheduler.queued == 1)
        #expect(order(&scheduler, now: .seconds(100)) == [3])
        #expect(scheduler.running == 0)
    }

    @Test func afterAnOutageTheLimitDoublesWithEachRoundOfCalls() {
        var scheduler = scheduler(512)
        scheduler.restart()
        var rounds: [Int] = []
        while scheduler.limit < 512 {
            rounds.append(scheduler.limit)
            for _ in 0..<scheduler.limit { scheduler.answered(after: .zero) }
        }
        #expect(rounds == [1, 2, 4, 8, 16, 32, 64, 128, 256])
        scheduler.answered(after: .zero)
        #expect(scheduler.limit == 512)
    }

    @Test func slowingDownHalvesWhatRuns() {
        var scheduler = scheduler(512)
        for token in 1...20 as ClosedRange<UInt64> { _ = scheduler.start(rank(4), token: token, now: .zero) }
        scheduler.narrow()
        #expect(scheduler.limit == 10)
        let next = scheduler.next(now: .zero)
        #expect(next == nil)
    }

    @Test func everybodyCanBeSentAway() {
        var scheduler = scheduler(1)
        for token in 1...4 as ClosedRange<UInt64> { _ = scheduler.start(rank(4), token: token, now: .zero) }
        let gone = scheduler.withdrawAll()
        #expect(gone == [2, 3, 4])
        #expect(scheduler.queued == 0)
        #expect(order(&scheduler).isEmpty)
    }
}
