import ParleyHTTP
import Testing

@Suite struct RetryAfterTests {
    @Test(
        arguments: [
            (["Retry-After": "7"], 7), (["Retry-After": " 7 "], 7), (["Retry-After": "1m30s"], 90),
            (["Retry-After": "0.5", "Retry-After-Ms": "1500"], 1.5),
            (["Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT"], 30),
            (["Retry-After": "Sunday, 06-Nov-94 08:50:07 GMT"], 30), (["Retry-After": "Sun Nov  6 08:50:07 1994"], 30),
            // A clock that is wrong by an hour is so in both.
            (["Retry-After": "Sun, 06 Nov 1994 09:50:07 GMT", "Date": "Sun, 06 Nov 1994 09:49:37 GMT"], 30),
            (["Retry-After": "Sun, 06 Nov 1994 08:00:00 GMT"], 0), (["Retry-After": "soon"], nil), ([:], nil),
            (["Retry-After": "-1"], nil), (["Retry-After": "1e300"], 86_400), (["Retry-After": "nan"], nil),
            (["Retry-After": ""], nil), (["Retry-After": "Sun, 99 Nov 1994 08:49:37 GMT"], nil),
        ] as [([String: String], Double?)])
    func secondsASpanOrADateAreRead(_ headers: [String: String], _ seconds: Double?) {
        let list = headers.map { HTTPHeader(name: $0.key, value: $0.value) }
        #expect(RetryAfter.read(list, now: 784_111_777) == seconds.map { Duration.seconds($0) })
    }

    @Test func twoDigitsOfAYearAreOfThisCenturyOrTheLast() {
        #expect(HTTPDate.seconds("Saturday, 01-Jan-00 00:00:00 GMT") == 946_684_800)
        #expect(HTTPDate.seconds("Thursday, 01-Jan-70 00:00:01 GMT") == 1)
        #expect(HTTPDate.seconds("Wednesday, 01-Jan-69 00:00:00 GMT") == nil)
    }
}
