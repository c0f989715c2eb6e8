import ChatJobs
import Testing

@Suite struct EnvelopeTests {
    // MARK: - The id

    @Test func aBodyThatWasDiscardedIsTooLargeWhateverIsLeftOfIt() throws {
        var envelope = Envelope()
        envelope.messageID = "id-1"
        envelope.discardedBytes = 16 << 20
        let refusal = #expect(throws: JobDecoder.Refusal.self) {
            try JobDecoder().decode([], envelope) { (body, _) throws(JobFailure) in body }
        }
        #expect(refusal?.id == JobID("id-1"))
        #expect(
            refusal?.failure == JobFailure(.tooLarge, "the body has 16777216 bytes; at most 1048576 are allowed"))
        envelope.discardedBytes = 1
        #expect(throws: JobDecoder.Refusal.self) {
            try JobDecoder().decode(Array(#"{"query":"x"}"#.utf8), envelope) { (body, _) throws(JobFailure) in body }
        }
    }

    @Test func theBodysIDServesWhenThePropertyIsAbsent() throws {
        #expect(try decode(#"{"id":"b1","query":"q"}"#) { $0.messageID = nil }.id.text == "b1")
    }

    @Test func bothIDsMayBeGivenWhenTheyAgree() throws {
        #expect(try decode(#"{"id":"m1","query":"q"}"#).id.text == "m1")
        #expect(try decode(#"{"id":"","query":"q"}"#).id.text == "m1", "empty counts as absent")
        let refusal = try refusal(#"{"id":"b1","query":"q"}"#)
        #expect(
            refusal.failure == JobFailure(.invalidJob, #"message_id "m1" and id "b1" differ; they must agree"#))
        #expect(refusal.id == JobID("m1"))
    }

    @Test func anIDIsRequired() throws {
        let refusal = try refusal(#"{"query":"q"}"#) { $0.messageID = nil }
        #expect(
            refusal.failure == JobFailure(.invalidJob, "no id: set the property message_id or the body's field id"))
        #expect(refusal.id == nil)
    }

    @Test(arguments: ["a", "A.b_c:d-9", String(repeating: "x", count: 128)]) func goodIDs(text: String) {
        #expect(JobID(text)?.text == text)
    }

    @Test func emptyPropertiesCountAsAbsent() throws {
        let job = try decode(#"{"id":"b1","query":"q"}"#) {
            ($0.messageID, $0.correlationID, $0.replyTo) = ("", "", "")
            ($0.contentType, $0.contentEncoding) = ("", "")
        }
        #expect(job.id.text == "b1")
        var envelope = Envelope()
        (envelope.messageID, envelope.correlationID, envelope.replyTo) = ("", "", "")
        #expect(envelope == Envelope())
    }

    @Test(arguments: ["a b", "a/b", "ä", "a\n", "a\u{0}", "中", String(repeating: "x", count: 129)])
    func badIDs(text: String) throws {
        #expect(JobID(text) == nil)
        let refusal = try refusal(#"{"query":"q"}"#) { $0.messageID = text }
        #expect(refusal.failure.code == .invalidJob)
        #expect(refusal.failure.message.hasSuffix("allowed are 1 to 128 of A-Z a-z 0-9 . _ : -"))
        #expect(refusal.id == nil)
    }

    @Test func anIDOfTheWrongTypeIsRefused() throws {
        let failure = try refusal(#"{"id":7,"query":"q"}"#).failure
        #expect(failure == JobFailure(.invalidJob, "id is a JSON number; a string is needed"))
    }

    @Test func aRefusalNamesTheBodysIDWhenItCanBeRead() throws {
        #expect(try refusal(#"{"id":"b1"}"#) { $0.messageID = nil }.id == JobID("b1"))
        #expect(try refusal(#"{"id":"b 1"}"#) { $0.messageID = nil }.id == nil)
    }

    @Test func aRefusalEchoesWhatCanBeRead() throws {
        let echoed = #""id":"b1","agent":"aftersale","metadata":{"a":1}"#
        let large = String(repeating: "m", count: 2 << 20)
        let refusals = [
            try refusal("{\(echoed),\"query\":3}") { $0.messageID = nil },
            try refusal("{\(echoed),\"query\":\"q\"}") { ($0.messageID, $0.contentType) = (nil, "text/html") },
            try refusal("{\(echoed),\"query\":\"q\"}") { ($0.messageID, $0.replyTo) = (nil, "chat.jobs.dead") },
            try refusal("{\(echoed),\"query\":\"q\",\"more\":\"\(large)\"}") { $0.messageID = nil },
        ]
        for refusal in refusals {
            #expect(refusal.id == JobID("b1"))
            #expect(refusal.agent == "aftersale")
            #expect(refusal.metadata == Array(#"{"a":1}"#.utf8))
        }
        let unreadable = try refusal(#"{"agent":7,"metadata":"text"}"#)
        #expect(unreadable.agent == nil && unreadable.metadata == nil)
    }

    // MARK: - Types

    @Test(arguments: [
        nil, "", "application/json", "Application/JSON", "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"", "application/json ; x=1", "application/json;", "text/json", "TEXT/JSON",
        "application/vnd.api+json", "application/cloudevents+JSON; charset=UTF-8", "text/plain",
        "text/plain; charset = utf-8; format=flowed", "application/octet-stream", "Application/Octet-Stream ",
    ]) func contentTypesThatAreRead(type: String?) throws {
        #expect(try decode(#"{"query":"q"}"#) { $0.contentType = type }.query == "q")
    }

    @Test(arguments: ["application/xml", "text/html", "json", "application/x-python-serialize", "application/json5"])
    func contentTypesThatAreNot(type: String) throws {
        let failure = try refusal(#"{"query":"q"}"#) { $0.contentType = type }.failure
        #expect(
            failure
                == JobFailure(
                    .unsupportedMediaType, #"content_type is "\#(type)"; application/json (UTF-8) is needed"#))
    }

    @Test(arguments: [
        "application/json; charset=latin1", "text/plain; charset=iso-8859-1",
        "application/a+json;x=1; Charset=\"utf-16\"",
    ]) func otherCharsetsAreRefused(type: String) throws {
        let failure = try refusal(#"{"query":"q"}"#) { $0.contentType = type }.failure
        #expect(failure.code == .unsupportedMediaType)
        #expect(failure.message.contains("only UTF-8 is read"))
    }

    @Test(arguments: [nil, "", "utf-8", "UTF-8", "identity", "Identity"]) func contentEncodingsThatAreRead(
        encoding: String?
    ) throws {
        #expect(try decode(#"{"query":"q"}"#) { $0.contentEncoding = encoding }.query == "q")
    }

    @Test func otherContentEncodingsAreRefused() throws {
        let failure = try refusal(#"{"query":"q"}"#) { $0.contentEncoding = "br" }.failure
        #expect(
            failure
                == JobFailure(.unsupportedMediaType, #"content_encoding is "br"; utf-8 and gzip are allowed"#))
    }

    @Test(arguments: ["gzip", "GZIP", "x-gzip"]) func gzipHasItsNameInAnyCase(encoding: String) throws {
        #expect(try refusal(#"{"query":"q"}"#) { $0.contentEncoding = encoding }.failure.message == "not gzip")
    }

    @Test func aByteOrderMarkIsSkipped() throws {
        #expect(try decode("\u{FEFF}" + #"{"query":"q"}"#).query == "q")
        #expect(try refusal("\u{FEFF}\u{FEFF}{}").failure.code == .invalidJob)
    }

    @Test func gzipIsUndoneWithinTheBodysLimit() throws {
        var envelope = Envelope()
        envelope.messageID = "m1"
        envelope.contentEncoding = "gzip"
        let limited = JobDecoder(maxBody: 100)
        var asked: [Int] = []
        let job = try limited.decode([1, 2, 3], envelope) { (body, limit) throws(JobFailure) in
            #expect(body == [1, 2, 3])
            asked.append(limit)
            return Array(#"{"query":"unzipped"}"#.utf8)
        }
        #expect(job.query == "unzipped")
        #expect(asked == [100])
        #expect(throws: JobDecoder.Refusal.self) {
            try limited.decode([1], envelope) { (_, _) throws(JobFailure) in throw JobFailure(.tooLarge, "a bomb") }
        }
    }

    @Test func aBodyOverItsLimitIsNotEvenRead() throws {
        let limited = JobDecoder(maxBody: 20)
        let failure = try refusal(#"{"query":"0123456789"}"#, decoder: limited).failure
        #expect(failure == JobFailure(.tooLarge, "the body has 22 bytes; at most 20 are allowed"))
    }

    @Test(
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0xEF, 0xBB, 0x7B, 0x7D],
            [0x22, 0xED, 0xA0, 0x80, 0x22],
        ] as [[UInt8]])
    func textThatIsNotUTF8IsRefused(bytes: [UInt8]) {
        #expect(throws: JobDecoder.Refusal.self) { try decoder.decode(bytes, Envelope(), inflate: noGzip) }
    }

    // MARK: - reply_to

    @Test(arguments: [
        "chat.jobs", "chat.jobs.dead", "chat.jobs.high", "chat.jobs.delay", "chat.jobs.delay.1000",
        "chat.jobs.delay\n",
    ]) func ourOwnQueuesTakeNoReplies(queue: String) throws {
        let failure = try refusal(#"{"query":"q"}"#) { $0.replyTo = queue }.failure
        #expect(failure.code == .invalidJob)
        #expect(failure.message.hasPrefix("reply_to names "))
        #expect(!failure.message.contains("\n"))
    }

    @Test(arguments: [nil, "", "replies", "amq.rabbitmq.reply-to.g2dk.b", "chat.jobs.low", "chat.jobsx", "chat"])
    func otherQueuesDo(queue: String?) throws {
        #expect(try decode(#"{"query":"q"}"#) { $0.replyTo = queue }.query == "q")
    }

    // MARK: - What comes first

    @Test func typeThenSizeThenBodyThenIDThenReplyTo() throws {
        let tiny = JobDecoder(maxBody: 1)
        func code(_ change: @escaping (inout Envelope) -> Void, _ body: String = "not json") throws -> String {
            try refusal(body, decoder: tiny, change).failure.message
        }
        #expect(
            try code {
                $0.replyTo = "chat.jobs"
                $0.contentType = "text/html"
            }.hasPrefix("content_type"))
        #expect(
            try code {
                $0.contentType = "text/html"
                $0.contentEncoding = "br"
            }.hasPrefix("content_type"))
        #expect(try code { $0.contentEncoding = "br" }.hasPrefix("the body has"))
        #expect(try code({ $0.contentEncoding = "br" }, "{").hasPrefix("content_encoding"))
        #expect(try refusal("{") { $0.messageID = "bad id" }.failure.message.hasPrefix("the body is not JSON"))
        #expect(try refusal("{}") { $0.messageID = "bad id" }.failure.message.hasPrefix("id is"))
    }

    @Test func priorityIsFourUnlessGivenAndNineAtMost() {
        var envelope = Envelope()
        #expect(envelope.effectivePriority == 4)
        for (given, counts) in [(0, 0), (9, 9), (10, 9), (255, 9)] as [(UInt8, Int)] {
            envelope.priority = given
            #expect(envelope.effectivePriority == counts)
        }
    }
}
