import ChatJobs
import Testing

/// What is worth being answered ahead of time.
struct QuestionLogTests {
    private func question(_ change: (inout Job) -> Void) throws -> RecordedQuestion? {
        var job = Job(id: try #require(JobID("a")), query: "What is it?")
        job.tenant = "shop"
        job.userID = "u"
        change(&job)
        return RecordedQuestion(job, perUser: false)
    }

    @Test func aRecordSaysWhatDecidesTheAnswerAndNothingElse() throws {
        let recorded = try question {
            $0.stream = true
            $0.metadata = Array("{}".utf8)
            $0.options.topK = 2
            $0.deadline = Timestamp(milliseconds: 1)
        }
        let text = recorded.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(text == #"{"query":"What is it?","tenant":"shop","options":{"top_k":2}}"#)
        #expect(recorded?.userID == "u")
    }

    @Test func conversationsAndWhatIsNotKeptAreNotRecorded() throws {
        #expect(try question { $0.history = [Turn(role: .user, content: "And before?")] } == nil)
        #expect(try question { $0.options.cache = .bypass } == nil)
        #expect(try question { $0.options.cache = .refresh } == nil)
        #expect(try question { $0.query = String(repeating: "x", count: 5000) } == nil)
    }

    @Test func whereEachUserHasAnswersOfTheirOwnTheRecordNamesThem() throws {
        let job = Job(id: try #require(JobID("a")), query: "What is it?")
        var own = job
        own.userID = "u"
        #expect(RecordedQuestion(own, perUser: true)?.body == Array(#"{"query":"What is it?","user_id":"u"}"#.utf8))
        #expect(RecordedQuestion(job, perUser: true)?.body == Array(#"{"query":"What is it?"}"#.utf8))
    }
}
