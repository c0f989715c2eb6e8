import ChatJobs
import Testing

@testable import Pipeline

@Suite struct RetryPolicyTests {
    private let failure = JobFailure(.modelTimeout, "no answer")

    private func next(
        _ failure: JobFailure, attempt: Int = 1, deferrals: Int = 0, outages: Int = 0, hasStreamed: Bool = false,
        isServiceDown: Bool = false, random: Double = 0.5, _ policy: RetryPolicy = RetryPolicy()
    ) -> Postponement? {
        policy.next(
            after: RetryPolicy.Failure(
                failure: failure, attempt: attempt, deferrals: deferrals, outages: outages, hasStreamed: hasStreamed,
                isServiceDown: isServiceDown), random: random)
    }

    private func ceiling(_ attempt: Int, _ policy: RetryPolicy = RetryPolicy()) -> Duration? {
        next(failure, attempt: attempt, random: 1, policy)?.delay
    }

    @Test func theCeilingGrowsByTheFactorUpToTheLongest() {
        var policy = RetryPolicy()
        policy.maxAttempts = 100
        #expect((1...5).map { ceiling($0, policy) } == [1, 2, 4, 8, 16].map { .seconds($0) })
        #expect(ceiling(11, policy) == .seconds(600))
        #expect(ceiling(99, policy) == .seconds(600))
    }

    @Test func theBackOffIsDrawnFromAllOfIt() {
        let drawn = [0, 0.25, 0.5].map { next(failure, attempt: 3, random: $0)?.delay }
        #expect(drawn == [.zero, .seconds(1), .seconds(2)])
    }

    @Test func theLastAttemptIsTheLast() {
        #expect(ceiling(4) != nil)
        #expect(ceiling(5) == nil)
        #expect(ceiling(9) == nil)
    }

    @Test(arguments: ErrorCode.allCases) func onlyWhatMayPassIsTriedAgain(code: ErrorCode) {
        #expect((next(JobFailure(code, "x")) != nil) == code.isRetryable)
    }

    @Test func whatWouldBePaidForAgainInVainIsNot() {
        #expect(next(JobFailure(.modelUnavailable, "too long an answer", isFinal: true)) == nil)
        #expect(Reply(id: "a", failure: JobFailure(.modelUnavailable, "x", isFinal: true)).error?.retryable == false)
    }

    @Test func aServicesOwnWishIsTheLeast() {
        let failure = JobFailure(.modelUnavailable, "busy", retryAfter: .seconds(30))
        #expect(next(failure, random: 0)?.delay == .seconds(30))
        let late = next(failure, random: 0.999)
        #expect(late.map { $0.delay > .seconds(32) && $0.delay <= .seconds(33) } == true)
    }

    @Test func anAttemptThatDoesNotCountIsMadeAgain() {
        let limited = JobFailure(.rateLimited, "slow down", blame: .overload)
        #expect(
            next(limited, attempt: 5, deferrals: 2)
                == Postponement(delay: .seconds(2), attempts: 4, deferrals: 3, outages: 0))
    }

    @Test(arguments: [JobFailure.Blame.overload, .gateway])
    func deferralsHaveAnEndWhileTheServiceAnswersOthers(blame: JobFailure.Blame) {
        let failure = JobFailure(.modelUnavailable, "not now", blame: blame)
        #expect(next(failure, deferrals: 19) != nil)
        #expect(next(failure, deferrals: 20) == nil)
    }

    @Test func aGatewayThatIsKnownToBeAwayHasNoEnd() {
        let failure = JobFailure(.modelUnavailable, "502", blame: .gateway)
        #expect(next(failure, deferrals: 20, isServiceDown: true)?.outages == 1)
    }

    @Test func anAbsenceHasNoEndAndAGrowingBackOffToABound() {
        let away = JobFailure(.modelUnavailable, "nobody listens", blame: .absence)
        let delays = (0...8).map { next(away, attempt: 2, deferrals: 7, outages: $0, random: 1)?.delay }
        #expect(delays == [1, 2, 4, 8, 16, 30, 30, 30, 30].map { .seconds($0) })
        #expect(
            next(away, attempt: 2, deferrals: 7, outages: 1000, random: 0)
                == Postponement(delay: .seconds(15), attempts: 1, deferrals: 7, outages: 1001))
    }

    @Test(arguments: [JobFailure.Blame.job, .absence, .gateway, .overload])
    func whatSubscribersHaveSeenCountsAsAnAttempt(blame: JobFailure.Blame) {
        let failure = JobFailure(.modelUnavailable, "it broke off", blame: blame)
        #expect(next(failure, attempt: 2, hasStreamed: true)?.attempts == 2)
        #expect(next(failure, attempt: 5, hasStreamed: true) == nil)
    }
}
