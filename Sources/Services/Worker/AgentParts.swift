import Adapters
import Answering
import ChatJobs
import Generation
import Logging
import ParleyDigest
import ParleyPrimitives
import ParleySettings
import Retrieval
import Routing

/// What the settings of an agent name: made, but not yet asked anything.
package struct AgentParts: Sendable {
    /// Nil of the default one.
    package let name: String?
    package let settings: Settings.Agent
    package let store: any VectorStore
    package let retriever: Retriever
    package let model: any LanguageModel
    /// The same with the prompt that makes questions stand alone; nil when it is not asked for that.
    let rewriter: (any LanguageModel)?
    /// Of a model with several endpoints; agents with the same one share it.
    let pool: EndpointPool?
    /// Those that stand in for ``model``, in order.
    package let fallbacks: [FallbackParts]
    /// The vector store and the model as readiness, logs and metrics name them: after the first agent that has them.
    package let vectors: Dependency
    package let service: Dependency

    /// It has a vector store of its own, not another agent's.
    var ownsStore: Bool { vectors.name == name ?? "" }
    /// It has a model of its own.
    var ownsService: Bool { service.name == name ?? "" }
    /// A setting of it: `agents.<name>.` in front, unless it is the default one.
    func key(_ key: String) -> String { name.map { "agents.\($0).\(key)" } ?? key }

    /// Asks the model with another key from now on, for whatever it is asked.
    func useKey(_ key: String) throws {
        try model.useKey(key)
        try rewriter?.useKey(key)
    }

    /// The agents of a worker, the default one first.
    ///
    /// - Parameters:
    ///   - executor: runs probes of endpoints.
    ///   - store: makes an agent's store, nil when its settings are refused; `filter` and `model` its filter and model likewise.
    ///     `key` is what the agent's keys begin with.
    static func all(
        _ settings: Settings, embedder: any Embedder, reranker: Reranker?, router: Router?,
        executor: any TaskExecutor,
        store: (_ agent: Settings.Agent, _ key: String) -> (any VectorStore)?,
        filter: (_ agent: Settings.Agent, _ key: String) -> PassageFilter?,
        model makeModel: (_ agent: Settings.Agent, _ key: String, _ prompt: PromptTemplate?) -> (any LanguageModel)?
    ) -> [AgentParts] {
        var all: [AgentParts] = []
        let keepsVectors = !(embedder is LexicalEmbedder) && settings.cache.embeddings > 0
        let vectors = keepsVectors ? QuestionVectors(capacity: settings.cache.embeddings) : nil
        let standard: (name: String?, settings: Settings.Agent) = (nil, settings.standardAgent)
        for (name, own) in [standard] + settings.agents.sorted(by: { $0.key < $1.key }).map({ ($0.key, $0.value) }) {
            let key = name.map { "agents.\($0)." } ?? ""
            let asStore = all.first { $0.settings.hasStore(of: own) }
            let asModel = all.first { $0.settings.hasModel(of: own) }
            // Both, so that what is wrong with either is told.
            let (store, model) = (asStore?.store ?? store(own, key), asModel?.model ?? makeModel(own, key, nil))
            let filter = filter(own, key)
            guard let store, let model, let filter else { continue }
            var rewriter: (any LanguageModel)?
            if own.retrieval.rewrite == .model, !own.model.url.hasPrefix("builtin:") {
                rewriter = makeModel(own, key, .rewriting(historyTokens: own.prompt.historyTokens))
            }
            var options = RetrievalOptions()
            options.minScore = own.retrieval.minScore
            options.isHybrid = own.retrieval.hybrid
            options.filter = filter
            options.reranker = reranker
            if let router { options.folders = { router.likelihoods(query: $0) } }
            let asService = all.first { $0.settings.hasService(of: own) }
            let service = asService?.service ?? Dependency(.model, name: name ?? "")
            all.append(
                AgentParts(
                    name: name, settings: own, store: store,
                    retriever: Retriever(embedder: embedder, store: store, options: options, vectors: vectors),
                    model: model,
                    rewriter: rewriter,
                    pool: asService?.pool
                        ?? EndpointPool(model, own.model, service: service, executor: executor),
                    fallbacks: FallbackParts.all(of: own, name: name, key: key, others: all, makeModel),
                    vectors: asStore?.vectors ?? Dependency(.vectors, name: name ?? ""),
                    service: service))
        }
        return all
    }

    /// As the pipeline has it.
    ///
    /// - Parameter records: what workers know of batches.
    func agent(_ settings: Settings, router: Router?, records: any BatchRecords, logger: Logger) -> Agent {
        Agent(
            name: name, passageSource: RetrieverSource(retriever: retriever), vectors: vectors,
            model: port(of: model), rewriter: rewriter.map(port(of:)),
            service: service, fallbacks: fallbacks.map { $0.choice(currency: settings.model.currency) },
            batches: batches(settings, records, logger),
            configuration: AgentConfiguration(self.settings, of: settings, router: router))
    }

    /// - Parameter model: its own, or its rewriter.
    func port(of model: any LanguageModel) -> any AnswerModel {
        guard let pool, let members = (model as? EndpointModels)?.members.map({ answeringPort(of: $0.model) }) else {
            return answeringPort(of: model)
        }
        let key = "\(name ?? "")\n\(settings.prompt.system ?? PromptTemplate.standardSystem)"
        let batches = members.compactMap { $0 as? any BatchAnswerModel }
        return batches.count == members.count
            ? PooledBatches(batches, pool: pool, key: key) : PooledAnswers(members, pool: pool, key: key)
    }

    /// Nil when its bulk jobs go like the others.
    func batches(_ settings: Settings, _ records: any BatchRecords, _ logger: Logger) -> BatchOffice? {
        let own = self.settings.model
        return (model as? BatchModel).map { model in
            BatchOffice(
                name: own.limitName, service: ModelBatches(model.batches), records: records, clock: SystemClock(),
                hours: own.batchHours.map { BatchHours(start: $0.start, end: $0.end) },
                prices: Prices(own.batchPrices ?? own.prices, currency: settings.model.currency), logger: logger)
        }
    }
}

extension EndpointPool {
    /// Nil of a model at one address.
    fileprivate convenience init?(
        _ model: any LanguageModel, _ settings: Settings.Model, service: Dependency, executor: any TaskExecutor
    ) {
        guard let members = (model as? EndpointModels)?.members, members.count == settings.endpoints.count else {
            return nil
        }
        self.init(
            service: service, names: members.map { URLText.redacted($0.url) },
            weights: settings.endpoints.map(\.weight),
            timeout: settings.timeout, probes: members.map { member in { await member.model.isThere() } },
            clock: SystemClock(), executor: executor)
    }
}

extension Settings.Agent {
    fileprivate func hasStore(of other: Settings.Agent) -> Bool {
        (vectorsURL, vectorsToken, retrieval.hybrid) == (other.vectorsURL, other.vectorsToken, other.retrieval.hybrid)
    }

    fileprivate func hasModel(of other: Settings.Agent) -> Bool { model == other.model && prompt == other.prompt }

    /// Whether calls of both go through one gate, and one's outage is the other's.
    func hasService(of other: Settings.Agent) -> Bool { model.hasService(of: other.model) }
}

extension Settings.Model {
    func hasService(of other: Settings.Model) -> Bool {
        (url, name, apiKey, maxConcurrency, feed, concurrency)
            == (other.url, other.name, other.apiKey, other.maxConcurrency, other.feed, other.concurrency)
            && endpoints == other.endpoints
    }
}

extension AgentConfiguration {
    init(_ agent: Settings.Agent, of settings: Settings, router: Router?) {
        self.init()
        modelConcurrency = agent.model.maxConcurrency
        findsConcurrency = agent.model.concurrency == .auto
        hedges = agent.model.hedges
        modelTimeout = agent.model.timeout
        limitName = agent.model.limitName
        prices = Prices(agent.model.prices, currency: settings.model.currency)
        retrievalTimeout = agent.retrieval.timeout
        retrieve = JobOptions.Retrieve(rawValue: agent.retrieval.mode.rawValue) ?? .auto
        topK = agent.retrieval.topK
        appendsFollowedUp = agent.retrieval.rewrite != .off
        if agent.retrieval.empty == .refuse {
            let text = agent.prompt.refusal
            refusal = { text ?? NothingFound.text(for: $0) }
        }
        identity = Self.identity(agent, of: settings, router: router)
    }

    /// All in the settings that has a part in what a question is answered with. Workers that agree in it share answers.
    private static func identity(_ agent: Settings.Agent, of settings: Settings, router: Router?) -> [UInt8] {
        let model = agent.model
        let prompt = agent.prompt
        var parts: [String?] = [
            model.url, model.name, model.omit.map(\.rawValue).joined(separator: ","), model.reasoning.rawValue,
            prompt.system ?? PromptTemplate.standardSystem, prompt.user ?? PromptTemplate.standardUser,
            "\(prompt.historyTokens)", "\(prompt.contextTokens)", settings.embeddings.url, settings.embeddings.model,
            settings.embeddings.queryPrefix, agent.vectorsURL, agent.retrieval.rewrite.rawValue, router?.version,
            "\(agent.retrieval.hybrid)", "\(agent.retrieval.minScore)", agent.retrieval.empty.rawValue, prompt.refusal,
            settings.rerank.url, settings.rerank.model,
            settings.rerank.url.map { _ in "\(settings.rerank.candidates)" },
        ]
        if let filter = agent.retrieval.filter { parts += ["filter", filter] }
        if model.feed == .prompts { parts += ["prompts", model.template] }
        for other in model.fallbacks {
            parts += [
                other.url, other.name, other.omit.map(\.rawValue).joined(separator: ","), other.reasoning.rawValue,
            ]
        }
        let text = Array(parts.map { "\(($0 ?? "").utf8.count) \($0 ?? "")" }.joined(separator: "\n").utf8)
        // It is long, and part of every key.
        return SHA256.digest(of: text) ?? text
    }
}
