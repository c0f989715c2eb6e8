import ChatJobs
import Testing

@testable import Pipeline

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

    @Test func acknowledgesLast() {
        #expect(
            steps(Settlement(storing: true, publishing: true, deadLettering: true))
                == [.store, .publish, .deadLetter, .acknowledge])
    }

    @Test func leavesOutWhatIsNotNeeded() {
        #expect(steps(Settlement(storing: true, publishing: false)) == [.store, .acknowledge])
        #expect(steps(Settlement(publishing: true)) == [.publish, .acknowledge])
        #expect(steps(Settlement(publishing: false)) == [.acknowledge])
    }

    @Test func aJobThatComesBackIsGivenUpThenPutAsideThenAcknowledged() {
        #expect(steps(Settlement.postponement(releasing: true)) == [.release, .postpone, .acknowledge])
        #expect(steps(Settlement.postponement(releasing: false)) == [.postpone, .acknowledge])
    }

    @Test func staysAtAStepUntilItIsDone() {
        let settlement = Settlement(storing: true, publishing: true)
        #expect(settlement.next == .store)
        #expect(settlement.next == .store)
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
