import ParleyJSON
import ParleyPrimitives

/// A passage that an answer rests on.
public struct Source: Sendable, Equatable {
    /// Document and passage: `returns.md#2`.
    public var id: String
    /// Cosine similarity to the question; higher is nearer.
    public var score: Double
    public var title: String
    public var text: String

    public init(id: String, score: Double, title: String, text: String) {
        self.id = id
        self.score = score
        self.title = title
        self.text = text
    }
}

/// Tokens as the model's service counted them.
public struct Usage: Sendable, Equatable {
    public var promptTokens: Int
    public var completionTokens: Int
    /// Those of the prompt that the service had read before, and charges less for.
    public var cachedTokens: Int

    /// How often the model was asked for this answer; 0 when it was reused.
    public var calls: Int
    /// What they cost; nil where no prices are configured.
    public var cost: Cost?
    /// The service did not say how many tokens it counted: some are estimated.
    public var isEstimated = false

    /// - Parameter cachedTokens: at most `promptTokens`; 0 where the service does not say.
    public init(promptTokens: Int, completionTokens: Int, cachedTokens: Int = 0, calls: Int = 1) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.cachedTokens = cachedTokens
        self.calls = calls
    }

    /// Counts another call in.
    package mutating func add(_ other: Usage) {
        promptTokens &+= other.promptTokens
        completionTokens &+= other.completionTokens
        cachedTokens &+= other.cachedTokens
        calls &+= other.calls
        isEstimated = isEstimated || other.isEstimated
        if let own = cost, let more = other.cost { cost = Cost(own.amount + more.amount, own.currency) }
    }

    /// What an answer costs that is given once more.
    package var unpaid: Usage {
        var usage = Usage(promptTokens: 0, completionTokens: 0, calls: 0)
        usage.cost = cost.map { Cost(0, $0.currency) }
        return usage
    }
}

/// Where a job's time went, in milliseconds of a monotonic clock: `queued` from the delivery to this worker until its
/// window was begun, `total` from the delivery until the reply was ready.
public struct Timings: Sendable, Equatable {
    public var queued = 0.0
    public var retrieve = 0.0
    public var generate = 0.0
    public var total = 0.0

    public init() {}
}

/// The last word on a job: what is stored in Redis and published to `reply_to` (contract, section 2).
public struct Reply: Sendable, Equatable {
    public enum Status: String, Sendable, CaseIterable { case succeeded, failed, expired, revoked }
    /// Where the answer came from.
    public enum Cached: String, Sendable, CaseIterable { case none, memory, redis, coalesced }
    /// Why the answer ends where it does: it was at its end, or a limit of tokens was reached.
    public enum FinishReason: String, Sendable, CaseIterable { case stop, length }

    /// Nil only when the message that failed carried no readable id.
    public var id: String?
    public var status: Status
    public var answer: String?
    /// Where the answer is, when it is too long to be here.
    public var answerReference: AnswerReference?
    public var sources: [Source] = []
    public var model: String?
    public var usage: Usage?
    /// Of an answer; nil in every other reply.
    public var finishReason: FinishReason?
    public var cached: Cached = .none
    /// How old a reused answer is; nil when it was made for this job.
    public var age: Duration?
    /// The answer has expired, and stands in while the model is away.
    public var isStale = false
    /// The places in `sources`, from 1, that the answer refers to as `[n]`, in order.
    public var cited: [Int] = []
    public var agent: String?
    /// The question that passages were looked for with, when it was another one than the job's query.
    public var rewrittenQuery: String?
    public var attempts = 1
    public var timings = Timings()
    public var error: ReplyError?
    /// What the job's producer probably meant and did not get: members that are not read.
    public var warnings: [String] = []
    /// JSON text, echoed.
    public var metadata: [UInt8]?

    public init(id: String?, status: Status) {
        self.id = id
        self.status = status
    }
}

/// The `error` member of a reply.
public struct ReplyError: Sendable, Equatable {
    /// A code of ``ErrorCode``; a text because readers may meet newer ones.
    public var code: String
    public var message: String
    public var retryable: Bool

    public init(code: String, message: String, retryable: Bool) {
        self.code = code
        self.message = message
        self.retryable = retryable
    }
}

extension Reply {
    /// A reply that says that a job failed, expired or was revoked.
    package init(id: String?, failure: JobFailure) {
        switch failure.code {
        case .expired: self.init(id: id, status: .expired)
        case .revoked: self.init(id: id, status: .revoked)
        default: self.init(id: id, status: .failed)
        }
        error = ReplyError(
            code: failure.code.rawValue, message: failure.message, retryable: failure.isRetryable)
    }

    /// The reply as JSON, members in the contract's order.
    public func encoded() -> [UInt8] {
        let passages = sources.reduce(0) { $0 + 96 + $1.id.utf8.count + $1.title.utf8.count + $1.text.utf8.count }
        var writer = JSONWriter(capacity: 512 + (answer?.utf8.count ?? 0) + passages + (metadata?.count ?? 0))
        writer.object { json in
            json.member("id", id)
            json.member("status", status.rawValue)
            if status == .succeeded {
                if let answerReference {
                    json.key("answer_ref")
                    answerReference.write(to: &json)
                } else {
                    json.member("answer", answer ?? "")
                }
                json.key("sources")
                json.array { for source in sources { source.write(to: &$0) } }
                json.member("model", model ?? "")
                json.key("cited")
                json.array { for place in cited { $0.int(place) } }
                json.key("usage")
                json.object {
                    $0.member("prompt_tokens", usage?.promptTokens ?? 0)
                    $0.member("completion_tokens", usage?.completionTokens ?? 0)
                    $0.member("cached_tokens", usage?.cachedTokens ?? 0)
                    $0.member("calls", usage?.calls ?? 1)
                    if usage?.isEstimated == true { $0.member("estimated", true) }
                    if let cost = usage?.cost {
                        $0.key("cost")
                        $0.object {
                            $0.member("amount", cost.amount)
                            $0.member("currency", cost.currency)
                        }
                    }
                }
                json.member("finish_reason", (finishReason ?? .stop).rawValue)
            }
            json.member("cached", cached.rawValue)
            if let age {
                json.member("age_ms", Int(age.wholeMilliseconds))
                json.member("stale", isStale)
            }
            json.member("agent", agent)
            json.member("rewritten_query", rewrittenQuery)
            json.member("attempts", attempts)
            json.key("timings_ms")
            json.object {
                $0.key("queued")
                $0.rounded(timings.queued)
                $0.key("retrieve")
                $0.rounded(timings.retrieve)
                $0.key("generate")
                $0.rounded(timings.generate)
                $0.key("total")
                $0.rounded(timings.total)
            }
            if let error {
                json.key("error")
                json.object {
                    $0.member("code", error.code)
                    $0.member("message", error.message)
                    $0.member("retryable", error.retryable)
                }
            }
            if !warnings.isEmpty {
                json.key("warnings")
                json.array { for warning in warnings { $0.string(warning) } }
            }
            json.member("metadata", raw: metadata ?? Array("{}".utf8))
        }
        return writer.bytes
    }

    /// Reads a reply that Parley wrote.
    /// - Throws: ``JSONError`` when the text is no JSON object with a known `status`.
    public init(decoding bytes: [UInt8]) throws(JSONError) {
        let root = try JSONDocument(bytes).root
        guard let status = root["status"]?.string.flatMap(Status.init) else {
            throw JSONError("no reply: status is missing or unknown", at: 0)
        }
        self.init(id: root["id"]?.string, status: status)
        answer = root["answer"]?.string
        answerReference = root["answer_ref"].flatMap(AnswerReference.init(reading:))
        sources = (root["sources"]?.elements ?? []).map(Source.init(reading:))
        model = root["model"]?.string
        usage = root["usage"].map { read in
            var usage = Usage(
                promptTokens: read["prompt_tokens"]?.int ?? 0, completionTokens: read["completion_tokens"]?.int ?? 0,
                cachedTokens: read["cached_tokens"]?.int ?? 0, calls: read["calls"]?.int ?? 1)
            if let amount = read["cost"]?["amount"]?.double, let currency = read["cost"]?["currency"]?.string {
                usage.cost = Cost(amount, currency)
            }
            usage.isEstimated = read["estimated"]?.bool ?? false
            return usage
        }
        finishReason = root["finish_reason"]?.string.flatMap(FinishReason.init)
        cached = root["cached"]?.string.flatMap(Cached.init) ?? .none
        age = root["age_ms"]?.int.map { .milliseconds($0) }
        isStale = root["stale"]?.bool ?? false
        cited = (root["cited"]?.elements ?? []).compactMap(\.int)
        agent = root["agent"]?.string
        rewrittenQuery = root["rewritten_query"]?.string
        attempts = root["attempts"]?.int ?? 1
        if let spent = root["timings_ms"] {
            timings.queued = spent["queued"]?.double ?? 0
            timings.retrieve = spent["retrieve"]?.double ?? 0
            timings.generate = spent["generate"]?.double ?? 0
            timings.total = spent["total"]?.double ?? 0
        }
        error = root["error"].map {
            ReplyError(
                code: $0["code"]?.string ?? "", message: $0["message"]?.string ?? "",
                retryable: $0["retryable"]?.bool ?? false)
        }
        warnings = (root["warnings"]?.elements ?? []).compactMap(\.string)
        metadata = root["metadata"].map { Array($0.raw) }
    }
}

extension Source {
    /// The passage as an object, as replies hold it.
    package func write(to writer: inout JSONWriter) {
        writer.object {
            $0.member("id", id)
            $0.key("score")
            $0.rounded(score)
            $0.member("title", title)
            $0.member("text", text)
        }
    }

    /// The passage that ``write(to:)`` wrote.
    package init(reading json: JSONElement) {
        self.init(
            id: json["id"]?.string ?? "", score: json["score"]?.double ?? 0, title: json["title"]?.string ?? "",
            text: json["text"]?.string ?? "")
    }
}

/// A piece of a streamed answer (contract, section 2): `seq` counts from 0 without gaps within one attempt.
public struct Chunk: Sendable, Equatable {
    public var id: String
    public var seq: Int
    public var delta: String
    /// From 1; written from the second attempt on.
    public var attempt: Int

    public init(id: String, seq: Int, delta: String, attempt: Int = 1) {
        self.id = id
        self.seq = seq
        self.delta = delta
        self.attempt = attempt
    }

    public func encoded() -> [UInt8] {
        var writer = JSONWriter(capacity: 96 + delta.utf8.count)
        writer.object {
            $0.member("id", id)
            $0.member("seq", seq)
            $0.member("delta", delta)
            if attempt > 1 { $0.member("attempt", attempt) }
        }
        return writer.bytes
    }

    /// - Throws: ``JSONError`` when the text is not a chunk.
    public init(decoding bytes: [UInt8]) throws(JSONError) {
        let root = try JSONDocument(bytes).root
        guard let id = root["id"]?.string, let seq = root["seq"]?.int, let delta = root["delta"]?.string else {
            throw JSONError("no chunk: id, seq or delta is missing", at: 0)
        }
        self.init(id: id, seq: seq, delta: delta, attempt: root["attempt"]?.int ?? 1)
    }
}
