import ChatJobs
import Testing

/// Messages that say where a job's body is.
@Suite struct BodyReferenceTests {
    private static let digest = String(repeating: "ab", count: 32)

    private static var taking: JobDecoder {
        var taking = decoder
        taking.takesReferences = true
        return taking
    }

    private func reference(_ body: String, by decoder: JobDecoder = taking) throws -> (id: JobID, body: BodyReference)?
    {
        var envelope = Envelope()
        envelope.messageID = "m1"
        return try decoder.reference(in: Array(body.utf8), envelope, inflate: noGzip)
    }

    private func named(_ bytes: String = "12", _ sha256: String = digest) -> String {
        #"{"body_ref":{"url":"file:/a/b","bytes":\#(bytes),"sha256":"\#(sha256)"}}"#
    }

    @Test func aReferenceIsReadWithTheMessagesID() throws {
        let found = try #require(try reference(named()))
        #expect(found.id.text == "m1")
        #expect(found.body == BodyReference(url: "file:/a/b", bytes: 12, sha256: Self.digest))
        #expect(try reference(#"{"query":"what is a body_ref?"}"#) == nil)
        #expect(try reference(#"{"body_ref":null,"query":"q"}"#) == nil)
        #expect(try reference("no JSON, body_ref") == nil)
    }

    @Test(
        arguments: [
            (#"{"body_ref":"file:/a/b"}"#, ErrorCode.invalidJob), (#"{"body_ref":{"url":"file:/a/b"}}"#, .invalidJob),
            (#"{"query":"q","body_ref":{"url":"file:/a/b"}}"#, .invalidJob),
            (#"{"id":"other","body_ref":{"url":"u","bytes":1,"sha256":"x"}}"#, .invalidJob),
        ])
    func whatIsNoReferenceIsRefused(body: String, code: ErrorCode) {
        do {
            _ = try reference(body)
            Issue.record("accepted \(body)")
        } catch { #expect((error as? JobDecoder.Refusal)?.failure.code == code) }
    }

    @Test func sizeAndDigestAreLookedAtFirst() {
        for (body, code) in [
            (named("1048577"), ErrorCode.tooLarge), (named("-1"), .invalidJob), (named("1", "abc"), .invalidJob),
        ] {
            do {
                _ = try reference(body)
                Issue.record("accepted \(body)")
            } catch { #expect((error as? JobDecoder.Refusal)?.failure.code == code) }
        }
    }

    @Test func withoutAStoreAReferenceIsNoJob() throws {
        #expect(try reference(named(), by: decoder) == nil)
        #expect(try refusal(named()).failure.message.contains("objects.url is not set"))
        // One in the body that was fetched leads nowhere.
        #expect(try refusal(named(), decoder: Self.taking).failure.message.contains("itself"))
    }

    @Test func aReplyNamesItsAnswer() throws {
        var reply = Reply(id: "a", status: .succeeded)
        reply.answerReference = AnswerReference(
            url: "file:/a/b", bytes: 300_000, sha256: Self.digest, expires: Timestamp(milliseconds: 1_800_000_000_000))
        let text = String(decoding: reply.encoded(), as: UTF8.self)
        #expect(!text.contains(#""answer":"#))
        #expect(
            text.contains(#""answer_ref":{"url":"file:/a/b","bytes":300000,"sha256":"\#(Self.digest)","expires":""#))
        #expect(try Reply(decoding: reply.encoded()).answerReference == reply.answerReference)
    }
}
