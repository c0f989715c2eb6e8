import ChatJobs
import Testing

@testable import Pipeline

@Suite struct RetryPolicyTests {
    private let failure = JobFailure(.modelTimeout, "no answer")

    private func ceiling(_ attempt: Int, _ policy: RetryPolicy = RetryPolicy()) -> Duration? {
        policy.next(after: failure, attempt: attempt, deferrals: 0, isCounted: true, random: 1)?.delay
    }

    @Test func theCeilingGrowsByTheFactorUpToTheLongest() {
        var policy = RetryPolicy()
        policy.maxAttempts = 100
        #expect((1...5).map { ceiling($0, policy) } == [1, 2, 4, 8, 16].map { .seconds($0) })
        #expect(ceiling(11, policy) == .seconds(600))
        #expect(ceiling(99, policy) == .seconds(600))
    }

    @Test func theBackOffIsDrawnFromAllOfIt() {
        let policy = RetryPolicy()
        let drawn = [0, 0.25, 0.5].map {
            policy.next(after: failure, attempt: 3, deferrals: 0, isCounted: true, random: $0)?.delay
        }
        #expect(drawn == [.zero, .seconds(1), .seconds(2)])
    }

    @Test func theLastAttemptIsTheLast() {
        #expect(ceiling(4) != nil)
        #expect(ceiling(5) == nil)
        #expect(ceiling(9) == nil)
    }

    @Test(arguments: ErrorCode.allCases) func onlyWhatMayPassIsTriedAgain(code: ErrorCode) {
        let next = RetryPolicy().next(
            after: JobFailure(code, "x"), attempt: 1, deferrals: 0, isCounted: true, random: 0.5)
        #expect((next != nil) == code.isRetryable)
    }

    @Test func aServicesOwnWishIsTheLeast() {
        let failure = JobFailure(.modelUnavailable, "busy", retryAfter: .seconds(30))
        let early = RetryPolicy().next(after: failure, attempt: 1, deferrals: 0, isCounted: true, random: 0)
        #expect(early?.delay == .seconds(30))
        let late = RetryPolicy().next(after: failure, attempt: 1, deferrals: 0, isCounted: true, random: 0.999)
        #expect(late.map { $0.delay > .seconds(32) && $0.delay <= .seconds(33) } == true)
    }

    @Test func anAttemptThatDoesNotCountIsMadeAgain() {
        let limited = JobFailure(.rateLimited, "slow down")
        let next = RetryPolicy().next(after: limited, attempt: 5, deferrals: 2, isCounted: false, random: 0.5)
        #expect(next == Postponement(delay: .seconds(2), attempts: 4, deferrals: 3))
    }

    @Test func refusalsForWantOfCapacityHaveAnEnd() {
        let limited = JobFailure(.rateLimited, "slow down")
        #expect(RetryPolicy().next(after: limited, attempt: 1, deferrals: 20, isCounted: false, random: 0) == nil)
    }

    @Test func anOutageHasNoEndAndNoGrowingBackOff() {
        let away = JobFailure(.modelUnavailable, "nobody listens", blame: .absence)
        let next = RetryPolicy().next(after: away, attempt: 2, deferrals: 7, isCounted: false, random: 0.5)
        #expect(next == Postponement(delay: .seconds(2), attempts: 1, deferrals: 7))
    }
}
