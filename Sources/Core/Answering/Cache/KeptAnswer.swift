import ChatJobs
import ParleyJSON

/// An answer that may be given again.
package struct KeptAnswer: Sendable, Equatable {
    package let answer: Answer
    /// When it was made, by the wall clock.
    package let made: Timestamp
    /// Until when it is as good as new. Later it may stand in while the model is away.
    package let freshUntil: Timestamp
    /// How long it took to make.
    package let took: Duration

    package init(_ answer: Answer, took: Duration = .zero, made: Timestamp, freshUntil: Timestamp) {
        self.answer = answer.openCalls.isEmpty ? answer : answer.spending(answer.usage, [])
        self.took = took
        self.made = made
        self.freshUntil = freshUntil
    }

    /// About how many bytes it takes in memory: an answer without a word takes 500, half of them for its key and its places
    /// in the lists (measured with 200,000).
    var cost: Int {
        answer.sources.reduce(512 + answer.text.utf8.count) { $0 + $1.cost }
    }

    // MARK: - As the second tier has it

    private static let version = 1

    package func encoded() -> [UInt8] {
        var json = JSONWriter(capacity: cost)
        json.object { json in
            json.member("v", Self.version)
            json.member("made", Int(made.milliseconds))
            json.member("fresh_until", Int(freshUntil.milliseconds))
            json.member("took", Int(took.wholeMilliseconds))
            json.member("answer", answer.text)
            json.member("model", answer.model)
            json.member("finish_reason", answer.finishReason.rawValue)
            json.key("usage")
            json.array {
                $0.int(answer.usage.promptTokens)
                $0.int(answer.usage.completionTokens)
                $0.int(answer.usage.cachedTokens)
            }
            if let cost = answer.usage.cost {
                json.member("cost", cost.amount)
                json.member("currency", cost.currency)
            }
            json.key("sources")
            json.array { for source in answer.sources { source.write(to: &$0) } }
        }
        return json.bytes
    }

    /// The end of the year 9999, and more tokens than any answer has.
    private static let latest = 253_402_300_799_999
    private static let mostTokens = 1_000_000_000_000
    /// No answer takes more milliseconds: 30 minutes.
    private static let longest = 1_800_000

    /// Nil when the bytes are no kept answer of this version: a miss.
    package init?(decoding bytes: [UInt8]) {
        guard let root = try? JSONDocument(bytes).root, root["v"]?.int == Self.version,
            let made = root["made"]?.int, let freshUntil = root["fresh_until"]?.int,
            let text = root["answer"]?.string, let model = root["model"]?.string,
            let finishReason = root["finish_reason"]?.string.flatMap(Reply.FinishReason.init),
            let usage = root["usage"]?.elements.map({ $0.int ?? 0 }), usage.count == 3,
            let sources = root["sources"]?.elements,
            // What stands in Redis may be any number.
            (0...Self.latest).contains(made), (0...Self.latest).contains(freshUntil),
            usage.allSatisfy({ (0...Self.mostTokens).contains($0) })
        else { return nil }
        var spent = Usage(promptTokens: usage[0], completionTokens: usage[1], cachedTokens: usage[2])
        if let amount = root["cost"]?.double, let currency = root["currency"]?.string {
            spent.cost = Cost(amount, currency)
        }
        answer = Answer(
            text: text, model: model, usage: spent, finishReason: finishReason,
            sources: sources.map(Source.init(reading:)))
        took = .milliseconds(min(max(0, root["took"]?.int ?? 0), Self.longest))
        self.made = Timestamp(milliseconds: Int64(made))
        self.freshUntil = Timestamp(milliseconds: Int64(freshUntil))
    }
}
