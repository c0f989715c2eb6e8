import Adapters
import Admin
import ChatJobs
import Generation
import IOLoop
import Logging
import Metrics
import ParleyHTTP
import ParleyRabbitMQ
import ParleyRedis
import ParleySettings
import Retrieval
import Routing
import Topology

/// The parts that a configuration names, made but not yet connected to anything.
package struct Assembly: Sendable {
    package let settings: Settings
    package let loop: IOLoop
    /// For embeddings and vectors.
    package let http: HTTPClient
    package let modelHTTP: HTTPClient
    package let rabbitMQ: RabbitMQConfiguration
    package let redis: RedisConfiguration
    package let queues: JobQueues
    package let keys: RedisKeys
    package let embedder: any Embedder
    /// `rerank.url`; nil: there is none.
    let reranker: Reranker?
    /// The default one.
    package let standard: AgentParts
    /// All of them, the default one first.
    package let agents: [AgentParts]
    /// `routing.model`; nil when it is off.
    package let router: Router?
    package let admin: AdminAddress
    /// `objects.url`; nil when there is none.
    package let objects: ObjectParts?

    /// - Throws: ``SettingsError`` with every value that a part refuses; ``IOLoopError`` when the kernel gives no thread.
    package init(_ settings: Settings, logger: Logger) throws {
        var problems: [String] = []
        func part<T>(
            _ make: () throws -> T, _ name: (any Error) -> String = Self.words
        ) -> T? {
            do { return try make() } catch {
                problems.append(name(error))
                return nil
            }
        }
        let lag = Timer(label: "parley_loop_lag_seconds")
        let loop = try IOLoop(name: "parley-io", onTurn: { lag.recordNanoseconds($0) })
        let http = HTTPClient(configuration: .retrieval(settings), loop: loop, logger: logger)
        // A client of its own: over HTTP/1.1 each model call in flight holds a connection, and libcurl looks through a
        // client's connections for every request.
        let modelHTTP = HTTPClient(configuration: .model(settings), loop: loop, logger: logger)
        let rabbitMQ = part(
            { try RabbitMQConfiguration(settings) },
            { Settings.refusal("rabbitmq.url", settings.rabbitmqURL, "\($0)") })
        let redis = part(
            { try RedisConfiguration(settings) },
            { Settings.refusal("redis.url", settings.redisURL, "\($0)") })
        let embedder = part {
            try makeEmbedder(
                url: settings.embeddings.url, model: settings.embeddings.model, apiKey: settings.embeddings.apiKey,
                options: EmbeddingOptions(settings.embeddings), http: http)
        }
        let reranker = part {
            try makeReranker(
                url: settings.rerank.url, model: settings.rerank.model, apiKey: settings.rerank.apiKey,
                candidates: settings.rerank.candidates, http: http)
        }
        let router = part({ try Router.named(settings.routing.model) })
        let agents = AgentParts.all(
            settings, embedder: embedder ?? LexicalEmbedder(), reranker: reranker ?? nil, router: router ?? nil,
            executor: loop
        ) { agent, key in
            part(
                {
                    try makeStore(
                        url: agent.vectorsURL, token: agent.vectorsToken, indexesWords: agent.retrieval.hybrid,
                        http: http, logger: logger)
                }, { key + Self.words($0) })
        } filter: { agent, key in
            part(
                { try PassageFilter(parsing: agent.retrieval.filter ?? "") },
                { "\(key)retrieval.filter: \(Self.words($0))" })
        } model: { agent, key, prompt in
            let prompt = prompt ?? part({ try PromptTemplate(agent.prompt) }, { key + Self.words($0) })
            return part(
                {
                    try makeModel(
                        urls: agent.model.urls, name: agent.model.name, apiKey: agent.model.apiKey,
                        prompt: prompt ?? .standard, behaviour: ChatBehaviour(agent.model),
                        feed: PromptFeed(agent.model), isBatched: agent.model.feed == .batch,
                        http: modelHTTP, logger: logger)
                }, { key + Self.words($0) })
        }
        let objects = part({ try ObjectParts(settings.objects, http: http) })
        let queues = JobQueues(settings)
        problems += queues.problems.map { "queue.name: \($0)" }
        problems += (rabbitMQ?.problems ?? []).map { "rabbitmq.url: \($0)" }
        problems += (redis?.problems ?? []).map { "redis.url: \($0)" }
        let admin = part { try AdminAddress(parsing: settings.adminListen) }
        guard problems.isEmpty, let rabbitMQ, let redis, let embedder, let reranker, let router, let admin, let objects,
            let standard = agents.first
        else {
            loop.stop()
            throw SettingsError(problems: problems)
        }
        self.settings = settings
        self.loop = loop
        self.http = http
        self.modelHTTP = modelHTTP
        self.rabbitMQ = rabbitMQ
        self.redis = redis
        self.embedder = embedder
        self.reranker = reranker
        self.standard = standard
        self.agents = agents
        self.router = router
        self.admin = admin
        self.objects = objects
        self.queues = queues
        keys = RedisKeys(prefix: settings.redisPrefix)
    }

    private static func words(_ error: any Error) -> String {
        switch error {
        case let error as RetrievalError: error.message
        case let error as SettingsError: error.problems.joined(separator: "; ")
        default: "\(error)"
        }
    }

    /// The agent of that name; nil: the default one.
    package func agent(_ name: String?) -> AgentParts? { agents.first { $0.name == name } }

    /// What passages are looked for with, when `query` follows up a question of `history`; nil: the query as it is. Without
    /// asking a model.
    package func searchText(query: String, history: [Turn], of agent: AgentParts) -> String? {
        guard agent.settings.retrieval.rewrite != .off, !history.isEmpty else { return nil }
        guard let router else { return Rewrite.appended(query: query, history: history) }
        return router.searchText(query: query, history: history)
    }

    /// What the parts refuse in `settings`; empty when nothing.
    package static func problems(in settings: Settings) -> [String] {
        do {
            try Assembly(settings, logger: Logger(label: "parley")).loop.stop()
            return []
        } catch {
            return (error as? SettingsError)?.problems ?? ["\(error)"]
        }
    }
}

extension EmbeddingOptions {
    package init(_ settings: Settings.Embeddings) {
        self.init()
        batch = settings.batch
        maxTokens = settings.maxTokens
        queryPrefix = settings.queryPrefix
        passagePrefix = settings.passagePrefix
    }
}

extension PromptTemplate {
    init(_ settings: Settings.Prompt) throws {
        try self.init(
            system: settings.system ?? Self.standardSystem, user: settings.user ?? Self.standardUser,
            historyTokens: settings.historyTokens, contextTokens: settings.contextTokens)
    }
}

extension ChatBehaviour {
    init(_ settings: Settings.Model) {
        self.init(
            alwaysStreams: settings.stream == .always,
            omitted: Set(settings.omit.map(ChatParameter.init)),
            keepsThinking: settings.reasoning == .keep)
    }
}

extension PromptFeed {
    /// Nil: a chat request a job.
    init?(_ settings: Settings.Model) {
        guard settings.feed == .prompts, let template = ChatTemplate(settings.template) else { return nil }
        self.init(template: template, maxBatch: settings.maxBatch, maxTokens: settings.maxBatchTokens)
    }
}

extension ChatParameter {
    init(_ setting: Settings.Model.Parameter) {
        self =
            switch setting {
            case .temperature: .temperature
            case .seed: .seed
            case .maxTokens: .maxTokens
            case .streamOptions: .streamOptions
            }
    }
}

extension JobQueues {
    /// The queues that a configuration names.
    package init(_ settings: Settings) {
        self.init(
            base: settings.queue.name, lanes: settings.queue.lanes.map { Lane(name: $0.name, weight: $0.weight) },
            kind: settings.queue.kind == .quorum ? .quorum : .classic)
        retention.deadTTL = settings.retention.deadTTL
        retention.deadLetters = settings.retention.deadLetters
        retention.delayedJobs = settings.retention.delayedJobs
    }
}
