import Glibc
import ParleyJSON
import Synchronization
import TestSupport
import Testing

/// Answers and bodies that are too long for messages.
@Suite(.enabled(if: Surroundings.areComplete)) struct ObjectTests {
    private static let long = String(repeating: "A long question. ", count: 100)

    private func body(_ folder: Folder, _ name: String, _ text: String) throws -> String {
        try folder.write(name, text)
        return try Self.reference("file:\(folder.path)/\(name)", text)
    }

    private static func reference(_ url: String, _ text: String, sha256: String? = nil) throws -> String {
        let digest = try sha256 ?? digest(of: text)
        return #"{"body_ref":{"url":"\#(url)","bytes":\#(text.utf8.count),"sha256":"\#(digest)"}}"#
    }

    /// By the system's own program.
    private static func digest(of text: String) throws -> String {
        let folder = try Folder()
        try folder.write("text", text)
        _ = system("sha256sum < '\(folder.path)/text' | cut -c1-64 > '\(folder.path)/digest'")
        return String(folder.read("digest").prefix(64))
    }

    @Test func aLongAnswerIsAFileThatTheReplyNames() async throws {
        let folder = try Folder()
        let worker = try await Worker.start(["objects.url": "file:\(folder.path)", "reply.max_inline": "100"])
        try await Producer.with { producer in
            let short = try await producer.ask(#"{"query":"a short one"}"#, of: worker)
            #expect(try short.answer == "a short one" && short.json["answer_ref"] == nil)
            let id = unique()
            let reply = try await producer.ask(#"{"query":"\#(Self.long)"}"#, of: worker, id: id)
            #expect(try reply.status == "succeeded" && reply.json["answer"] == nil)
            let reference = try #require(try reply.json["answer_ref"])
            #expect(reference["bytes"]?.int == Self.long.utf8.count)
            #expect(reference["sha256"]?.string == (try Self.digest(of: Self.long)))
            #expect(reference["expires"]?.string?.hasSuffix("Z") == true)
            let url = try #require(reference["url"]?.string)
            #expect(url.hasPrefix("file:\(folder.path)/"))
            #expect(folder.read(String(url.dropFirst("file:\(folder.path)/".count))) == Self.long)
            #expect(try await producer.untilStored(id).body == reply.body)
            let shown = try await parley("result", id)
            #expect(shown.status == 0 && shown.output.contains(url))
            #expect(try await worker.metric(#"parley_objects_total{what="answer"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func withoutAStoreAnAnswerStaysInItsReply() async throws {
        let worker = try await Worker.start(["reply.max_inline": "100"])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"\#(Self.long)"}"#, of: worker)
            #expect(try reply.answer == Self.long)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aStoreThatTakesNothingLosesNoAnswer() async throws {
        let folder = try Folder()
        try folder.write("file", "x")
        let worker = try await Worker.start(["objects.url": "file:\(folder.path)/file/x", "reply.max_inline": "100"])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"\#(Self.long)"}"#, of: worker)
            #expect(try reply.answer == Self.long)
            #expect(try await worker.metric("parley_objects_failed_total") == 1)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aBodyIsReadFromTheStoreAndFromNowhereElse() async throws {
        let (folder, other) = (try Folder(), try Folder())
        let worker = try await Worker.start(["objects.url": "file:\(folder.path)", "limits.body": "4KiB"])
        try await Producer.with { producer in
            let job = #"{"query":"from afar","metadata":{"a":1}}"#
            let reply = try await producer.ask(try body(folder, "job.json", job), of: worker)
            #expect(try reply.answer == "from afar" && reply.json["metadata"]?["a"]?.int == 1)
            try other.write("job.json", job)
            symlink("\(other.path)/job.json", "\(folder.path)/link")
            let whole = "file:\(folder.path)/job.json"
            let refused: [(String, String)] = [
                (try Self.reference("file:\(other.path)/job.json", job), "invalid_job"),
                (try Self.reference("file:\(folder.path)/link", job), "invalid_job"),
                (try Self.reference("file:\(folder.path)/../\(folder.path)/job.json", job), "invalid_job"),
                (try Self.reference("file:/etc/passwd", job), "invalid_job"),
                (try Self.reference("http://127.0.0.1:1/job.json", job), "invalid_job"),
                (try Self.reference("file:\(folder.path)/lost.json", job), "invalid_job"),
                (try Self.reference(whole, job, sha256: String(repeating: "0", count: 64)), "invalid_job"),
                (try Self.reference(whole, job + " "), "invalid_job"),
                (try Self.reference(whole, String(repeating: "x", count: 5000)), "too_large"),
                (#"{"query":"q","body_ref":{}}"#, "invalid_job"),
            ]
            for (body, code) in refused {
                let reply = try await producer.ask(body, of: worker)
                #expect(try reply.errorCode == code, "\(body)")
            }
            // The reply goes out before the letter does.
            try await waitUntil("all are dead letters") { try await producer.count(worker.dead) == refused.count }
            let dead = try await producer.next(from: worker.dead)
            #expect(try dead.json["body_ref"] != nil)
            // One that names another is no job either.
            let nested = try body(folder, "nested.json", try Self.reference(whole, job))
            #expect(try await producer.ask(nested, of: worker).errorCode == "invalid_job")
            let different = try body(folder, "other-id.json", #"{"id":"someone-else","query":"q"}"#)
            #expect(try await producer.ask(different, of: worker).errorCode == "invalid_job")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aJobWhoseBodyIsElsewhereNeedsAStore() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let reply = try await producer.ask(try Self.reference("file:/tmp/x", "x"), of: worker)
            #expect(try reply.errorCode == "invalid_job")
            #expect(try reply.json["error"]?["message"]?.string?.contains("objects.url") == true)
        }
        #expect(try await worker.stop() == 0)
    }

    /// What was put, by path.
    private final class Bucket: Sendable {
        let objects = Mutex<[String: String]>([:])
        /// Answers 503 so many times first.
        let failures: Mutex<Int>
        init(failing: Int = 0) { failures = Mutex(failing) }

        func answer(_ request: HTTPPeer.Request) -> (status: Int, body: String) {
            let isAway = failures.withLock {
                $0 -= 1
                return $0 >= 0
            }
            if isAway { return (503, "<Error><Code>SlowDown</Code></Error>") }
            let words = request.line.split(separator: " ")
            guard words.count > 1, request.head.contains("authorization: AWS4-HMAC-SHA256 Credential=id/") else {
                return (403, "<Error><Code>InvalidAccessKeyId</Code></Error>")
            }
            let path = String(words[1])
            if words[0] == "PUT" {
                objects.withLock { $0[path] = String(decoding: request.body, as: UTF8.self) }
                return (200, "")
            }
            return objects.withLock { $0[path] }.map { (200, $0) } ?? (404, "<Error><Code>NoSuchKey</Code></Error>")
        }
    }

    @Test func aBucketHoldsAnswersAndBodies() async throws {
        let bucket = Bucket(failing: 1)
        let server = try await ScriptedServer { bucket.answer($0) }
        let settings = [
            "objects.url": "s3+\(server.url)/parley", "objects.access_key": "id", "objects.secret_key": "secret",
            "reply.max_inline": "100",
        ]
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"\#(Self.long)"}"#, of: worker)
            let reference = try #require(try reply.json["answer_ref"])
            let url = try #require(reference["url"]?.string)
            #expect(url.hasPrefix("s3+\(server.url)/parley/"))
            #expect(bucket.objects.withLock { $0[String(url.dropFirst("s3+\(server.url)".count))] } == Self.long)
            let job = #"{"query":"from afar"}"#
            bucket.objects.withLock { $0["/parley/in/job.json"] = job }
            // Away for longer than it is waited for in the worker.
            bucket.failures.withLock { $0 = 4 }
            let fetched = try await producer.ask(
                try Self.reference("s3+\(server.url)/parley/in/job.json", job), of: worker)
            #expect(try fetched.answer == "from afar" && fetched.json["attempts"]?.int == 1)
            let lost = try await producer.ask(try Self.reference("s3+\(server.url)/parley/lost", job), of: worker)
            #expect(try lost.errorCode == "invalid_job")
        }
        #expect(try await worker.stop() == 0)
        let check = try await parley("check", settings: settings)
        #expect(check.output.contains("objects        ok"))
        var wrong = settings
        wrong["objects.access_key"] = "other"
        #expect(try await parley("check", settings: wrong).status == 2)
    }

    /// A server that looks at every signature: PARLEY_TEST_S3 is `URL BUCKET KEY SECRET`.
    @Test(.enabled(if: getenv("PARLEY_TEST_S3") != nil)) func aRealServerTakesTheSignature() async throws {
        let words = String(cString: getenv("PARLEY_TEST_S3")).split(separator: " ").map(String.init)
        let settings = [
            "objects.url": "s3+\(words[0])/\(words[1])", "objects.access_key": words[2], "objects.secret_key": words[3],
            "reply.max_inline": "100",
        ]
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            // What was kept is taken for a body: it has been read as it was written.
            let job = #"{"query":"\#(Self.long)"}"#
            let kept = try await producer.ask(
                #"{"query":"\#(job.split(separator: "\"").joined(separator: "\\\""))"}"#, of: worker)
            let reference = try #require(try kept.json["answer_ref"])
            let url = try #require(reference["url"]?.string)
            #expect(try Self.digest(of: job) == reference["sha256"]?.string)
            let fetched = try await producer.ask(try Self.reference(url, job), of: worker)
            #expect(try fetched.json["answer_ref"]?["bytes"]?.int == Self.long.utf8.count)
            let lost = try await producer.ask(try Self.reference("s3+\(words[0])/\(words[1])/lost", job), of: worker)
            #expect(try lost.errorCode == "invalid_job")
        }
        #expect(try await worker.stop() == 0)
        #expect(try await parley("check", settings: settings).output.contains("objects        ok"))
        var wrong = settings
        wrong["objects.secret_key"] = "wrong"
        #expect(try await parley("check", settings: wrong).status == 2)
    }
}
