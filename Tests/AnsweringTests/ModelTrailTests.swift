import ChatJobs
import Testing

@testable import Answering

/// Which failure stands, and whether the next model is asked.
@Suite struct ModelTrailTests {
    private let away = JobFailure(.modelUnavailable, "nobody is there", blame: .absence)

    @Test func whateverPassesIsAskedOfTheNext() {
        for failure in [
            away, JobFailure(.rateLimited, "slow down", blame: .overload), JobFailure(.modelTimeout, "too slow"),
            JobFailure(.modelUnavailable, "answered 500"),
        ] {
            var trail = ModelTrail()
            let goesOn = trail.failed(failure, hasStreamed: false)
            #expect(goesOn, "\(failure)")
            #expect(trail.failure == failure)
        }
    }

    @Test func aRefusedPromptIsNotTakenElsewhere() {
        var trail = ModelTrail()
        let goesOn = trail.failed(JobFailure(.modelRejected, "no"), hasStreamed: false)
        #expect(!goesOn)
    }

    @Test func anAnswerThatIsTooLongIsNotAskedForAgainElsewhere() {
        var trail = ModelTrail()
        let goesOn = trail.failed(
            JobFailure(.modelUnavailable, "too long an answer", isFinal: true), hasStreamed: false)
        #expect(!goesOn)
    }

    @Test func whatAStandInRefusesWaitsForTheModelItStandsInFor() {
        var trail = ModelTrail()
        _ = trail.failed(away, hasStreamed: false)
        let goesOn = trail.failed(JobFailure(.modelRejected, "too long"), hasStreamed: false)
        #expect(goesOn)
        #expect(trail.failure == away)
    }

    @Test func anAnswerThatWasBegunIsNotGoneOnWithByAnother() {
        var trail = ModelTrail()
        let goesOn = trail.failed(JobFailure(.modelUnavailable, "broke off"), hasStreamed: true)
        #expect(!goesOn)
    }
}

@Suite struct IntakeTests {
    private let own = Dependency.model
    private let standIn = Dependency(.model, name: "fallback.1")
    private let agents = Dependency(.model, name: "presale")

    private func health(down: [Dependency]) -> DependencyHealth {
        var health = DependencyHealth(threshold: 1, chains: [[own, standIn], [agents]])
        for dependency in down { _ = health.markDown(dependency, "gone", now: .zero) }
        return health
    }

    @Test func aModelThatAnotherStandsInForStopsNobody() {
        #expect(health(down: [own]).intake == .open)
        #expect(health(down: [standIn]).intake == .open)
        #expect(health(down: [own, standIn]).intake == .paused)
        #expect(health(down: [own, agents]).intake == .restricted)
        #expect(health(down: [.vectors]).intake == .restricted)
        #expect(health(down: [.redis, own]).intake == .paused)
    }
}
