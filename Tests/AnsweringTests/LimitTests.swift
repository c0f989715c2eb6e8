import Testing

@testable import Answering

/// A worker's share of the limits while the shared ones cannot be asked.
@Suite struct LocalLimitsTests {
    private func bucket(_ limits: RateLimits, _ name: String = "m") -> LimitBucket { LimitBucket(.model, name, limits) }

    private func isGranted(_ answer: LimitAnswer) -> Bool { answer == .granted }

    @Test func aMinutesWorthIsThereAtOnceAndTheRestComesEvenly() {
        var limits = LocalLimits()
        let bucket = bucket(RateLimits(requests: 3))
        for _ in 0..<3 { #expect(limits.take([bucket], tokens: 1, workers: 1, now: .zero) == .granted) }
        let refused = limits.take([bucket], tokens: 1, workers: 1, now: .zero)
        #expect(refused == .refused(wait: .seconds(20), interval: .seconds(20), bucket: 0, tokens: 0))
        #expect(limits.take([bucket], tokens: 1, workers: 1, now: .seconds(21)) == .granted)
        #expect(limits.take([bucket], tokens: 1, workers: 1, now: .seconds(22)) != .granted)
    }

    @Test func workersShareIt() {
        var limits = LocalLimits()
        let bucket = bucket(RateLimits(requests: 6, concurrent: 4))
        #expect(limits.take([bucket], tokens: 1, workers: 3, now: .zero) == .granted)
        guard case .refused(let wait, _, _, _) = limits.take([bucket], tokens: 1, workers: 3, now: .zero) else {
            Issue.record("one call at once is a third of four")
            return
        }
        #expect(wait == LocalLimits.look)
        limits.end([bucket], tokens: 0, wasMade: true)
        #expect(limits.take([bucket], tokens: 1, workers: 3, now: .zero) == .granted)
        limits.end([bucket], tokens: 0, wasMade: true)
        #expect(limits.take([bucket], tokens: 1, workers: 3, now: .zero) != .granted)
    }

    @Test func tokensAreCountedAsTheyWereUsed() {
        var limits = LocalLimits()
        let bucket = bucket(RateLimits(tokens: 600))
        #expect(limits.take([bucket], tokens: 100, workers: 1, now: .zero) == .granted)
        limits.end([bucket], tokens: 500, wasMade: true)
        guard case .refused(let wait, let interval, 0, 100) = limits.take([bucket], tokens: 100, workers: 1, now: .zero)
        else {
            Issue.record("none are left")
            return
        }
        #expect(wait == .seconds(10) && interval == .seconds(10))
        // Who wants more than there can ever be gets it all.
        #expect(limits.take([bucket], tokens: 5000, workers: 1, now: .seconds(61)) == .granted)
    }

    @Test func nothingIsTakenFromOneWhenAnotherRefuses() {
        var limits = LocalLimits()
        let (wide, narrow) = (bucket(RateLimits(requests: 2), "wide"), bucket(RateLimits(requests: 1), "narrow"))
        #expect(limits.take([wide, narrow], tokens: 1, workers: 1, now: .zero) == .granted)
        guard case .refused(_, _, 1, _) = limits.take([wide, narrow], tokens: 1, workers: 1, now: .zero) else {
            Issue.record("the second is empty")
            return
        }
        #expect(limits.take([wide], tokens: 1, workers: 1, now: .zero) == .granted)
        #expect(limits.take([wide], tokens: 1, workers: 1, now: .zero) != .granted)
        limits.end([wide], tokens: -1, wasMade: false)
        #expect(limits.take([wide], tokens: 1, workers: 1, now: .zero) == .granted)
    }
}

/// Who waits here, who in the broker.
@Suite struct LimitLaneTests {
    private func rank(_ arrival: UInt64, priority: Int = 4) -> Rank {
        Rank(priority: priority, deadline: .max, arrival: arrival)
    }

    @Test func theBestRankAsks() {
        var lane = LimitLane()
        #expect(lane.enter(rank(1), tokens: 5, now: .zero) == nil)
        #expect(lane.enter(rank(2, priority: 9), tokens: 6, now: .zero) == nil)
        #expect(lane.best?.rank.arrival == 2 && lane.best?.tokens == 6)
        lane.granted(2, now: .zero)
        #expect(lane.best?.rank.arrival == 1)
        lane.remove(1)
        #expect(lane.isEmpty)
    }

    @Test func aShortWaitIsWaitedForHere() {
        var lane = LimitLane()
        for number in 1...4 as ClosedRange<UInt64> { _ = lane.enter(rank(number), tokens: 1, now: .zero) }
        let away = lane.refused(wait: .seconds(1), interval: .seconds(2), workers: 1, now: .zero)
        // 1, 3 and 5 seconds are short; 7 is not.
        #expect(away.map(\.token) == [4])
        #expect(lane.best?.rank.arrival == 1)
        #expect(lane.enter(rank(5), tokens: 1, now: .zero) != nil)
        #expect(lane.enter(rank(6, priority: 9), tokens: 1, now: .zero) == nil, "it goes before the others")
    }

    @Test func whoIsSentAwayComesBackOneAfterTheOther() {
        var lane = LimitLane()
        for number in 1...3 as ClosedRange<UInt64> { _ = lane.enter(rank(number), tokens: 1, now: .zero) }
        let away = lane.refused(wait: .seconds(20), interval: .seconds(20), workers: 1, now: .zero)
        #expect(away.map(\.delay) == [.seconds(20), .seconds(40), .seconds(60)])
        #expect(lane.enter(rank(4), tokens: 1, now: .seconds(1)) == .seconds(79))
        for number in 5...500 as ClosedRange<UInt64> { _ = lane.enter(rank(number), tokens: 1, now: .seconds(1)) }
        #expect(lane.enter(rank(501), tokens: 1, now: .seconds(1)) == LimitLane.longest)
    }

    @Test func aHighPriorityIsNotHeldBackByWhatALowOneNeeds() {
        var lane = LimitLane()
        for number in 1...4 as ClosedRange<UInt64> {
            _ = lane.enter(rank(number, priority: 0), tokens: 7000, now: .zero)
        }
        let away = lane.refused(
            wait: .seconds(20), interval: .seconds(20), intervalTokens: 7000, workers: 1, now: .zero)
        #expect(away.count == 4)
        // It asks by itself, and when it is refused it waits for what it needs.
        #expect(lane.enter(rank(5, priority: 9), tokens: 210, now: .seconds(1)) == nil)
        #expect(lane.best?.rank.arrival == 5)
        let urgent = lane.refused(
            wait: .seconds(6), interval: .milliseconds(600), intervalTokens: 210, workers: 1, now: .seconds(1))
        #expect(urgent.map(\.token) == [5] && urgent.first?.delay == .seconds(6))
        // Bulk waits for all of them.
        #expect(lane.enter(rank(6, priority: 0), tokens: 210, now: .seconds(1)) ?? .zero > .seconds(70))
    }

    @Test func smallJobsBehindALargeOneAreSpreadByTheirOwnSize() {
        var lane = LimitLane()
        _ = lane.enter(rank(1), tokens: 7000, now: .zero)
        for number in 2...6 as ClosedRange<UInt64> { _ = lane.enter(rank(number), tokens: 70, now: .zero) }
        let away = lane.refused(
            wait: .seconds(60), interval: .seconds(60), intervalTokens: 7000, workers: 1, now: .zero)
        #expect(away.map(\.delay).first == .seconds(60))
        #expect(away.map(\.delay).last ?? .zero < .seconds(64))
    }

    @Test func nobodyWaitsHereForLong() {
        var lane = LimitLane()
        _ = lane.enter(rank(1), tokens: 1, now: .zero)
        #expect(lane.refused(wait: .milliseconds(100), interval: .zero, workers: 1, now: .seconds(4)).isEmpty)
        #expect(
            lane.refused(wait: .milliseconds(100), interval: .zero, workers: 1, now: .seconds(5)).map(\.token) == [1])
    }
}
