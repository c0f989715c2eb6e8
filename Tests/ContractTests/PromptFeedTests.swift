import Glibc
import ParleyJSON
import Synchronization
import TestSupport
import Testing

/// `model.feed: prompts`: whatever has queued while the last call ran goes next, as one array.
@Suite(.enabled(if: Surroundings.areComplete)) struct PromptFeedTests {
    /// Answers arrays of prompts, taking its time.
    private final class Server: Sendable {
        private let state = Mutex<(calls: [[String]], bodies: [String], chats: Int, answered: Int)>(
            ([], [], 0, 0))
        private let peer: HTTPPeer
        private let delay: Duration
        private let refuse: @Sendable ([String]) -> (Int, String)?

        var url: String { "http://127.0.0.1:\(peer.port)/v1" }
        /// The questions of each call.
        var calls: [[String]] { state.withLock { $0.calls } }
        var bodies: [String] { state.withLock { $0.bodies } }
        var chats: Int { state.withLock { $0.chats } }

        /// Answers the first `calls`, each after its time, and holds the others.
        func release(_ calls: Int = .max) { state.withLock { $0.answered = calls } }

        /// - Parameter isHeld: the first call is not answered before ``release()``.
        init(
            delay: Duration = .milliseconds(50), isHeld: Bool = true,
            refuse: @escaping @Sendable ([String]) -> (Int, String)? = { _ in nil }
        ) throws {
            self.delay = delay
            self.refuse = refuse
            if !isHeld { state.withLock { $0.answered = .max } }
            peer = try HTTPPeer()
            peer.serve { [weak self] request, client in self?.answer(request, client) ?? false }
        }

        private func answer(_ request: HTTPPeer.Request, _ client: Int32) -> Bool {
            guard request.isPost, let root = try? JSONDocument(request.body).root else {
                return HTTPPeer.respond(200, #"{"data":[]}"#, client)
            }
            guard request.line.hasPrefix("POST /v1/completions") else {
                state.withLock { $0.chats += 1 }
                return HTTPPeer.respond(
                    200,
                    #"{"model":"m","choices":[{"message":{"role":"assistant","content":"a chat"},"finish_reason":"stop"}]}"#,
                    client)
            }
            let prompts = root["prompt"]?.elements.compactMap(\.string) ?? []
            let questions = prompts.map(Self.question)
            let number = state.withLock {
                $0.calls.append(questions)
                $0.bodies.append(String(decoding: request.body, as: UTF8.self))
                return $0.calls.count
            }
            repeat { usleep(UInt32(delay / .microseconds(1))) } while state.withLock { number > $0.answered }
            if let (status, body) = refuse(questions) { return HTTPPeer.respond(status, body, client) }
            // Not in order, as servers do that answer what is ready.
            let choices = questions.enumerated().reversed().map { place, question in
                question == "nothing" ? "" : #"{"index":\#(place),"text":" to \#(question)","finish_reason":"stop"}"#
            }.filter { !$0.isEmpty }
            return HTTPPeer.respond(
                200,
                #"{"model":"m","choices":[\#(choices.joined(separator: ","))],"usage":{"prompt_tokens":\#(300 * prompts.count),"completion_tokens":\#(10 * prompts.count)}}"#,
                client)
        }

        private static func question(_ prompt: String) -> String {
            let rest = prompt[(prompt.ranges(of: "Question: ").last?.upperBound ?? prompt.startIndex)...]
            return String(rest.prefix { $0 != "<" && $0 != "\n" })
        }
    }

    private func settings(_ server: Server, _ more: [String: String] = [:]) -> [String: String] {
        ["model.url": server.url, "model.name": "m", "model.feed": "prompts"].merging(more) { $1 }
    }

    private func publish(_ numbers: Range<Int>, _ producer: Producer, to worker: Worker) async throws {
        for number in numbers {
            try await producer.publish(#"{"query":"question \#(number)"}"#, to: worker, id: "\(number).\(unique())")
        }
    }

    /// Has the first call answered, and `calls` in all, when so many jobs are in the worker.
    private func release(
        _ server: Server, at jobs: Int, in worker: Worker, calls: Int = .max
    ) async throws {
        _ = try await eventually("\(jobs) jobs in the worker") {
            let inFlight = try await worker.metric("parley_jobs_in_flight")
            let queued = try await worker.metric("parley_model_queue")
            return inFlight == Double(jobs) && queued == Double(jobs - 1) ? true : nil
        }
        server.release(calls)
    }

    @Test func whatHasQueuedGoesTogetherAndALoneJobGoesAtOnce() async throws {
        let server = try Server()
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            #expect(server.calls == [["question 0"]])
            try await publish(1..<41, producer, to: worker)
            try await release(server, at: 41, in: worker)
            for _ in 0..<41 {
                let reply = try await producer.nextReply()
                let number = try reply.json["id"]?.string?.split(separator: ".").first.map(String.init) ?? ""
                #expect(try reply.answer == "to question \(number)")
                #expect(try reply.json["usage"]?["prompt_tokens"]?.int == 300)
                #expect(try reply.json["model"]?.string == "m")
            }
            #expect(server.calls.map(\.count) == [1, 16, 16, 8])
            let body = try #require(server.bodies.first)
            #expect(body.contains("<|im_start|>system") && body.contains(#""stop":["<|im_end|>"]"#))
            #expect(try await worker.metric("parley_model_calls_total") == 4)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func anArrayThatOneServerDoesNothingForGoesToAnother() async throws {
        let busy = try Server(delay: .zero, isHeld: false) { _ in (503, #"{"error":{"message":"busy"}}"#) }
        let free = try Server(delay: .zero, isHeld: false)
        let worker = try await Worker.start([
            "model.endpoints": "\(busy.url)|1000, \(free.url)", "model.name": "m", "model.feed": "prompts",
        ])
        try await Producer.with { producer in
            for number in 0..<5 {
                let reply = try await producer.ask(#"{"query":"question \#(number)"}"#, of: worker)
                #expect(try reply.answer == "to question \(number)")
                #expect(try reply.json["attempts"]?.int == 1)
            }
            #expect(free.calls.count == 5 && (1...4).contains(busy.calls.count))
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func oneBadPromptFailsAlone() async throws {
        let server = try Server { questions in
            questions.contains("evil") ? (400, #"{"error":{"message":"this prompt is not allowed"}}"#) : nil
        }
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            try await producer.publish(#"{"query":"evil"}"#, to: worker, id: "evil.\(unique())")
            try await producer.publish(#"{"query":"nothing"}"#, to: worker, id: "nothing.\(unique())")
            try await publish(1..<8, producer, to: worker)
            try await release(server, at: 10, in: worker)
            var outcomes: [String: String] = [:]
            // What was not answered is tried again, and not answered again.
            while outcomes.count < 9 {
                let reply = try await producer.nextReply()
                let name = try reply.json["id"]?.string?.split(separator: ".").first.map(String.init) ?? ""
                outcomes[name] = try reply.errorCode ?? reply.answer
                if name != "evil" { #expect(try reply.json["attempts"]?.int == 1) }
            }
            #expect(outcomes["evil"] == "model_rejected")
            for number in 0..<8 { #expect(outcomes["\(number)"] == "to question \(number)") }
        }
        #expect(try await worker.stop() == 0)
    }

    /// Each would be given its neighbour's answer.
    @Test func whoCountsFromOneIsNotBelieved() async throws {
        let server = try Server { questions in
            let choices = questions.enumerated().map {
                #"{"index":\#($0 + 1),"text":"to \#($1)","finish_reason":"stop"}"#
            }
            return (200, #"{"model":"m","choices":[\#(choices.joined(separator: ","))]}"#)
        }
        let worker = try await Worker.start(settings(server, ["retry.max_attempts": "2", "retry.base": "10ms"]))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            try await publish(1..<4, producer, to: worker)
            try await release(server, at: 4, in: worker)
            for _ in 0..<4 { #expect(try await producer.nextReply().errorCode == "model_unavailable") }
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aServerThatRunsOutOfMemoryGetsLess() async throws {
        let server = try Server { questions in
            questions.count > 4 ? (500, #"{"error":{"message":"CUDA out of memory"}}"#) : nil
        }
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            try await publish(1..<33, producer, to: worker)
            try await release(server, at: 33, in: worker)
            for _ in 0..<33 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded" && reply.json["attempts"]?.int == 1)
            }
            #expect(server.calls.count { $0.count > 4 } <= 3, "\(server.calls.map(\.count))")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func onlyEqualOnesGoTogetherAndStreamsGoAsChats() async throws {
        let server = try Server()
        let worker = try await Worker.start(settings(server, ["model.max_batch": "4"]))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            for number in 0..<4 {
                for temperature in ["0.1", "0.9"] {
                    try await producer.publish(
                        #"{"query":"t \#(temperature) \#(number)","options":{"temperature":\#(temperature)}}"#,
                        to: worker, id: unique())
                }
            }
            try await producer.publish(#"{"query":"a stream","stream":true}"#, to: worker, id: unique())
            try await release(server, at: 10, in: worker)
            var replies = 0
            while replies < 10 {
                let message = try await producer.nextReply()
                if message.properties.type == "chat.reply" { replies += 1 }
            }
            #expect(server.chats == 1)
            for call in server.calls.dropFirst() {
                #expect(
                    Set(call.map { $0.split(separator: " ").dropFirst().first ?? "" }).count == 1 && call.count <= 4)
            }
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func whoIsTooLateLeavesTheOthersAlone() async throws {
        let server = try Server()
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<1, producer, to: worker)
            _ = try await eventually("the first call") { server.calls.count == 1 ? true : nil }
            try await producer.publish(
                #"{"query":"late","deadline":"\#(rfc3339(secondsFromNow: 8))"}"#, to: worker, id: "late.\(unique())")
            try await publish(1..<4, producer, to: worker)
            try await release(server, at: 5, in: worker, calls: 1)
            #expect(try await producer.nextReply().status == "succeeded")
            // The second call is still under way.
            #expect(try await producer.nextReply().status == "expired")
            #expect(server.calls.count == 2 && server.calls.last?.count == 4)
            server.release()
            for _ in 0..<3 { #expect(try await producer.nextReply().status == "succeeded") }
        }
        #expect(try await worker.stop() == 0)
    }

    /// A llama.cpp server: its address is PARLEY_TEST_PROMPTS_URL.
    @Test(.enabled(if: getenv("PARLEY_TEST_PROMPTS_URL") != nil)) func aRealServerAnswersArrays() async throws {
        let worker = try await Worker.start([
            "model.url": String(cString: getenv("PARLEY_TEST_PROMPTS_URL")), "model.feed": "prompts",
            "limits.max_tokens": "64", "prompt.system": "Be brief.",
        ])
        try await Producer.with { producer in
            for number in 0..<12 {
                try await producer.publish(
                    #"{"query":"Name one thing that is number \#(number).","options":{"max_tokens":12}}"#, to: worker,
                    id: unique())
            }
            for _ in 0..<12 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded" && reply.answer?.isEmpty == false)
                #expect(try (10...80).contains(reply.json["usage"]?["prompt_tokens"]?.int ?? 0))
                #expect(try (1...24).contains(reply.json["usage"]?["completion_tokens"]?.int ?? 0))
            }
            #expect(try await worker.metric("parley_model_calls_total") ?? 12 < 6)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func checkTellsThatAServerTakesNoPrompts() async throws {
        let chats = try await ModelServer()
        let fine = try Server(isHeld: false)
        #expect(try await parley("check", settings: settings(fine)).status == 0)
        let server = try await ScriptedServer { request in
            request.line.contains("/chat/")
                ? (
                    200,
                    #"{"model":"m","choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#
                ) : request.isPost ? (404, "") : (200, #"{"data":[{"id":"m"}]}"#)
        }
        let outcome = try await parley(
            "check", settings: ["model.url": server.url + "/v1", "model.name": "m", "model.feed": "prompts"])
        #expect(outcome.status == 2 && outcome.output.contains("model.feed is prompts"), "\(outcome.output)")
        let wrong = try await parley(
            "check", settings: ["model.url": chats.url, "model.feed": "prompts", "model.template": "jinja"])
        #expect(wrong.status == 2 && wrong.errors.contains("chatml, llama3"))
    }
}
