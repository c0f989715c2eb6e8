import Generation
import IOLoop
import Logging
import ParleyRabbitMQ
import ParleyRedis
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
        self.detail = detail
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

    private func checkRabbitMQ() async -> CheckResult {
        let address = assembly.rabbitMQ.redacted
        let queue = assembly.queues.names.base
        do throws(RabbitMQError) {
            let connection = try await RabbitMQConnection.open(assembly.rabbitMQ, loop: assembly.loop, logger: logger)
            let version = connection.serverProperties["version"]?.string ?? "of unknown version"
            let status: Result<QueueStatus, RabbitMQError>
            do throws(RabbitMQError) {
                let declaration = QueueDeclaration(name: queue)
                status = .success(try await connection.declare(declaration, passive: true))
            } catch {
                status = .failure(error)
            }
            let delays = await refusalOfDelays(connection)
            await connection.close()
            switch status {
            case .success(let status):
                if let delays {
                    return CheckResult(
                        name: "rabbitmq", outcome: .warning,
                        detail: "\(address): RabbitMQ \(version); a worker with this user could not retry or delay "
                            + "jobs, which needs permission to configure \(queue).delay and \(queue).delay.*: \(delays)"
                    )
                }
                return CheckResult(
                    name: "rabbitmq", outcome: .ok,
                    detail: "\(address): RabbitMQ \(version); \(queue) holds \(status.messages) messages, "
                        + "\(status.consumers) consumers")
            case .failure(let error) where error.code == .notFound:
                return CheckResult(
                    name: "rabbitmq", outcome: .warning,
                    detail: "\(address): RabbitMQ \(version); \(queue) does not exist yet: a worker declares it, if "
                        + "its user may (with config/rabbitmq it comes with the definitions)"
                )
            case .failure(let error):
                return CheckResult(name: "rabbitmq", outcome: .wrong, detail: "\(address): \(queue): \(error.message)")
            }
        } catch {
            return CheckResult(
                name: "rabbitmq", outcome: error.isUnreachable ? .unreachable : .wrong,
                detail: "\(address): \(error.message) (rabbitmq.url)")
        }
    }

    /// Why the user may not declare the delay queues; nil when it may. Deleting takes the same permission as declaring, and
    /// what does not exist is deleted without an effect (RabbitMQ documentation, Access Control).
    private func refusalOfDelays(_ connection: RabbitMQConnection) async -> String? {
        do throws(RabbitMQError) {
            try await connection.deleteExchange("\(assembly.queues.names.base).delay.parley-check")
            return nil
        } catch {
            return error.code == .accessRefused ? error.message : nil
        }
    }

    private func checkRedis() async -> CheckResult {
        let client = RedisClient(configuration: assembly.redis, loop: assembly.loop, logger: logger)
        let result: CheckResult
        do throws(RedisError) {
            try await client.connect()
            // A key that only a probe would use: what a worker does, without leaving anything behind.
            let key = "\(assembly.keys.prefix):result:parley-check"
            let probe = try await client.send([
                RedisCommand("SET", key, "{}", "PX", 1000),
                RedisCommand("DEL", key), RedisCommand("INFO", "server"),
            ])
            // First: a cluster may refuse the key for another's.
            if probe.last?.string?.contains("redis_mode:cluster") == true {
                result = CheckResult(
                    name: "redis", outcome: .wrong,
                    detail:
                        "\(assembly.redis.redacted) is a Redis Cluster: a single primary is needed, with or without replicas"
                )
            } else if let refusal = probe.first?.refusal {
                result = CheckResult(
                    name: "redis", outcome: .wrong,
                    detail: "\(assembly.redis.redacted): results cannot be written: \(refusal)")
            } else {
                let version = probe.last?.string?.split(separator: "\r\n").first { $0.hasPrefix("redis_version:") }
                result = CheckResult(
                    name: "redis", outcome: .ok,
                    detail: "\(assembly.redis.redacted): Redis \(version?.dropFirst(14) ?? "of unknown version")")
            }
        } catch {
            let isWrong = error.code == .authenticationFailed || error.code == .invalidConfiguration
            result = CheckResult(
                name: "redis", outcome: isWrong ? .wrong : .unreachable,
                detail: "\(assembly.redis.redacted): \(error.message) (redis.url)")
        }
        await client.close()
        return result
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
        return CheckResult(name: "model", outcome: .unreachable, detail: problem)
    }

    private func failed(_ name: String, _ error: RetrievalError, key: String) -> CheckResult {
        CheckResult(
            name: name, outcome: error.isTransient ? .unreachable : .wrong, detail: "\(error.explanation) (\(key))")
    }
}
