import Metrics
import ParleyHTTP
import ParleyJSON
import ParleyPrimitives
import Synchronization

/// Has a model that reads question and passage together put what was found into a better order (`rerank.*`): the interface
/// `POST /v1/rerank` that Jina, Cohere, vLLM and llama.cpp have in common.
///
/// It never fails a question: when it is late, away or talks nonsense, the passages stay in the order they were found in.
package final class Reranker: Sendable {
    /// How long questions wait for it.
    package static let patience: Duration = .milliseconds(300)

    /// `rerank.candidates`: how many passages it is shown.
    package let candidates: Int
    private let model: String?
    private let url: String
    private let patience: Duration
    private let service: Service

    private let used = Counter(label: "parley_reranks_total", dimensions: [("outcome", "used")])
    private let late = Counter(label: "parley_reranks_total", dimensions: [("outcome", "late")])
    private let failed = Counter(label: "parley_reranks_total", dimensions: [("outcome", "failed")])
    private let skipped = Counter(label: "parley_reranks_total", dimensions: [("outcome", "skipped")])
    private let absence = Mutex(Absence())
    private let duration = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "rerank")])

    /// - Parameters:
    ///   - url: of a service, up to and including `/v1`, or whole with `/rerank` at its end.
    ///   - model: nil leaves the choice to the service.
    ///   - apiKey: sent as bearer token; nil or empty sends none.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when `url` is none, or a header cannot hold the key.
    package init(
        url: String, model: String? = nil, apiKey: String? = nil, candidates: Int = 20,
        patience: Duration = Reranker.patience, http: HTTPClient
    ) throws(RetrievalError) {
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw RetrievalError(
                .invalidSetting,
                "rerank.url is \"\(withoutUserInfo(url))\": write the base URL of a service with /v1/rerank, such as http://127.0.0.1:8080/v1"
            )
        }
        do throws(HTTPError) { self.url = try Self.address(url) } catch {
            throw RetrievalError(.invalidSetting, "rerank.url: \(error.message)")
        }
        self.model = model
        self.candidates = candidates
        self.patience = patience
        service = Service(
            name: "the rerank service", part: .embedder, keySetting: "rerank.api_key",
            addressSettings: "rerank.url and rerank.model", http: http, headers: try Self.headers(apiKey))
    }

    private static func address(_ text: String) throws(HTTPError) -> String {
        let base = try HTTPURL(text)
        let path = text.prefix { $0 != "?" && $0 != "#" }.split(separator: "/").dropFirst(2)
        if path.last == "rerank" { return base.string }
        return try base.appending(path.isEmpty ? "v1/rerank" : "rerank").string
    }

    private static func headers(_ apiKey: String?) throws(RetrievalError) -> [HTTPHeader] {
        guard let apiKey, !apiKey.isEmpty else { return [] }
        try checkSecret(apiKey, "rerank.api_key")
        return [HTTPHeader(name: "Authorization", value: "Bearer \(apiKey)")]
    }

    /// Sends another key from the next call on.
    package func useKey(_ key: String) throws(RetrievalError) { service.use(try Self.headers(key)) }

    /// Whether the service answers as it should; asks it about two short texts.
    package func check(timeout: Duration) async throws(RetrievalError) {
        let shown = ["check", "another"].map {
            Match(passage: Passage(documentID: $0, ordinal: 1, title: $0, text: $0), score: 0)
        }
        let answer = try await service.json("POST", url, body: body("check", shown[...], topK: 2), timeout: timeout)
        _ = try Self.places(in: answer, of: shown.count, service)
    }

    /// The best `topK` of each question's passages, all questions at a time.
    ///
    /// - Parameter left: until nobody waits any more.
    func best(
        _ topK: Int, of found: [(question: String, matches: [Match])], within left: Duration
    ) async -> [[Match]] {
        let timeout = min(left, patience)
        return await withTaskGroup(of: (Int, [Match]).self) { group in
            for (place, (question, matches)) in found.enumerated() {
                group.addTask { (place, await self.ordered(matches, for: question, topK: topK, timeout)) }
            }
            var results = found.map { Array($0.matches.prefix(topK)) }
            for await (place, matches) in group { results[place] = Array(matches.prefix(topK)) }
            return results
        }
    }

    private func ordered(_ matches: [Match], for question: String, topK: Int, _ timeout: Duration) async -> [Match] {
        guard matches.count > 1, timeout > .zero else { return matches }
        let started = ContinuousClock.now
        guard absence.withLock({ $0.mayBeAsked(at: started) }) else {
            skipped.increment()
            return matches
        }
        let (shown, rest) = (matches.prefix(candidates), matches.dropFirst(candidates))
        do throws(RetrievalError) {
            let answer = try await service.json(
                "POST", url, body: body(question, shown, topK: topK),
                asked: [question] + shown.map(\.passage.embeddedText),
                timeout: timeout)
            let places = try Self.places(in: answer, of: shown.count, service)
            used.increment()
            absence.withLock { $0.answered() }
            duration.recordNanoseconds((ContinuousClock.now - started).wholeNanoseconds)
            let named = Set(places)
            return places.map { shown[$0] } + shown.indices.filter { !named.contains($0) }.map { shown[$0] } + rest
        } catch {
            (error.code == .timedOut ? late : failed).increment()
            // A refusal is about these texts.
            if !error.isRefusal { absence.withLock { $0.failed(at: .now) } }
            return matches
        }
    }

    private func body(_ question: String, _ shown: ArraySlice<Match>, topK: Int) -> [UInt8] {
        var writer = JSONWriter(capacity: shown.reduce(256) { $0 + $1.passage.text.utf8.count + 128 })
        writer.object { json in
            json.member("model", model)
            json.member("query", question)
            json.key("documents")
            json.array { for match in shown { $0.string(match.passage.embeddedText) } }
            json.member("top_n", min(topK, shown.count))
            json.member("return_documents", false)
        }
        return writer.bytes
    }

    /// The places of passages, the best first: `results` of `{"index", "relevance_score"}`, in whatever order.
    private static func places(
        in answer: JSONElement, of count: Int, _ service: Service
    ) throws(RetrievalError) -> [Int] {
        let rows = answer.kind == .array ? answer : answer["results"] ?? answer["data"]
        guard let rows, rows.kind == .array, rows.count > 0 else { throw service.invalid("its answer has no results") }
        var scored: [(place: Int, score: Double)] = []
        var seen: Set<Int> = []
        for row in rows.elements {
            guard let place = row["index"]?.int, (0..<count).contains(place), seen.insert(place).inserted,
                let score = (row["relevance_score"] ?? row["score"])?.double, score.isFinite
            else { throw service.invalid("a row of its answer has no index of a document, or no score") }
            scored.append((place, score))
        }
        // Equal scores leave the order as it was.
        return scored.sorted { ($1.score, $0.place) < ($0.score, $1.place) }.map(\.place)
    }
}

/// When a service is left alone: each question would wait for it in vain.
struct Absence: Sendable {
    /// So many failures in a row.
    static let most = 5
    static let pause: Duration = .seconds(30)

    private var failures = 0
    private var until: ContinuousClock.Instant?

    /// When the pause is over one question tries it, and the others go on without it.
    mutating func mayBeAsked(at now: ContinuousClock.Instant) -> Bool {
        guard let until else { return true }
        guard now >= until else { return false }
        self.until = now + Self.pause
        return true
    }

    mutating func failed(at now: ContinuousClock.Instant) {
        failures += 1
        if failures >= Self.most { until = now + Self.pause }
    }

    mutating func answered() { self = Absence() }
}

/// Makes the reranker that `rerank.url` names; nil: there is none.
package func makeReranker(
    url: String?, model: String?, apiKey: String?, candidates: Int, http: HTTPClient
) throws(RetrievalError) -> Reranker? {
    guard let url else { return nil }
    return try Reranker(url: url, model: model, apiKey: apiKey, candidates: candidates, http: http)
}
