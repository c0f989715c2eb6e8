import ChatJobs
import ParleyHTTP
import ParleyJSON

/// Gathers an answer from the events of a stream, as their bytes come in.
struct ChatStream {
    private var parser = ServerSentEventParser()
    private var gathered = ChatAnswer()
    private var bytesRead = 0
    private let failures: FailureMapping

    /// Whether `[DONE]` has come; what follows does not matter.
    private(set) var isDone = false

    init(_ failures: FailureMapping) { self.failures = failures }

    /// What `bytes` add to the answer.
    mutating func feed(_ bytes: [UInt8]) throws(JobFailure) -> String {
        bytesRead += bytes.count
        guard bytesRead <= ChatCompletionsModel.maxBodyBytes else {
            throw failures.garbage("its stream is longer than \(ChatCompletionsModel.maxBodyBytes) bytes")
        }
        var added = ""
        for event in parser.feed(bytes) where !isDone { added += try take(event) }
        guard parser.droppedOversized == 0 else { throw failures.garbage("an event of its stream is too long") }
        return added
    }

    /// The body has ended: what an event without its blank line adds.
    mutating func end() throws(JobFailure) -> String {
        guard let last = parser.finish() else { return "" }
        return try take(last)
    }

    /// The whole answer.
    func answer() throws(JobFailure) -> ChatAnswer {
        guard isDone || gathered.finishReason != nil else {
            throw failures.garbage("its stream ended before the answer did")
        }
        var answer = gathered
        // Servers that send [DONE] without a reason have said what they had to say.
        if isDone, answer.finishReason == nil, !answer.text.isEmpty { answer.finishReason = "stop" }
        try answer.check(failures)
        return answer
    }

    private mutating func take(_ event: ServerSentEvent) throws(JobFailure) -> String {
        if event.data == "[DONE]" {
            isDone = true
            return ""
        }
        let root: JSONElement
        do throws(JSONError) { root = try JSONDocument(Array(event.data.utf8)).root } catch {
            throw failures.garbage("an event of its stream is not JSON (\(error))")
        }
        if root.isNull { return "" }
        if let error = root["error"], !error.isNull { throw failures.failure(midAnswer: error) }
        if event.event == "error" { throw failures.failure(midAnswer: root) }
        let choice = root["choices"]?.elements.first
        gathered.takeFacts(root, choice)
        let content = choice?["delta"]?["content"]
        guard let content, !content.isNull else { return "" }
        guard let text = content.string else { throw failures.garbage("a delta of its stream is not a string") }
        gathered.text += text
        return text
    }
}
