import Generation
import Logging
import ParleyPrimitives
import ParleySettings
import Retrieval

/// One line of `parley check`.
package struct CheckResult: Sendable, Equatable {
    package enum Outcome: String, Sendable { case ok, warning, wrong, unreachable }
    /// The part: `configuration`, `rabbitmq`, `redis`, `embeddings`, `vectors`, `model`.
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
        async let vectors = checkVectors()
        async let model = checkModel()
        return await [rabbitMQ, redis, embeddings, vectors, model]
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

    private func checkVectors() async -> CheckResult {
        do throws(RetrievalError) {
            guard let index = try await assembly.retriever.check() else {
                return CheckResult(
                    name: "vectors", outcome: .warning,
                    detail: "\(assembly.store.location): no index yet; run parley ingest PATH")
            }
            return CheckResult(
                name: "vectors", outcome: .ok,
                detail: "\(assembly.store.location): \(index.passages) passages"
                    + (index.documents.map { " of \($0) documents" } ?? ""))
        } catch {
            return failed("vectors", error, key: "vectors.url")
        }
    }

    private func checkModel() async -> CheckResult {
        let name = assembly.settings.model.name.map { " (\($0))" } ?? ""
        guard let problem = await assembly.model.check() else {
            return CheckResult(name: "model", outcome: .ok, detail: "\(assembly.settings.model.url)\(name) answers")
        }
        // A service that answers, but not with what is needed, is asked or configured wrongly.
        let answers = await assembly.model.isThere()
        return CheckResult(name: "model", outcome: answers ? .wrong : .unreachable, detail: problem)
    }

    private func failed(_ name: String, _ error: RetrievalError, key: String) -> CheckResult {
        CheckResult(
            name: name, outcome: error.isTransient ? .unreachable : .wrong, detail: "\(error.explanation) (\(key))")
    }
}
