import ChatJobs
import ParleyJSON
import Testing

@Suite struct ReplyTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private var succeeded: Reply {
        var reply = Reply(id: "9f1c", status: .succeeded)
        reply.answer = "Send it \"back\".\n中"
        reply.sources = [Source(id: "returns.md#2", score: 0.83, title: "Returns", text: "t")]
        reply.model = "m"
        reply.usage = Usage(promptTokens: 321, completionTokens: 57, cachedTokens: 300)
        reply.finishReason = .length
        reply.agent = "aftersale"
        reply.timings.queued = 3.1
        reply.timings.retrieve = 12
        reply.timings.generate = 803.2004
        reply.timings.total = 819.9
        reply.metadata = Array(#"{ "k": [1.50] }"#.utf8)
        return reply
    }

    @Test func aSucceededReplyHasTheContractsMembers() {
        #expect(
            text(succeeded.encoded())
                == #"{"id":"9f1c","status":"succeeded","answer":"Send it \"back\".\n中","#
                + #""sources":[{"id":"returns.md#2","score":0.83,"title":"Returns","text":"t"}],"model":"m","cited":[],"#
                + #""usage":{"prompt_tokens":321,"completion_tokens":57,"cached_tokens":300,"calls":1},"finish_reason":"length","cached":"none","agent":"aftersale","#
                + #""attempts":1,"timings_ms":{"queued":3.1,"retrieve":12,"generate":803.2,"total":819.9},"#
                + #""metadata":{ "k": [1.50] }}"#)
    }

    @Test func aReusedAnswerSaysSoAndCostsNothing() throws {
        var reply = succeeded
        reply.usage?.cost = Cost(0.00042, "USD")
        reply.cited = [1]
        reply.timings.generate = 803.2
        #expect(text(reply.encoded()).contains(#""calls":1,"cost":{"amount":0.00042,"currency":"USD"}}"#))
        #expect(try Reply(decoding: reply.encoded()) == reply)
        reply.usage = reply.usage?.unpaid
        reply.cached = .redis
        reply.age = .milliseconds(1500)
        reply.isStale = true
        let encoded = text(reply.encoded())
        #expect(encoded.contains(#""calls":0,"cost":{"amount":0,"currency":"USD"}}"#), "\(encoded)")
        #expect(encoded.contains(#""cached":"redis","age_ms":1500,"stale":true"#))
        #expect(try Reply(decoding: reply.encoded()) == reply)
    }

    @Test(arguments: [
        ("See [1] and [3, 1].", [1, 3]), ("[2][1]", [1, 2]), ("[4], [0], [x], [1x], [ 2 ]", [2]), ("none", []),
        ("[99999999999999999999]", []), ("[1", []),
    ]) func citationsArePlacesInTheSources(text: String, places: [Int]) {
        #expect(Citations.places(in: text, of: 3) == places)
    }

    @Test func pricesArePerMillionTokens() {
        let prices = Prices(input: 2.5, cached: 1.25, output: 10, currency: "EUR")
        let usage = Usage(promptTokens: 1000, completionTokens: 100, cachedTokens: 400)
        #expect(prices.cost(of: usage) == Cost(0.003, "EUR"))
    }

    @Test(arguments: [
        (ErrorCode.modelTimeout, "failed", "true"), (.internal, "failed", "true"), (.invalidJob, "failed", "false"),
        (.expired, "expired", "false"), (.revoked, "revoked", "false"),
    ]) func anyOtherReplyHasAnErrorAndNoAnswer(code: ErrorCode, status: String, retryable: String) {
        let reply = Reply(id: "a", failure: JobFailure(code, "why"))
        #expect(
            text(reply.encoded())
                == #"{"id":"a","status":"\#(status)","cached":"none","attempts":1,"#
                + #""timings_ms":{"queued":0,"retrieve":0,"generate":0,"total":0},"#
                + #""error":{"code":"\#(code.rawValue)","message":"why","retryable":\#(retryable)},"metadata":{}}"#)
    }

    @Test func aReplyToAMessageWithoutAnIDHasNone() {
        #expect(
            text(Reply(id: nil, failure: JobFailure(.invalidJob, "x")).encoded()).hasPrefix(#"{"status":"failed","#))
    }

    @Test func aSucceededReplyHasItsMembersEvenWhenTheyAreEmpty() throws {
        let json = try JSONDocument(Reply(id: "a", status: .succeeded).encoded()).root
        for name in ["answer", "sources", "model", "usage", "finish_reason"] { #expect(json[name] != nil, "\(name)") }
        #expect(json["error"] == nil)
    }

    @Test func whatIsWrittenReadsBack() throws {
        var reply = succeeded
        reply.timings.generate = 803.2
        reply.cached = .redis
        reply.attempts = 3
        #expect(try Reply(decoding: reply.encoded()) == reply)
        var failed = Reply(id: "a", failure: JobFailure(.rateLimited, "slow down"))
        failed.metadata = Array("{}".utf8)
        #expect(try Reply(decoding: failed.encoded()) == failed)
    }

    @Test(arguments: ["", "[]", "{}", #"{"status":"done"}"#, #"{"status":1}"#]) func whatIsNoReplyIsRefused(
        text: String
    ) {
        #expect(throws: JSONError.self) { try Reply(decoding: Array(text.utf8)) }
    }

    @Test func numbersThatAreNotFiniteBecomeNull() {
        var reply = Reply(id: "a", status: .succeeded)
        reply.sources = [Source(id: "s", score: .nan, title: "", text: "")]
        reply.timings.total = .infinity
        #expect(throws: Never.self) { try JSONDocument(reply.encoded()) }
    }

    @Test func aChunkNamesItsAttemptFromTheSecondOn() throws {
        #expect(text(Chunk(id: "a", seq: 0, delta: "x\n").encoded()) == #"{"id":"a","seq":0,"delta":"x\n"}"#)
        let second = Chunk(id: "a", seq: 3, delta: "y", attempt: 2)
        #expect(text(second.encoded()) == #"{"id":"a","seq":3,"delta":"y","attempt":2}"#)
        #expect(try Chunk(decoding: second.encoded()) == second)
        #expect(try Chunk(decoding: Array(#"{"id":"a","seq":0,"delta":""}"#.utf8)).attempt == 1)
        #expect(throws: JSONError.self) { try Chunk(decoding: Array(#"{"id":"a","seq":0}"#.utf8)) }
    }

    @Test func theErrorCodesAreTheContracts() {
        #expect(
            ErrorCode.allCases.map(\.rawValue) == [
                "invalid_job", "id_conflict", "unsupported_media_type", "too_large", "expired", "revoked",
                "retrieval_failed",
                "model_rejected", "model_unavailable", "model_timeout", "rate_limited", "worker_lost", "internal",
            ])
    }
}
