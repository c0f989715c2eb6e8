import ChatJobs
import Testing

@testable import Pipeline

@Suite struct ModelSchedulerTests {
    private func rank(_ priority: Int, _ deadline: Int64 = .max, _ arrival: UInt64 = 0) -> Rank {
        Rank(priority: priority, deadline: deadline, arrival: arrival)
    }

    @Test func startsAtOnceUpToItsLimit() {
        var scheduler = ModelScheduler(limit: 2)
        let started = (1...3).map { scheduler.start(rank(0), token: $0) }
        #expect(started == [true, true, false])
        #expect(scheduler.running == 2)
        #expect(scheduler.queued == 1)
    }

    @Test func givesAFreePlaceToTheBestRank() {
        var scheduler = ModelScheduler(limit: 1)
        _ = scheduler.start(rank(4), token: 1)
        for (token, rank) in [(2, rank(0)), (3, rank(9, 50)), (4, rank(9, 10)), (5, rank(9, 10, 7))] {
            _ = scheduler.start(rank, token: UInt64(token))
        }
        var order: [UInt64] = []
        while let next = scheduler.finish() { order.append(next) }
        #expect(order == [4, 5, 3, 2])
        #expect(scheduler.running == 0)
    }

    @Test func passesOverThoseWhoGaveUp() {
        var scheduler = ModelScheduler(limit: 1)
        _ = scheduler.start(rank(4), token: 1)
        _ = scheduler.start(rank(9), token: 2)
        _ = scheduler.start(rank(1), token: 3)
        scheduler.withdraw(2)
        #expect(scheduler.queued == 1)
        let next = scheduler.finish()
        #expect(next == 3)
        #expect(scheduler.running == 1)
        let last = scheduler.finish()
        #expect(last == nil)
        #expect(scheduler.running == 0)
    }
}

@Suite struct RankTests {
    @Test func priorityThenDeadlineThenArrival() {
        let ranks = [
            Rank(priority: 9, deadline: 1, arrival: 5), Rank(priority: 9, deadline: 2, arrival: 1),
            Rank(priority: 9, deadline: .max, arrival: 1), Rank(priority: 9, deadline: .max, arrival: 2),
            Rank(priority: 4, deadline: 0, arrival: 0), Rank(priority: 0, deadline: 0, arrival: 0),
        ]
        #expect(ranks.reversed().sorted() == ranks)
    }
}

@Suite struct SettlementTests {
    private func steps(_ settlement: Settlement) -> [Settlement.Step] {
        var settlement = settlement
        var steps: [Settlement.Step] = []
        while let step = settlement.next {
            steps.append(step)
            settlement.completed()
        }
        return steps
    }

    @Test func acknowledgesLast() throws {
        let id = try #require(JobID("a"))
        let failure = JobFailure(.internal, "x")
        #expect(
            steps(Settlement(id: id, replyTo: "r", stored: false, deadLetter: failure))
                == [.store(id), .publish(to: "r"), .deadLetter(failure), .acknowledge])
    }

    @Test func leavesOutWhatIsNotNeeded() throws {
        let id = try #require(JobID("a"))
        #expect(steps(Settlement(id: id, replyTo: nil, stored: false, deadLetter: nil)) == [.store(id), .acknowledge])
        #expect(
            steps(Settlement(id: id, replyTo: "r", stored: true, deadLetter: nil)) == [.publish(to: "r"), .acknowledge])
        #expect(steps(Settlement(id: nil, replyTo: nil, stored: false, deadLetter: nil)) == [.acknowledge])
    }

    @Test func staysAtAStepUntilItIsDone() throws {
        let id = try #require(JobID("a"))
        let settlement = Settlement(id: id, replyTo: "r", stored: false, deadLetter: nil)
        #expect(settlement.next == .store(id))
        #expect(settlement.next == .store(id))
    }
}

@Suite struct TraceContextTests {
    private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    @Test func keepsTraceAndFlagsAndMakesANewParent() throws {
        let first = try #require(TraceContext.continued("00-\(trace)-00f067aa0ba902b7-01"))
        let second = try #require(TraceContext.continued("00-\(trace)-00f067aa0ba902b7-01"))
        let parts = first.split(separator: "-")
        #expect(parts.map(\.utf8.count) == [2, 32, 16, 2])
        #expect(parts[1] == trace)
        #expect(parts[3] == "01")
        #expect(parts[2] != "00f067aa0ba902b7")
        #expect(first != second)
    }

    @Test func readsLaterVersionsAsTheFirst() {
        #expect(TraceContext.continued("cc-\(trace)-00f067aa0ba902b7-01-what-comes")?.hasPrefix("00-\(trace)-") == true)
    }

    @Test(arguments: [
        nil, "", "00", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01",
    ]) func ignoresWhatIsNotWellFormed(traceparent: String?) {
        #expect(TraceContext.continued(traceparent) == nil)
    }

    @Test func versionZeroHasFourPartsExactly() {
        #expect(TraceContext.continued("00-\(trace)-00f067aa0ba902b7-01-more") == nil)
    }
}
