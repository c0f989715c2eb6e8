import ChatJobs
import Testing

@testable import Pipeline

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

    @Test func aJobThatComesBackIsGivenUpThenPutAsideThenAcknowledged() throws {
        let id = try #require(JobID("a"))
        let later = Postponement(delay: .seconds(1), attempts: 1, deferrals: 0)
        #expect(
            steps(Settlement(postponed: later, claimed: id))
                == [.release(id, keepingStarts: nil), .postpone(later), .acknowledge])
        #expect(steps(Settlement(postponed: later, claimed: nil)) == [.postpone(later), .acknowledge])
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
