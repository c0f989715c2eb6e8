import ChatJobs
import Testing

/// What a job cannot ask for.
@Suite struct CeilingTests {
    private func decoder(_ change: (inout JobCeilings) -> Void) -> JobDecoder {
        var ceilings = JobCeilings()
        change(&ceilings)
        return JobDecoder(ceilings: ceilings)
    }

    @Test func moreTokensThanTheCeilingAreRefused() throws {
        let decoder = decoder { $0.maxTokens = 500 }
        #expect(try decode(body(#""options":{"max_tokens":500}"#), decoder: decoder).options.maxTokens == 500)
        #expect(try decode(#"{"query":"q"}"#, decoder: decoder).options.maxTokens == nil)
        #expect(
            try refusal(body(#""options":{"max_tokens":501}"#), decoder: decoder).failure
                == JobFailure(
                    .invalidJob, "options.max_tokens is 501; at most 500 are allowed (limits.max_tokens)"))
    }

    @Test func otherModelsThanThoseAllowedAreRefused() throws {
        let decoder = decoder { $0.models = NamePatterns(["small", "qwen*"]) }
        for model in ["small", "qwen-7b"] {
            #expect(try decode(body(#""options":{"model":"\#(model)"}"#), decoder: decoder).options.model == model)
        }
        #expect(try decode(#"{"query":"q"}"#, decoder: decoder).options.model == nil)
        #expect(
            try refusal(body(#""options":{"model":"large"}"#), decoder: decoder).failure
                == JobFailure(
                    .invalidJob, #"options.model is "large"; allowed are small, qwen* (models.allow), or none"#))
    }

    @Test func metadataHasTheSizeThatIsSet() throws {
        let decoder = decoder { $0.metadata = 7 }
        #expect(try decode(body(#""metadata":{"a":1}"#), decoder: decoder).metadata?.count == 7)
        let refusal = try refusal(body(#""metadata":{"a":10}"#), decoder: decoder)
        #expect(refusal.failure == JobFailure(.tooLarge, "metadata has 8 bytes; at most 7 are allowed"))
        #expect(refusal.metadata == nil)
    }

    @Test func noJobWaitsLongerThanIsAllowed() throws {
        let wall = Timestamp(milliseconds: 1_000_000)
        var job = Job(id: try #require(JobID("a")), query: "q")
        #expect(JobCeilings().refusal(of: job, wall: wall) == nil)
        job.notBefore = Timestamp(milliseconds: 1_000_000 + 30 * 86_400_000)
        #expect(JobCeilings().refusal(of: job, wall: wall) == nil)
        job.notBefore = Timestamp(milliseconds: 1_000_001 + 30 * 86_400_000)
        let failure = try #require(JobCeilings().refusal(of: job, wall: wall))
        #expect(failure.code == .invalidJob)
        #expect(failure.message.contains("at most 30 days are allowed (limits.not_before)"))
    }
}
