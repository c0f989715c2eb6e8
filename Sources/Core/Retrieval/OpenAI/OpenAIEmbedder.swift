import ParleyHTTP
import ParleyJSON
import Synchronization

/// How an embedding service wants its texts (`embeddings.*`).
package struct EmbeddingOptions: Sendable, Equatable {
    /// Texts in one request at most; a service that refuses so many gets fewer. Default 64.
    package var batch = 64
    /// Longer texts are cut at a sentence, in estimated tokens; nil leaves them whole until the service refuses one.
    package var maxTokens: Int?
    /// What models such as E5 want in front of questions and of what answers them.
    package var queryPrefix = ""
    package var passagePrefix = ""

    package init() {}

    /// Part of an embedder's identity: with another prefix the vectors are others. Empty without prefixes.
    fileprivate var identity: String {
        guard !queryPrefix.isEmpty || !passagePrefix.isEmpty else { return "" }
        return "(query_prefix \"\(queryPrefix)\", passage_prefix \"\(passagePrefix)\")"
    }
}

/// Embeddings from any service with OpenAI's `POST /v1/embeddings`
/// (<https://platform.openai.com/docs/api-reference/embeddings/create>).
package final class OpenAIEmbedder: Embedder {
    /// How often a text that the service calls too long is cut to half: 32 KiB are then 512 bytes.
    static let mostCuts = 6

    package let identity: String
    private let model: String?
    private let url: String
    private let options: EmbeddingOptions
    private let service: Service
    private let knownDimension = Mutex<Int?>(nil)
    private let batchLimit: Mutex<BatchLimit>

    /// - Parameters:
    ///   - baseURL: up to and including `/v1`.
    ///   - model: nil leaves the choice to the service.
    ///   - apiKey: sent as bearer token; nil or empty sends none.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when `baseURL` is not a URL, or a header cannot hold
    ///   the key.
    package init(
        baseURL: String, model: String?, apiKey: String?, options: EmbeddingOptions = .init(), http: HTTPClient
    ) throws(RetrievalError) {
        do throws(HTTPError) {
            let base = try HTTPURL(baseURL)
            url = try base.appending("embeddings").string
            identity = "\(model ?? "default")\(options.identity)@\(withoutUserInfo(baseURL))"
        } catch {
            throw RetrievalError(.invalidSetting, "embeddings.url: \(error.message)")
        }
        self.model = model
        self.options = options
        batchLimit = Mutex(BatchLimit(configured: options.batch))
        service = Service(
            name: "the embedding service", part: .embedder, keySetting: "embeddings.api_key",
            addressSettings: "embeddings.url and embeddings.model", http: http, headers: try Self.headers(apiKey))
    }

    private static func headers(_ apiKey: String?) throws(RetrievalError) -> [HTTPHeader] {
        guard let apiKey, !apiKey.isEmpty else { return [] }
        try checkSecret(apiKey, "embeddings.api_key")
        return [HTTPHeader(name: "Authorization", value: "Bearer \(apiKey)")]
    }

    package func useKey(_ key: String) throws(RetrievalError) { service.use(try Self.headers(key)) }

    /// That of the last answer. What it has to be, the index says: one sick answer would else refuse all later ones.
    package var dimension: Int? { knownDimension.withLock { $0 } }

    package func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        let prefix = role == .question ? options.queryPrefix : options.passagePrefix
        var texts = texts
        if let most = options.maxTokens {
            let room = max(1, most * 1000 - TokenEstimate.milliTokens(prefix))
            for index in texts.indices { texts[index] = Sentences.beginning(of: texts[index], milliTokens: room) }
        }
        let size = batchLimit.withLock { $0.size(at: .now) }
        let (results, limit) = await inHalves(texts.count, limit: size, within: timeout, part: .embedder) {
            range, left throws(RetrievalError) in
            range.count == 1
                ? [try await vector(of: texts[range.lowerBound], prefix, timeout: left)]
                : try await vectors(of: texts[range], prefix, timeout: left)
        }
        if limit < size { batchLimit.withLock { $0.learn(limit, at: .now) } }
        return results
    }

    /// Cuts a text that the service calls too long, until it takes it.
    private func vector(
        of text: String, _ prefix: String, timeout: Duration
    ) async throws(RetrievalError) -> Embedding {
        let deadline = ContinuousClock.now + timeout
        var text = text
        var left = timeout
        for _ in 0..<Self.mostCuts {
            do throws(RetrievalError) {
                return try await vectors(of: [text], prefix, timeout: left)[0]
            } catch {
                let shorter = Sentences.beginning(of: text, milliTokens: TokenEstimate.milliTokens(text) / 2)
                left = deadline.left
                guard error.code == .tooLong, !shorter.isEmpty, shorter != text, left > .zero else { throw error }
                text = shorter
            }
        }
        return try await vectors(of: [text], prefix, timeout: left)[0]
    }

    /// One call; one vector for each text.
    private func vectors(
        of texts: ArraySlice<String>, _ prefix: String, timeout: Duration
    ) async throws(RetrievalError) -> [Embedding] {
        let answer = try await service.json(
            "POST", url, body: requestBody(texts, prefix), asked: texts, timeout: timeout)
        switch EmbeddingAnswer.vectors(answer, of: texts.count) {
        case .success(let vectors):
            knownDimension.withLock { $0 = vectors.first?.count }
            return vectors
        case .failure(let problem): throw service.invalid(problem.text)
        }
    }

    private func requestBody(_ texts: ArraySlice<String>, _ prefix: String) -> [UInt8] {
        var writer = JSONWriter(capacity: texts.reduce(128) { $0 + $1.utf8.count + prefix.utf8.count + 8 })
        writer.object { json in
            json.member("model", model)
            json.key("input")
            json.array { list in for text in texts { list.string(prefix.isEmpty ? text : prefix + text) } }
        }
        return writer.bytes
    }
}

/// How many texts a service takes in one call, as far as it has shown.
struct BatchLimit: Sendable {
    /// A limit on tokens looks the same and depends on the texts: what was learned does not hold for ever.
    static let memory: Duration = .seconds(600)

    let configured: Int
    private var learned: (size: Int, until: ContinuousClock.Instant)?

    init(configured: Int) { self.configured = max(1, configured) }

    func size(at now: ContinuousClock.Instant) -> Int {
        guard let learned, learned.until > now else { return configured }
        return min(configured, learned.size)
    }

    mutating func learn(_ size: Int, at now: ContinuousClock.Instant) { learned = (max(1, size), now + Self.memory) }
}

/// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when a header cannot hold `secret`, which is not shown.
func checkSecret(_ secret: String, _ key: String) throws(RetrievalError) {
    guard secret.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw RetrievalError(
            .invalidSetting, "\(key) holds a space, a line break or a letter outside of ASCII, which no header may hold"
        )
    }
}
