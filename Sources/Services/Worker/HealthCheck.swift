import Generation
import Logging
import ParleyPrimitives
import ParleySettings
import Retrieval

/// One line of `parley check`.
package struct CheckResult: Sendable, Equatable {
    package enum Outcome: String, Sendable { case ok, warning, wrong, unreachable }
    /// The part: `configuration`, `rabbitmq`, `redis`, `embeddings`, `rerank`, `vectors`, `model`, `objects`.
    package let name: String
    package let outcome: Outcome
    /// One sentence in plain words: what is there, or what is wrong and what to do.
    package let detail: String

    package init(name: String, outcome: Outcome, detail: String) {
        self.name = name
        self.outcome = outcome
        // Whoever pastes this somewhere tells no user, no password, and no query in which a service may want its key.
        self.detail = URLText.redacted(in: detail)
    }
}

/// Tries every server that the configuration names.
package struct HealthCheck: Sendable {
    let assembly: Assembly
    let logger: Logger

    package init(_ assembly: Assembly, logger: Logger) {
        self.assembly = assembly
        self.logger = logger
    }

    /// The results in a fixed order. Nothing is changed on any server.
    package func run() async -> [CheckResult] {
        async let rabbitMQ = checkRabbitMQ()
        async let redis = checkRedis()
        async let embeddings = checkEmbeddings()
        async let rerank = checkReranker()
        async let agents = checkAgents()
        async let objects = checkObjects()
        return await [rabbitMQ, redis, embeddings] + rerank + agents + objects
    }

    private func checkObjects() async -> [CheckResult] {
        guard let objects = assembly.objects else { return [] }
        guard let trouble = await objects.trouble() else {
            return [CheckResult(name: "objects", outcome: .ok, detail: objects.location)]
        }
        return [CheckResult(name: "objects", outcome: trouble.isAway ? .unreachable : .wrong, detail: trouble.text)]
    }

    private func checkEmbeddings() async -> CheckResult {
        do throws(RetrievalError) {
            let vectors = try await assembly.embedder.vectors(of: ["check"], as: .question, timeout: .seconds(10))
            return CheckResult(
                name: "embeddings", outcome: .ok,
                detail: "\(assembly.embedder.identity): \(vectors.first?.count ?? 0) numbers a text")
        } catch {
            return failed("embeddings", error, key: "embeddings.url")
        }
    }

    private func checkReranker() async -> [CheckResult] {
        guard let reranker = assembly.reranker, let url = assembly.settings.rerank.url else { return [] }
        do throws(RetrievalError) {
            try await reranker.check(timeout: .seconds(10))
            return [CheckResult(name: "rerank", outcome: .ok, detail: "\(url) answers")]
        } catch {
            return [failed("rerank", error, key: "rerank.url")]
        }
    }

    /// Of each agent what it does not share with one before.
    private func checkAgents() async -> [CheckResult] {
        await withTaskGroup(of: (Int, [CheckResult]).self) { group in
            for (place, agent) in assembly.agents.enumerated() {
                group.addTask {
                    async let vectors = agent.ownsStore ? checkVectors(of: agent) : nil
                    async let model = agent.ownsService ? checkModel(of: agent) : []
                    var results = await [vectors].compactMap(\.self) + model
                    for fallback in agent.fallbacks where fallback.ownsService {
                        results.append(
                            await check(
                                fallback.model, fallback.settings, fallback.service.description, place: fallback.place))
                    }
                    return (place, results)
                }
            }
            var results: [Int: [CheckResult]] = [:]
            for await (place, result) in group { results[place] = result }
            return assembly.agents.indices.flatMap { results[$0] ?? [] }
        }
    }

    private func checkVectors(of agent: AgentParts) async -> CheckResult {
        let (name, location) = (agent.vectors.description, agent.store.location)
        do throws(RetrievalError) {
            guard let index = try await agent.retriever.check() else {
                return CheckResult(
                    name: name, outcome: .warning,
                    detail: "\(location): no index yet; run parley ingest PATH"
                        + (agent.name.map { " --agent \($0)" } ?? ""))
            }
            return CheckResult(
                name: name, outcome: .ok,
                detail: "\(location): \(index.passages) passages"
                    + (index.documents.map { " of \($0) documents" } ?? ""))
        } catch {
            return failed(name, error, key: agent.key("vectors.url"))
        }
    }

    /// Each of its endpoints.
    private func checkModel(of agent: AgentParts) async -> [CheckResult] {
        let (settings, name) = (agent.settings.model, agent.service.description)
        guard let members = (agent.model as? EndpointModels)?.members else {
            return [await check(agent.model, settings, name)]
        }
        return await withTaskGroup(of: (Int, CheckResult).self) { group in
            for (place, member) in members.enumerated() {
                group.addTask {
                    var own = settings
                    own.url = member.url
                    let entry = agent.key("model.endpoints, entry \(place + 1)")
                    return (place, await check(member.model, own, name, place: entry))
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// - Parameter place: where it is set, unless that is `model.url` and so on.
    private func check(
        _ model: any LanguageModel, _ settings: Settings.Model, _ name: String, place: String? = nil
    ) async -> CheckResult {
        guard let problem = await model.check() else {
            return CheckResult(
                name: name, outcome: .ok, detail: "\(settings.url)\(settings.name.map { " (\($0))" } ?? "") answers")
        }
        // A service that answers, but not with what is needed, is asked or configured wrongly.
        let answers = await model.isThere()
        return CheckResult(
            name: name, outcome: answers ? .wrong : .unreachable,
            detail: (place.map { "\($0) (\(settings.url)): " } ?? "") + problem)
    }

    private func failed(_ name: String, _ error: RetrievalError, key: String) -> CheckResult {
        CheckResult(
            name: name, outcome: error.isTransient ? .unreachable : .wrong, detail: "\(error.explanation) (\(key))")
    }
}
