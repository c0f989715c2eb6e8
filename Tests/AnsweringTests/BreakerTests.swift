import Testing

@testable import Answering

@Suite struct BreakerTests {
    private func failing(_ times: Int, _ breaker: inout Breaker) -> [Bool] {
        (0..<times).map { _ in breaker.failed(.absent) }
    }

    @Test func opensAtSoManyFailuresInARowAndSaysSoOnce() {
        var breaker = Breaker(threshold: 3)
        #expect(failing(5, &breaker) == [false, false, true, false, false])
        #expect(breaker.state == .open)
    }

    @Test func oneSuccessStartsTheCountAgain() {
        var breaker = Breaker(threshold: 3)
        _ = failing(2, &breaker)
        breaker.succeeded()
        #expect(failing(3, &breaker) == [false, false, true])
    }

    @Test func aLateSuccessDoesNotCloseIt() {
        var breaker = Breaker(threshold: 1)
        _ = breaker.failed(.absent)
        breaker.succeeded()
        #expect(breaker.state == .open)
    }

    @Test func afterAProbeTheNextCallDecides() {
        var breaker = Breaker(threshold: 2)
        _ = failing(2, &breaker)
        breaker.recovered()
        #expect(breaker.state == .halfOpen)
        #expect(failing(1, &breaker) == [true])
        #expect(breaker.state == .open)
        breaker.recovered()
        breaker.succeeded()
        #expect(breaker.state == .closed)
        #expect(failing(1, &breaker) == [false])
    }

    @Test func whoAnswersWithNothingOfUseIsGivenAsManyCallsAgain() {
        var breaker = Breaker(threshold: 3)
        var opened: [Bool] = []
        for _ in 0..<3 { opened.append(breaker.failed(.ill)) }
        #expect(opened == [false, false, true])
        breaker.recovered()
        opened = []
        for _ in 0..<3 { opened.append(breaker.failed(.ill)) }
        #expect(opened == [false, false, true])
        #expect(breaker.rest == .seconds(1))
    }

    @Test func probesBecomeRarerToABoundAndBeginAnewAfterSuccess() {
        var breaker = Breaker(threshold: 1)
        _ = breaker.failed(.absent)
        var rests: [Duration] = []
        for _ in 0..<5 {
            rests.append(breaker.rest)
            breaker.probeFailed()
        }
        #expect(rests == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(8)])
        breaker.recovered()
        breaker.succeeded()
        _ = breaker.failed(.absent)
        #expect(breaker.rest == .seconds(1))
    }
}
