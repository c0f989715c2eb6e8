import ChatJobs
import Testing

@Suite struct JobFieldsTests {
    @Test func onlyAQueryAndAnIDAreRequired() throws {
        let job = try decode(#"{"query":"q"}"#)
        #expect(job == Job(id: try #require(JobID("m1")), query: "q"))
        #expect(job.options.cache == .use)
        #expect(!job.stream)
    }

    @Test func everyFieldIsRead() throws {
        let job = try decode(
            #"""
            {"id":"m1","query":"How do I return 包裹?","user_id":"u-17","tenant":"shop-eu","agent":"aftersale",
             "history":[{"role":"user","content":"hi"},{"role":"assistant","content":""},{"role":"system","content":"s"}],
             "stream":true,"not_before":"2026-11-22T22:00:00Z","deadline":"2026-11-22T22:00:30Z",
             "options":{"model":"m","temperature":0.3,"max_tokens":200,"seed":-42,"top_k":4,"retrieve":"always",
                        "cache":"refresh"},
             "metadata":{"any":"thing"},"unknown":{"ignored":[1]}}
            """#)
        #expect(job.query == "How do I return 包裹?")
        #expect(job.userID == "u-17")
        #expect(job.tenant == "shop-eu")
        #expect(job.agent == "aftersale")
        #expect(
            job.history == [
                Turn(role: .user, content: "hi"), Turn(role: .assistant, content: ""),
                Turn(role: .system, content: "s"),
            ])
        #expect(job.stream)
        #expect(job.notBefore == Timestamp("2026-11-22T22:00:00Z"))
        #expect(job.deadline == Timestamp("2026-11-22T22:00:30Z"))
        #expect(job.options.model == "m")
        #expect(job.options.temperature == 0.3)
        #expect(job.options.maxTokens == 200)
        #expect(job.options.seed == -42)
        #expect(job.options.topK == 4)
        #expect(job.options.retrieve == .always)
        #expect(job.options.cache == .refresh)
    }

    @Test func whatIsEncodedDecodesToTheSame() throws {
        var job = Job(id: try #require(JobID("m1")), query: "q \"\\\n中")
        job.userID = "u"
        job.rewrittenQuery = "r"
        job.history = [Turn(role: .assistant, content: "c")]
        job.stream = true
        job.deadline = Timestamp("2026-11-22T22:00:30.125Z")
        job.options.temperature = 0.1
        job.options.seed = .max
        job.options.retrieve = .never
        job.options.cache = .bypass
        job.metadata = Array(#"{"a": 1}"#.utf8)
        #expect(try decoder.decode(job.encoded(), Envelope(), inflate: noGzip) == job)
    }

    @Test func anEmptyArrayStandsForAnEmptyObject() throws {
        let job = try decode(#"{"query":"q","options":[],"metadata":[ ],"history":[]}"#)
        #expect(job == Job(id: try #require(JobID("m1")), query: "q"))
    }

    @Test func aRewrittenQueryIsWhatIsSearchedFor() throws {
        let job = try decode(#"{"query":"and this?","rewritten_query":"How long is the warranty of the X2?"}"#)
        #expect(job.rewrittenQuery == "How long is the warranty of the X2?")
        #expect(job.searchText == "How long is the warranty of the X2?")
        #expect(try decode(#"{"query":"q","rewritten_query":" "}"#).searchText == "q")
        let failure = try refusal(#"{"query":"q","rewritten_query":"four"}"#, decoder: JobDecoder(maxQuery: 3)).failure
        #expect(failure == JobFailure(.tooLarge, "rewritten_query has 4 bytes; at most 3 are allowed"))
    }

    @Test func nullIsAsGoodAsAbsent() throws {
        let job = try decode(
            #"""
            {"query":"q","id":null,"user_id":null,"history":null,"stream":null,"deadline":null,"options":null,
             "metadata":null}
            """#)
        #expect(job == Job(id: try #require(JobID("m1")), query: "q"))
        let options = try decode(body(#""options":{"model":null,"temperature":null,"top_k":null,"cache":null}"#))
            .options
        #expect(options == JobOptions())
    }

    @Test func theLastOfAMemberGivenTwiceCounts() throws {
        #expect(try decode(#"{"query":"first","query":"last"}"#).query == "last")
    }

    /// Each with the field, the value, and what is allowed.
    @Test(arguments: [
        (#"{}"#, "query is missing"),
        (#"{"query":null}"#, "query is missing"),
        (#"{"query":7}"#, "query is a JSON number; a string is needed"),
        (#"{"query":" \t\n"}"#, "query is empty; a question is needed"),
        (#"{"query":"a\u0000b"}"#, "query contains a NUL character"),
        (body(#""user_id":1"#), "user_id is a JSON number; a string is needed"),
        (body(#""tenant":[]"#), "tenant is a JSON array; a string is needed"),
        (body(#""agent":{}"#), "agent is a JSON object; a string is needed"),
        (body(#""stream":"yes""#), "stream is a JSON string; true or false is needed"),
        (body(#""stream":1"#), "stream is a JSON number; true or false is needed"),
        (body(#""history":{}"#), "history is a JSON object; an array of turns is needed"),
        (
            body(#""history":[1]"#),
            "history[0] is a JSON number; an object with role and content is needed"
        ),
        (body(#""history":[{"content":"c"}]"#), "history[0].role is missing"),
        (body(#""history":[{"role":"user"}]"#), "history[0].content is missing"),
        (
            body(#""history":[{"role":"user","content":"c"},{"role":"bot","content":"c"}]"#),
            #"history[1].role is "bot"; allowed are user, assistant, system"#
        ),
        (body(#""history":[{"role":"user","content":3}]"#), "history[0].content is a JSON number; a string is needed"),
        (
            body(#""deadline":"tomorrow""#),
            #"deadline is "tomorrow"; an RFC 3339 time is needed, such as 2026-11-22T22:00:30Z"#
        ),
        (body(#""not_before":1700000000"#), "not_before is a JSON number; a string is needed"),
        (body(#""options":[1]"#), "options is a JSON array; an object is needed"),
        (body(#""metadata":[1]"#), "metadata is a JSON array; an object is needed"),
        (body(#""rewritten_query":7"#), "rewritten_query is a JSON number; a string is needed"),
        (body(#""options":{"model":1}"#), "options.model is a JSON number; a string is needed"),
        (body(#""options":{"temperature":"hot"}"#), "options.temperature is a JSON string; a number is needed"),
        (body(#""options":{"temperature":2.1}"#), "options.temperature is 2.1; 0 to 2 is allowed"),
        (body(#""options":{"temperature":-0.1}"#), "options.temperature is -0.1; 0 to 2 is allowed"),
        (body(#""options":{"temperature":1e999}"#), "options.temperature is inf; 0 to 2 is allowed"),
        (body(#""options":{"max_tokens":0}"#), "options.max_tokens is 0; 1 to 1000000 is allowed"),
        (body(#""options":{"max_tokens":1000001}"#), "options.max_tokens is 1000001; 1 to 1000000 is allowed"),
        (body(#""options":{"top_k":65}"#), "options.top_k is 65; 1 to 64 is allowed"),
        (body(#""options":{"top_k":0}"#), "options.top_k is 0; 1 to 64 is allowed"),
        (body(#""options":{"top_k":1.5}"#), "options.top_k is 1.5; 1 to 64 is allowed"),
        (
            body(#""options":{"seed":9223372036854775808}"#),
            "options.seed is 9223372036854775808; a 64-bit integer is allowed"
        ),
        (
            body(#""options":{"retrieve":"maybe"}"#),
            #"options.retrieve is "maybe"; allowed are auto, always, never"#
        ),
        (body(#""options":{"cache":"yes"}"#), #"options.cache is "yes"; allowed are use, refresh, bypass"#),
        (body(#""options":{"cache":true}"#), "options.cache is a JSON boolean; a string is needed"),
        (body(#""metadata":"text""#), "metadata is a JSON string; an object is needed"),
        (#"[]"#, "the body is a JSON array; an object is needed"),
        (#""text""#, "the body is a JSON string; an object is needed"),
        (#"{"query":"q",}"#, "the body is not JSON: '}' where a member name in quotes is expected at byte 13"),
        ("", "the body is not JSON: the text ends where a value is expected at byte 0"),
        (#"{"query":NaN}"#, "the body is not JSON: 'N' where a value is expected at byte 9"),
    ]) func whatIsWrongIsNamed(text: String, message: String) throws {
        let refusal = try refusal(text)
        #expect(refusal.failure == JobFailure(.invalidJob, message))
        #expect(refusal.id == JobID("m1"))
    }

    @Test func boundsAreInclusive() throws {
        let options = try decode(
            body(#""options":{"temperature":2,"max_tokens":1000000,"top_k":64,"seed":-9223372036854775808}"#)
        ).options
        #expect(options.temperature == 2)
        #expect(options.maxTokens == 1_000_000)
        #expect(options.topK == 64)
        #expect(options.seed == .min)
        #expect(try decode(body(#""options":{"top_k":4.0}"#)).options.topK == 4)
    }

    // MARK: - Sizes

    @Test func aQueryMayHaveItsLimitAndNotAByteMore() throws {
        let limit = String(repeating: "q", count: 32 << 10)
        #expect(try decode(#"{"query":"\#(limit)"}"#).query.utf8.count == 32 << 10)
        let failure = try refusal(#"{"query":"\#(limit)q"}"#).failure
        #expect(failure == JobFailure(.tooLarge, "query has 32769 bytes; at most 32768 are allowed"))
    }

    @Test func sizesAreInBytesNotCharacters() throws {
        let limited = JobDecoder(maxQuery: 3)
        #expect(try decode(#"{"query":"中"}"#, decoder: limited).query == "中")
        #expect(try refusal(#"{"query":"中a"}"#, decoder: limited).failure.code == .tooLarge)
    }

    @Test(arguments: ["user_id", "tenant", "agent"]) func namesHaveALimit(field: String) throws {
        _ = try decode(body(#""\#(field)":"\#(String(repeating: "n", count: 256))""#))
        let failure = try refusal(body(#""\#(field)":"\#(String(repeating: "n", count: 257))""#)).failure
        #expect(failure == JobFailure(.tooLarge, "\(field) has 257 bytes; at most 256 are allowed"))
    }

    @Test func historyHasALimit() throws {
        let turns = { (count: Int) in
            body(
                #""history":["#
                    + Array(repeating: #"{"role":"user","content":"c"}"#, count: count).joined(separator: ",") + "]")
        }
        #expect(try decode(turns(1000)).history.count == 1000)
        let failure = try refusal(turns(1001)).failure
        #expect(failure == JobFailure(.tooLarge, "history has 1001 turns; at most 1000 are allowed"))
    }

    @Test func metadataIsEchoedByteForByteUpToItsLimit() throws {
        let odd = #"{ "z" : 1.50, "a":"\u00e9\/" , "z":1e2 }"#
        #expect(try decode(body(#""metadata":\#(odd)"#)).metadata == Array(odd.utf8))
        let padded = { (count: Int) in #"{"k":"\#(String(repeating: "m", count: count - 8))"}"# }
        #expect(try decode(body(#""metadata":\#(padded(16384))"#)).metadata?.count == 16384)
        let failure = try refusal(body(#""metadata":\#(padded(16385))"#)).failure
        #expect(failure == JobFailure(.tooLarge, "metadata has 16385 bytes; at most 16384 are allowed"))
    }

    @Test func deepNestingIsRefusedAndCostsNoStack() throws {
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        let failure = try refusal(body(#""metadata":{"k":\#(deep)}"#)).failure
        #expect(failure.code == .invalidJob)
        #expect(failure.message.contains("nesting deeper than 64"))
    }

    @Test func aMessageShowsALongOrOddValueCutAndClean() throws {
        let message = try refusal(body(#""deadline":"\u0007\u009b[2J\#(String(repeating: "d", count: 50))""#)).failure
            .message
        #expect(!message.unicodeScalars.contains { $0.properties.generalCategory == .control })
        let long = try refusal(body(#""options":{"cache":"\#(String(repeating: "c", count: 500))"}"#)).failure.message
        #expect(long.contains("…"))
        #expect(long.utf8.count < 200)
    }
}
