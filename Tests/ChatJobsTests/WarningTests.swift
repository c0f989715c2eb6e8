import ChatJobs
import Testing

/// What a producer probably meant, and what other systems' messages look like.
@Suite struct WarningTests {
    @Test(arguments: [
        (#""more":{},"shop":1,"x":"y","trace_id":"t","lang":"de","data":[]"#, nil),
        (#""priority":7"#, "priority in the body is not read; set the AMQP property priority (0 to 9)"),
        (#""reply_to":"r""#, "reply_to in the body is not read; set the AMQP property reply_to"),
        (#""quer":"q""#, #""quer" is not read; did you mean query?"#),
        (#""meta_data":{}"#, #""meta_data" is not read; did you mean metadata?"#),
        (#""max_token":9"#, #""max_token" is not read; did you mean options.max_tokens?"#),
        (#""max_tokens":9"#, #""max_tokens" is not read; did you mean options.max_tokens?"#),
        (#""userId":"u""#, #""userId" is not read; did you mean user_id?"#),
        (#""messages":[]"#, #""messages" is not read; did you mean history?"#),
        (#""options":{"maxTokens":9}"#, #""options.maxTokens" is not read; did you mean options.max_tokens?"#),
        (#""options":{"stream":true}"#, #""options.stream" is not read; did you mean stream, beside options?"#),
        (#""options":{"model":null,"seed":1,"mine":1}"#, nil),
    ]) func membersThatNobodyReads(member: String, warning: String?) throws {
        #expect(try decode(body(member)).warnings == (warning.map { [$0] } ?? []))
    }

    @Test func whoSaysItInThePropertiesTooIsNotWarned() throws {
        let twice = try decode(body(#""priority":7,"reply_to":"/queues/r""#)) { ($0.priority, $0.replyTo) = (7, "r") }
        #expect(twice.warnings == [])
        #expect(try decode(body(#""priority":7"#)) { $0.priority = 4 }.warnings.count == 1)
    }

    @Test func warningsAreBounded() throws {
        let many = (0..<100).map { #""quer\#($0)":1"# }.joined(separator: ",")
        #expect(try decode(body(many)).warnings.count <= 8)
    }

    /// Whoever sends a hundred thousand would have the worker compare each with all names that there are.
    @Test func ofManyMembersThatNobodyReadsTheFirstAreLookedAt() throws {
        func many(_ count: Int, _ last: String) -> String {
            (0..<count).map { #""k\#($0)":1"# }.joined(separator: ",") + ",\(last)"
        }
        #expect(try decode(body(many(20, #""quer":"q""#))).warnings.count == 1)
        #expect(try decode(body(many(100, #""quer":"q""#))).warnings == [])
        #expect(try decode(body(many(100, #""tenant":"t","tenant":"u""#))).tenant == "u")
        #expect(try decode(body(#""options":{\#(many(20, #""maxTokens":9"#))}"#)).warnings.count == 1)
        #expect(try decode(body(#""options":{\#(many(100, #""maxTokens":9,"seed":7"#))}"#)).options.seed == 7)
        #expect(try decode(body(#""options":{\#(many(100, #""maxTokens":9"#))}"#)).warnings == [])
    }

    @Test func aRefusalWarnsToo() throws {
        let refusal = try refusal(#"{"quer":"q"}"#)
        #expect(refusal.failure.message == "query is missing")
        #expect(refusal.warnings == [#""quer" is not read; did you mean query?"#])
    }

    @Test func warningsAreInTheReply() throws {
        var reply = Reply(id: "a", status: .succeeded)
        #expect(!String(decoding: reply.encoded(), as: UTF8.self).contains("warnings"))
        reply.warnings = ["a \"b\""]
        reply.rewrittenQuery = "r"
        let text = String(decoding: reply.encoded(), as: UTF8.self)
        #expect(
            text.contains(#""warnings":["a \"b\""],"metadata""#) && text.contains(#""rewritten_query":"r","attempts""#))
        #expect(try Reply(decoding: reply.encoded()).warnings == reply.warnings)
        #expect(try Reply(decoding: reply.encoded()).rewrittenQuery == "r")
    }

    // MARK: - What is no job

    @Test func aCeleryTaskIsToldWhatItIs() throws {
        let refusal = try refusal(#"[["q"],{},{"chain":null}]"#) {
            $0.messageID = nil
            $0.foreign = .celery(id: "task-1")
            $0.replyTo = "results"
        }
        #expect(refusal.id == JobID("task-1") && refusal.isAnswerable)
        #expect(refusal.failure.code == .invalidJob)
        for part in [
            "an object is needed", "a task of Celery's (header task)", "a query and an id", "docs/messages.md",
        ] {
            #expect(refusal.failure.message.contains(part), "\(refusal.failure.message)")
        }
    }

    @Test func othersAreKnownByTheirBodyOrTheirType() throws {
        let spring = try refusal("{}") { ($0.messageID, $0.correlationID, $0.foreign) = (nil, "c1", .spring) }
        #expect(spring.id == JobID("c1") && spring.failure.message.contains("Spring"))
        let java = try refusal("??") { $0.contentType = "application/x-java-serialized-object" }
        #expect(java.failure.code == .unsupportedMediaType && java.failure.message.contains("Spring"))
        let value = try refusal("\u{0}\u{53}\u{77}\u{a1}\u{2}{}")
        #expect(value.failure.message.contains("AMQP 1.0"))
        let bus = try refusal("{}") { $0.contentType = "application/vnd.masstransit+json" }
        #expect(bus.failure.message.contains("MassTransit"))
    }

    @Test func aReplyThatCameToTheJobQueueIsNotAnswered() throws {
        let refusal = try refusal(#"{"id":"m1","status":"succeeded"}"#) { ($0.foreign, $0.replyTo) = (.reply, "r") }
        #expect(refusal.failure.message.contains("a reply of Parley's") && !refusal.isAnswerable)
    }

    @Test func aJobIsAJobWhoeverSendsIt() throws {
        #expect(try decode(#"{"query":"q"}"#) { $0.foreign = .spring }.query == "q")
    }

    // MARK: - What producers are not told

    @Test(arguments: [
        ("the model at http://10.0.0.5:8000/v1/chat/completions answered 500: no", "the model answered 500: no"),
        ("the model at https://m.internal/v1: no choices", "the model: no choices"),
        ("reset (https://m.internal/v1), try", "reset (address), try"), ("a / b", "a / b"), ("50% off", "50% off"),
    ]) func addressesOfServicesAreNotForProducers(message: String, shown: String) {
        #expect(JobFailure(.modelUnavailable, message).publicMessage == shown)
    }

    @Test func anAbsenceHasNoDetails() {
        #expect(
            JobFailure(.modelUnavailable, "cannot resolve m.internal", blame: .absence).publicMessage
                == "the model is away")
    }
}
