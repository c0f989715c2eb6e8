import Glibc
import ParleyJSON
import Synchronization
import TestSupport

/// An OpenAI-compatible service with a batch interface, on loopback. It counts what it would be paid for.
final class BatchServer: Sendable {
    /// What becomes of a question in a batch.
    enum Reaction: Sendable {
        case answers
        case fails(Int, String = "no")
        /// An answer that the service's content filter holds back, and charges for.
        case filters
        /// The batch ends before its turn.
        case expires
    }

    enum Step: Sendable { case upload, create }

    struct Batch: Sendable {
        let key: String
        let file: String
        var isDone = false
        var isCancelled = false
        /// Its questions, and what came of them.
        var questions: [String] = []
        var outcomes = ""
        var errors = ""
    }

    private struct State {
        var files: [String: String] = [:]
        var batches: [Batch] = []
        var chats: [String] = []
        var looks = 0
        var asked: [String: Int] = [:]
        /// This step is done, and its answer never given.
        var silentAt: Step?
        var isHeld: Bool
        var refusal: String?
        var mostLines = Int.max
    }

    private let peer: HTTPPeer
    private let state: Mutex<State>
    private let react: @Sendable (_ question: String, _ count: Int) -> Reaction

    var url: String { "http://127.0.0.1:\(peer.port)/v1" }
    var batches: [Batch] { state.withLock { $0.batches } }
    var uploads: Int { state.withLock { $0.files.count } }
    /// How often it was asked how far a batch is.
    var looks: Int { state.withLock { $0.looks } }
    /// Questions that were asked by themselves.
    var chats: [String] { state.withLock { $0.chats } }
    /// Questions in batches, each as often as it would be paid for.
    var paid: [String: Int] {
        batches.filter { !$0.isCancelled }.flatMap(\.questions).reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// - Parameters:
    ///   - isHeld: batches are not worked on before ``release()``.
    ///   - silentAt: the answer to this step is never given.
    init(
        isHeld: Bool = false, silentAt: Step? = nil,
        react: @escaping @Sendable (_ question: String, _ count: Int) -> Reaction = { _, _ in .answers }
    ) throws {
        self.react = react
        state = Mutex(State(silentAt: silentAt, isHeld: isHeld))
        peer = try HTTPPeer()
        peer.serve { [weak self] request, client in self?.answer(request, client) ?? false }
    }

    func release() { state.withLock { $0.isHeld = false } }
    func speak() { state.withLock { $0.silentAt = nil } }
    /// Files with more lines are refused (413).
    func takes(_ lines: Int) { state.withLock { $0.mostLines = lines } }
    /// Every batch fails as a whole.
    func refuse(_ refusal: String?) { state.withLock { $0.refusal = refusal } }

    private func answer(_ request: HTTPPeer.Request, _ client: Int32) -> Bool {
        let path = String(request.line.split(separator: " ").last ?? "")
        let parts = path.split(separator: "?")[0].split(separator: "/").map(String.init).dropFirst()
        func respond(_ body: String) -> Bool {
            HTTPPeer.respond(200, body, header: "content-type: application/json\r\n", client)
        }
        switch (request.isPost, Array(parts)) {
        case (true, ["chat", "completions"]):
            let question = Self.question((try? JSONDocument(request.body).root))
            state.withLock { $0.chats.append(question) }
            return respond(Self.completion(question))
        case (true, ["files"])
        where Self.lines(String(decoding: request.body, as: UTF8.self)).count > state.withLock(\.mostLines):
            return HTTPPeer.respond(413, "<html>too large</html>", client)
        case (true, ["files"]):
            let (id, isSilent) = state.withLock { state in
                let id = "file-\(state.files.count + 1)"
                state.files[id] = String(decoding: request.body, as: UTF8.self)
                return (id, state.silentAt == .upload)
            }
            return isSilent ? Self.hold(client) : respond(#"{"id":"\#(id)","object":"file"}"#)
        case (true, ["batches"]):
            let root = try? JSONDocument(request.body).root
            let key = root?["metadata"]?["parley"]?.string ?? "?"
            let (number, isSilent) = create(key, file: root?["input_file_id"]?.string ?? "?")
            return isSilent ? Self.hold(client) : respond(describe(number))
        case (false, ["batches"]):
            return respond(#"{"data":[\#(batches.indices.map(describe).joined(separator: ","))],"has_more":false}"#)
        case (true, let parts) where parts.count == 3 && parts[2] == "cancel":
            guard let number = Self.number(parts[1]) else { return false }
            state.withLock { $0.batches[number].isCancelled = true }
            return respond(describe(number))
        case (false, let parts) where parts.count == 2 && parts[0] == "batches":
            guard let number = Self.number(parts[1]), batches.indices.contains(number) else {
                return HTTPPeer.respond(404, #"{"error":{"message":"no such batch"}}"#, client)
            }
            work(on: number)
            return respond(describe(number))
        case (false, let parts) where parts.count == 3 && parts[0] == "files":
            guard let number = Self.number(parts[1]) else { return false }
            let batch = batches[number]
            return respond(parts[1].hasPrefix("out") ? batch.outcomes : batch.errors)
        default: return respond(#"{"data":[]}"#)
        }
    }

    private static func number(_ id: String) -> Int? { id.split(separator: "-").last.flatMap { Int($0) } }

    private static func question(_ request: JSONElement?) -> String {
        let text = request?["messages"]?.elements.last?["content"]?.string ?? ""
        return String(text.split(separator: "\n").last ?? "").replacing("Question: ", with: "")
    }

    /// Until the client goes away.
    private static func hold(_ client: Int32) -> Bool {
        var poll = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
        while Glibc.poll(&poll, 1, 100) == 0 {}
        return false
    }

    private func create(_ key: String, file: String) -> (Int, isSilent: Bool) {
        state.withLock { state in
            var batch = Batch(key: key, file: file)
            batch.questions = Self.lines(state.files[file] ?? "").map { Self.question($0["body"]) }
            state.batches.append(batch)
            return (state.batches.count - 1, state.silentAt == .create)
        }
    }

    private static func lines(_ file: String) -> [JSONElement] {
        file.split(whereSeparator: \.isNewline).compactMap { line in
            (try? JSONDocument(Array(line.utf8)).root).flatMap { $0["custom_id"] == nil ? nil : $0 }
        }
    }

    private func work(on number: Int) {
        state.withLock { state in
            state.looks += 1
            guard !state.isHeld, !state.batches[number].isDone, state.refusal == nil else { return }
            // Not in order, as services do.
            for line in Self.lines(state.files[state.batches[number].file] ?? "").reversed() {
                let id = line["custom_id"]?.string ?? "?"
                let question = Self.question(line["body"])
                state.asked[question, default: 0] += 1
                switch react(question, state.asked[question] ?? 1) {
                case .answers:
                    state.batches[number].outcomes +=
                        #"{"id":"r","custom_id":"\#(id)","response":{"status_code":200,"body":\#(Self.completion(question))},"error":null}"#
                        + "\n"
                case .filters:
                    let body = Self.completion(question).replacing(#""stop""#, with: #""content_filter""#)
                    state.batches[number].outcomes +=
                        #"{"id":"r","custom_id":"\#(id)","response":{"status_code":200,"body":\#(body)},"error":null}"#
                        + "\n"
                case .fails(let status, let message):
                    state.batches[number].errors +=
                        #"{"id":"r","custom_id":"\#(id)","response":{"status_code":\#(status),"body":{"error":{"message":"\#(message)"}}},"error":null}"#
                        + "\n"
                case .expires:
                    state.batches[number].errors +=
                        #"{"id":"r","custom_id":"\#(id)","response":null,"error":{"code":"batch_expired","message":"too late"}}"#
                        + "\n"
                }
            }
            state.batches[number].isDone = true
        }
    }

    private func describe(_ number: Int) -> String {
        let (batch, refusal) = state.withLock { ($0.batches[number], $0.refusal) }
        if let refusal {
            return
                #"{"id":"batch-\#(number)","status":"failed","errors":{"data":[{"code":"token_limit_exceeded","message":"\#(refusal)"}]},"metadata":{"parley":"\#(batch.key)"}}"#
        }
        let files =
            batch.isDone
            ? #","output_file_id":"out-\#(number)","error_file_id":\#(batch.errors.isEmpty ? "null" : "\"err-\(number)\"")"#
            : ""
        return
            #"{"id":"batch-\#(number)","object":"batch","status":"\#(batch.isDone ? "completed" : "in_progress")"\#(files),"metadata":{"parley":"\#(batch.key)"}}"#
    }

    private static func completion(_ question: String) -> String {
        #"{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"to \#(question)"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500}}"#
    }
}
