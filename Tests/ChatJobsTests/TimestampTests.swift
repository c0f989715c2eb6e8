import ChatJobs
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-22T22:00:30Z", 1_795_384_830_000),
            ("2026-11-22t22:00:30z", 1_795_384_830_000), ("2026-11-22 22:00:30Z", 1_795_384_830_000),
            ("2026-11-22T22:00:30.5Z", 1_795_384_830_500), ("2026-11-22T22:00:30.123456789Z", 1_795_384_830_123),
            ("2026-11-23T00:00:30+02:00", 1_795_384_830_000), ("2026-11-22T16:30:30-05:30", 1_795_384_830_000),
            ("2026-11-22T22:00:30+0000", 1_795_384_830_000), ("2026-11-23T00:00:30+0200", 1_795_384_830_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2024-03-01T00:00:00Z", 1_709_251_200_000), ("2100-03-01T00:00:00Z", 4_107_542_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000), ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] as [(String, Int64)]) func readsRFC3339(text: String, milliseconds: Int64)
    {
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "now", "2026-11-22", "2026-11-22T22:00:30", "2026-11-22T22:00Z", "2026-11-22T22:00:30.Z",
        "2026-11-22T22:00:30,5Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-31T00:00:00Z",
        "2026-11-00T00:00:00Z", "2025-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-22T24:00:00Z",
        "2026-11-22T22:60:00Z", "2026-11-22T22:00:61Z", "2026-11-22T22:00:30+24:00", "2026-11-22T22:00:30+02:60",
        "2026-11-22T22:00:30+02", "2026-11-22T22:00:30+020",
        "2026-11-22T22:00:30Zx", " 2026-11-22T22:00:30Z", "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z", "-026-11-22T22:00:30Z", "２026-11-22T22:00:30Z", "1700000000",
        "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01",
    ]) func refusesEverythingElse(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test(arguments: [0, 951_782_399_999, 1_795_384_830_123, 4_107_542_400_000, -1, 253_402_300_799_999] as [Int64])
    func writesWhatItReads(milliseconds: Int64) {
        let text = Timestamp(milliseconds: milliseconds).rfc3339
        if milliseconds >= 0 { #expect(Timestamp(text)?.milliseconds == milliseconds) }
        #expect(text.utf8.count == 24)
    }

    @Test func writesUTCWithMilliseconds() {
        #expect(Timestamp(milliseconds: 1_795_384_830_007).rfc3339 == "2026-11-22T22:00:30.007Z")
        #expect(Timestamp(milliseconds: -1).rfc3339 == "1969-12-31T23:59:59.999Z")
    }

    @Test func differencesHaveASign() {
        #expect(Timestamp(milliseconds: 1500).since(Timestamp(milliseconds: 0)) == .milliseconds(1500))
        #expect(Timestamp(milliseconds: 0).since(Timestamp(milliseconds: 1)) == .milliseconds(-1))
        let (first, last) = (Timestamp(milliseconds: .min), Timestamp(milliseconds: .max))
        #expect(last.since(first) == .milliseconds(Int64.max))
        #expect(first.since(last) == .milliseconds(Int64.min))
    }
}
