import ParleyJSON
import TestSupport
import Testing

/// `model.endpoints`: one model at several servers.
@Suite(.enabled(if: Surroundings.areComplete)) struct EndpointTests {
    /// An address at which nobody answers.
    private static let nowhere = "http://127.0.0.1:1/v1"

    private func worker(_ endpoints: String, _ settings: [String: String] = [:]) async throws -> Worker {
        try await Worker.start(settings.merging(["model.endpoints": endpoints]) { own, _ in own })
    }

    /// - Returns: the attempts that the jobs took.
    @discardableResult
    private func ask(_ count: Int, _ producer: Producer, _ worker: Worker) async throws -> Int {
        var attempts = 0
        for number in 0..<count {
            let reply = try await producer.ask(#"{"query":"question \#(number) of \#(unique())"}"#, of: worker)
            #expect(try reply.json["status"]?.string == "succeeded")
            attempts += try reply.json["attempts"]?.int ?? 0
        }
        return attempts
    }

    @Test func noJobWaitsForAServerThatIsKilledAndTheOneThatCameBackIsAsked() async throws {
        let second = try await ModelServer()
        var first: ModelServer? = try await ModelServer()
        let port = try #require(first?.port)
        // Nearly all of it is the first one's.
        let worker = try await worker("http://127.0.0.1:\(port)/v1|1000, \(second.url)", ["retry.base": "10ms"])
        try await Producer.with { producer in
            try await ask(10, producer, worker)
            let before = first?.questions.count ?? 0
            #expect(before > 0)
            first = nil
            // The call that meets the end of the connection may have been read.
            let attempts = try await ask(10, producer, worker)
            #expect((10...11).contains(attempts), "\(attempts)")
            #expect(second.questions.count + before == 20)
            let again = try await ModelServer(port: port)
            _ = try await eventually("the first server is asked again") {
                try await ask(1, producer, worker)
                return again.questions.isEmpty ? nil : true
            }
            #expect(try await producer.isEmpty(worker.dead))
        }
        #expect(try await worker.stop() == 0)
    }

    /// What a server does that is of no use, and whether jobs feel it before it is known.
    enum Trouble: CaseIterable {
        case nobody, pause, deployed, forbidden, wrongPath, failing, garbage
        var costs: Bool { self == .failing || self == .garbage }
    }

    @Test(arguments: Trouble.allCases) func aBadServerBesideAGoodOneStopsNobody(_ trouble: Trouble) async throws {
        let good = try await ModelServer()
        let bad = try await ModelServer { _, _ in
            switch trouble {
            case .nobody, .garbage: .garbage
            case .pause: .fails(429, retryAfter: 600)
            case .deployed: .fails(503)
            case .forbidden: .fails(401)
            case .wrongPath: .fails(404)
            case .failing: .fails(500)
            }
        }
        let worker = try await worker(
            "\(trouble == .nobody ? Self.nowhere : bad.url)|1000, \(good.url)",
            ["retry.base": "10ms", "retry.max": "50ms", "model.timeout": "10s"])
        try await Producer.with { producer in
            var attempts = 0
            for number in 0..<15 {
                let reply = try await producer.ask(#"{"query":"question \#(number)"}"#, of: worker)
                #expect(try reply.json["status"]?.string == "succeeded")
                attempts += try reply.json["attempts"]?.int ?? 0
            }
            #expect(trouble.costs ? (15...22).contains(attempts) : attempts == 15, "\(attempts)")
            #expect(good.questions.count == 15)
            #expect(bad.questions.count <= 6, "\(bad.questions.count)")
            let failures = try await worker.metric(
                #"parley_endpoint_failures_total{endpoint="\#(trouble == .nobody ? Self.nowhere : bad.url)",service="model"}"#
            )
            #expect(failures ?? 0 >= 1)
            #expect(try await worker.metric(#"parley_service_away{service="model"}"#) == 0)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aServerThatHangsIsNotFilledUpWithJobs() async throws {
        let good = try await ModelServer()
        let bad = try await ModelServer(delay: .seconds(3_600))
        let worker = try await worker(
            "\(bad.url)|1000, \(good.url)", ["retry.base": "10ms", "retry.max": "50ms", "model.timeout": "1s"])
        try await Producer.with { producer in
            for number in 0..<10 {
                let reply = try await producer.ask(#"{"query":"question \#(number)"}"#, of: worker)
                #expect(try reply.json["status"]?.string == "succeeded")
            }
            #expect(good.questions.count == 10)
            #expect(bad.questions.count <= 5, "\(bad.questions.count)")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func withAllAwayJobsWaitAtNoAttemptUntilOneIsBack() async throws {
        var server: ModelServer? = try await ModelServer()
        let port = try #require(server?.port)
        let worker = try await worker("http://127.0.0.1:\(port)/v1, \(Self.nowhere)")
        let away = #"parley_endpoint_away{endpoint="\#(Self.nowhere)",service="model"}"#
        #expect(try await worker.metric(away) == 0)
        try await Producer.with { producer in
            try await ask(2, producer, worker)
            server = nil
            for number in 0..<20 { try await producer.publish(#"{"query":"\#(number)"}"#, to: worker, id: unique()) }
            _ = try await eventually("the model is known to be away") {
                try await worker.metric(#"parley_service_away{service="model"}"#) == 1 ? true : nil
            }
            #expect(try await worker.metric(away) == 1)
            server = try await ModelServer(port: port)
            var attempts = 0
            for _ in 0..<20 {
                let reply = try await producer.nextReply()
                #expect(try reply.json["status"]?.string == "succeeded")
                attempts += try reply.json["attempts"]?.int ?? 0
            }
            // One met the end of a connection.
            #expect((20...21).contains(attempts), "\(attempts)")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aStreamThatBrokeOffIsNotGoneOnWithByAnother() async throws {
        let good = try await ModelServer()
        let bad = try await ModelServer { _, _ in .breaksOff }
        let worker = try await worker("\(bad.url)|1000, \(good.url)", ["retry.base": "10ms", "retry.max": "50ms"])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"tell me","stream":true}"#, to: worker, id: unique())
            var texts: [Int: String] = [:]
            while true {
                let message = try await producer.nextReply()
                guard message.properties.type == "chat.chunk" else {
                    #expect(try message.json["answer"]?.string == "one two three")
                    break
                }
                texts[try message.json["attempt"]?.int ?? 1, default: ""] += try message.json["delta"]?.string ?? ""
            }
            #expect(texts[1] == "one " && texts.values.contains("one two three"), "\(texts)")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func checkSaysWhichOfThemIsWrong() async throws {
        let good = try await ScriptedServer { _ in (200, #"{"data":[{"id":"m"}]}"#) }
        let closed = try await ScriptedServer { _ in (401, #"{"error":{"message":"no key"}}"#) }
        let outcome = try await parley(
            "check", "--json",
            settings: [
                "model.endpoints": "\(good.url)/v1, \(closed.url)/other/v1, \(Self.nowhere)|3", "model.name": "m",
            ])
        #expect(outcome.status == 3 || outcome.status == 2)
        let checks = try outcome.lines.first?["checks"]?.elements.filter { $0["name"]?.string == "model" } ?? []
        #expect(checks.map { $0["outcome"]?.string } == ["ok", "wrong", "unreachable"])
        let details = checks.map { $0["detail"]?.string ?? "" }
        #expect(details[1].hasPrefix("model.endpoints, entry 2 (\(closed.url)/other/v1)"), "\(details)")
        #expect(details[2].hasPrefix("model.endpoints, entry 3 (\(Self.nowhere))"), "\(details)")
    }
}
