import ParleyPrimitives
import Testing

@Suite struct DurationTests {
    private static let counts: [(Duration, Int64)] = [
        (.zero, 0), (.nanoseconds(1), 1), (.microseconds(1), 1), (.milliseconds(1), 1),
        (.milliseconds(1) + .nanoseconds(1), 2), (.seconds(3), 3000), (.milliseconds(-1500), -1500),
        (.microseconds(-1500), -1), (.seconds(Int64.max), .max), (.seconds(Int64.min), .min),
    ]

    @Test(arguments: counts)
    func unitsAreRoundedUpAndNeverOverflow(duration: Duration, milliseconds: Int64) {
        #expect(duration.wholeMilliseconds == milliseconds)
    }

    @Test func everyUnitCounts() {
        let duration = Duration.seconds(2) + .nanoseconds(5)
        #expect(duration.wholeNanoseconds == 2_000_000_005)
        #expect(duration.wholeSeconds == 3)
        #expect(Duration(secondsComponent: 0, attosecondsComponent: 1).wholeNanoseconds == 1)
    }

    @Test func millisecondsForPeopleAreNotRounded() {
        #expect(Duration.microseconds(1500).milliseconds == 1.5)
        #expect(Duration.microseconds(-1500).milliseconds == -1.5)
        #expect(Duration.seconds(1_000_000_000_000).milliseconds == 1e15)
    }

    @Test(arguments: [
        (Duration.zero, 0, 1), (.seconds(-5), 0, 1), (.milliseconds(1500), 1, 500_000), (.nanoseconds(1), 0, 1),
        (.seconds(Int64.max), 86_400, 0),
    ])
    func aLimitForASystemCallIsNeverForEver(duration: Duration, seconds: Int, microseconds: Int) {
        let limit = duration.timeval
        #expect(limit.tv_sec == seconds && limit.tv_usec == microseconds)
    }
}

@Suite struct BackoffTests {
    @Test func delaysDoubleUpToTheLongestAndBeginAgain() {
        for _ in 0..<50 {
            var backoff = Backoff(from: .milliseconds(100), to: .seconds(1))
            for ceiling in [100, 200, 400, 800, 1000, 1000, 1000] {
                let delay = backoff.next()
                #expect(delay >= .milliseconds(ceiling) / 2 && delay <= .milliseconds(ceiling))
            }
            backoff.reset()
            #expect(backoff.next() <= .milliseconds(100))
        }
    }
}

@Suite struct PercentEncodingTests {
    @Test(arguments: [
        ("", ""), ("plain", "plain"), ("p%40ss", "p@ss"), ("%e4%b8%ad%E4%b8%aD", "中中"), ("a+b%2Bc", "a+b+c"),
    ])
    func decodes(text: String, decoded: String) throws {
        #expect(try PercentEncoding.decode(text) == decoded)
    }

    @Test(arguments: ["%", "%4", "a%zz", "%%41", "% 41"])
    func aPercentSignWithoutDigitsIsAFault(text: String) {
        #expect(throws: PercentEncoding.Fault.digits) { try PercentEncoding.decode(text) }
    }

    @Test(arguments: ["%ff", "%c3%28", "%ed%a0%80"])
    func whatIsNotUTF8IsAFault(text: String) {
        #expect(throws: PercentEncoding.Fault.text) { try PercentEncoding.decode(text) }
    }

    @Test func encodesAllThatMeansSomethingAndComesBack() throws {
        let text = "a-Z_0.9~ /?#[]@:%,中\n"
        let encoded = PercentEncoding.encode(text)
        #expect(encoded == "a-Z_0.9~%20%2F%3F%23%5B%5D%40%3A%25%2C%E4%B8%AD%0A")
        #expect(try PercentEncoding.decode(encoded) == text)
    }
}
