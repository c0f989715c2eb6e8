import ChatJobs
import ParleyHTTP
import ParleyJSON
import ParleyPrimitives

/// Why an exchange with a server came to nothing.
enum ExchangeError: Error {
    /// The server says why. Asked differently it may answer.
    case refused(Refusal)
    case failed(JobFailure)
}

/// Reads an answer from the bytes of a body as they come.
///
/// Whether they are events or JSON the first byte says, not the label and not what was asked for: servers send either for
/// either, and label both as they like.
struct AnswerReader: Sendable {
    private enum Framing: Sendable {
        case events(ServerSentEventParser)
        case texts(JSONTexts)
    }

    private(set) var answer: ChatAnswer
    /// `[DONE]` has come; what follows does not matter.
    private(set) var isDone = false

    private let failures: FailureMapping
    private var framing: Framing?
    /// Bytes before the first that counts: a byte order mark, white space that keeps a connection open.
    private var beginning: [UInt8] = []
    private var bytesRead = 0

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let heartbeats: Set<String> = ["ping", "pong", "keep-alive", "keepalive", "keep_alive", "heartbeat"]

    init(_ failures: FailureMapping, keepsThinking: Bool = false, expectation: ThinkingFilter.Expectation = .no) {
        self.failures = failures
        answer = ChatAnswer(keepsThinking: keepsThinking, expectation: expectation)
    }

    /// What came, if anything came, was of a model.
    var mayCost: Bool { bytesRead == 0 || answer.isOfModel }

    /// The model has stopped; only its usage and `[DONE]` are still to come.
    var hasEnded: Bool { isDone || answer.hasEnded }

    /// What `bytes` add to the answer.
    mutating func feed(_ bytes: [UInt8]) throws(ExchangeError) -> String {
        bytesRead += bytes.count
        guard bytesRead <= ChatCompletionsModel.maxBodyBytes else {
            // The next would be as long, and paid for, too.
            throw .failed(
                failures.final(
                    "its answer is longer than \(ChatCompletionsModel.maxBodyBytes) bytes; have the job limit it with max_tokens"
                ))
        }
        guard framing == nil else { return try read(bytes[...]) }
        beginning += bytes
        var rest = beginning[...]
        if rest.starts(with: Self.byteOrderMark) {
            rest = rest.dropFirst(Self.byteOrderMark.count)
        } else if Self.byteOrderMark.starts(with: rest) {
            return ""
        }
        rest = rest.drop { $0 <= 0x20 }
        guard let first = rest.first else { return "" }
        framing =
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
            ? .texts(JSONTexts()) : .events(ServerSentEventParser(carriesJSON: true))
        if first == UInt8(ascii: "<") { throw garbage("its answer is a web page and not JSON; check model.url") }
        beginning = []
        return try read(rest)
    }

    /// The body has ended, or its connection has: what that adds to the answer.
    ///
    /// - Parameter isBroken: what came last may be half of an event.
    mutating func end(isBroken: Bool = false) throws(ExchangeError) -> String {
        guard case .events(var parser) = framing else { return "" }
        var added = ""
        for event in parser.finish() where !isDone {
            do throws(ExchangeError) { added += try take(event) } catch {
                if case .failed = error, isBroken { return added }
                throw error
            }
        }
        return added
    }

    /// No more is read: what that adds to the answer, which is whole.
    ///
    /// - Throws: what speaks against it.
    mutating func finish() throws(JobFailure) -> String {
        guard hasEnded else {
            switch framing {
            case nil: throw failures.garbage("its answer is empty, without a byte")
            case .texts(let texts)?:
                throw failures.garbage(
                    texts.isInside ? "its answer is not JSON (it ends in the midst)" : "its answer has no choices")
            case .events?:
                throw failures.garbage(
                    answer.hasChoice
                        ? "its stream ended before the answer did" : "its answer is neither JSON nor a stream of events"
                )
            }
        }
        let rest = answer.end()
        try answer.check(failures)
        return rest
    }

    // MARK: - Framing

    private mutating func read(_ bytes: ArraySlice<UInt8>) throws(ExchangeError) -> String {
        var added = ""
        switch framing {
        case nil: break
        case .events(var parser):
            framing = nil
            let events = parser.feed(bytes)
            let dropped = parser.droppedOversized
            framing = .events(parser)
            for event in events where !isDone { added += try take(event) }
            guard dropped == 0 else { throw garbage("an event of its stream is too long") }
        case .texts(var texts):
            framing = nil
            let complete = texts.feed(bytes)
            framing = .texts(texts)
            // Behind a whole answer a gateway may put another error of its own.
            for text in complete where !isDone && !answer.isWhole {
                if Self.isDoneWord(String(decoding: text.prefix(16), as: UTF8.self)) {
                    isDone = true
                    break
                }
                let root: JSONElement
                do throws(JSONError) { root = try Self.document(text).root } catch {
                    // What comes behind an answer takes nothing from it.
                    if hasEnded { continue }
                    throw garbage("its answer is not JSON (\(error))")
                }
                added += try take(root, event: nil, isAlone: true)
            }
        }
        return added
    }

    private mutating func take(_ event: ServerSentEvent) throws(ExchangeError) -> String {
        var data = event.data.trimmed
        // Gateways have put a whole line of the field into another.
        if data.hasPrefix("data:") { data = String(data.dropFirst(5)).trimmed }
        let isError = event.event == "error"
        if !isError {
            // A comment in a field for data: a gateway has wrapped it up once more.
            if data.isEmpty || data.hasPrefix(":") { return "" }
            if Self.isDoneWord(data) || event.event == "done" {
                isDone = true
                return ""
            }
        }
        let root: JSONElement
        do throws(JSONError) { root = try JSONDocument(Array(data.utf8)).root } catch {
            if isError { throw .refused(Refusal(error: ServerError(text: data), hasBegun: answer.hasBegun)) }
            let isForOthers = event.event != nil && event.event != "message"
            if hasEnded || isForOthers || Self.heartbeats.contains(data.lowercased()) { return "" }
            throw garbage("an event of its stream is not JSON (\(error)): \(failures.clean(data))")
        }
        return try take(root, event: event.event, isAlone: false)
    }

    /// Some servers cut characters in two.
    private static func document(_ text: [UInt8]) throws(JSONError) -> JSONDocument {
        do throws(JSONError) { return try JSONDocument(text) } catch {
            guard String(validating: text, as: UTF8.self) == nil else { throw error }
            return try JSONDocument(Array(String(decoding: text, as: UTF8.self).utf8))
        }
    }

    private static func isDoneWord(_ text: String) -> Bool {
        text.utf8.count < 12 && ["[done]", "\"[done]\"", "done"].contains(text.trimmed.lowercased())
    }

    // MARK: - Values

    private mutating func take(_ value: JSONElement, event: String?, isAlone: Bool) throws(ExchangeError) -> String {
        let root = value.kind == .array ? value.elements.first ?? value : value
        guard root.kind == .object else {
            if event == "error" { throw .refused(Refusal(error: ServerError(root), hasBegun: answer.hasBegun)) }
            return ""
        }
        if let error = ErrorInAnswer.find(in: root, event: event) {
            throw .refused(Refusal(error: ServerError(error), hasBegun: answer.hasBegun || ErrorInAnswer.hasText(root)))
        }
        do throws(UnreadableContent) { return try answer.take(root, isAlone: isAlone) } catch {
            throw garbage("its message's content is no text")
        }
    }

    private func garbage(_ what: String) -> ExchangeError { .failed(failures.garbage(what)) }
}

/// Not inlined: what reading needs would be in the frames of all who wait for an answer.
extension Boxed<AnswerReader> {
    @inline(never)
    mutating func feed(_ bytes: [UInt8]) throws(ExchangeError) -> String { try value.feed(bytes) }
    @inline(never)
    mutating func end(isBroken: Bool = false) throws(ExchangeError) -> String { try value.end(isBroken: isBroken) }
    @inline(never)
    mutating func finish() throws(JobFailure) -> String { try value.finish() }
}

/// Errors where an answer was expected.
enum ErrorInAnswer {
    /// The object that describes an error; nil when `root` is part of an answer, or of nothing at all.
    static func find(in root: JSONElement, event: String?) -> JSONElement? {
        if event == "error" || says(root["error"]) || root["object"]?.string == "error"
            || root["type"]?.string == "error"
        {
            return root
        }
        // FastChat, Groq, MiniMax, Cloudflare.
        if isCode(root["error_code"]) { return root }
        if let own = root["x_groq"], says(own["error"]) { return own }
        if let base = root["base_resp"], isCode(base["status_code"]) { return base }
        if let choice = root["choices"]?.elements.first {
            // SGLang's {"type": "abort", "message": "…", "status_code": 400}.
            if let reason = choice["finish_reason"], says(reason["message"]) { return reason }
            return says(choice["error"]) || isCode(choice["error_code"]) ? choice : nil
        }
        let isForOthers = event != nil && event != "message"
        guard root["message"]?.kind != .object, root["usage"] == nil, !isForOthers else { return nil }
        let describes =
            says(root["errors"]) || says(root["detail"]) || root["success"]?.bool == false
            || says(root["message"]) && root["type"]?.string != "ping"
            || root["msg"]?.string != nil && isCode(root["code"])
        return describes ? root : nil
    }

    /// Whether there is text beside the error.
    static func hasText(_ root: JSONElement) -> Bool {
        guard let choice = root["choices"]?.elements.first else { return false }
        let content = choice["message"]?["content"] ?? choice["delta"]?["content"] ?? choice["text"]
        return content?.string?.isEmpty == false
    }

    /// Not null, empty, zero or an object of nothing else.
    private static func says(_ value: JSONElement?) -> Bool {
        guard let value else { return false }
        switch value.kind {
        case .null, .false: return false
        case .true: return true
        case .number: return value.double != 0
        case .string: return !(value.string ?? "").trimmed.isEmpty
        case .array: return value.count > 0
        case .object: return value.members.contains { says($0.value) }
        }
    }

    private static func isCode(_ value: JSONElement?) -> Bool {
        guard let value else { return false }
        let word = value.string?.trimmed ?? ""
        return value.double ?? 0 != 0 || !word.isEmpty && !["0", "ok", "success"].contains(word.lowercased())
    }
}
