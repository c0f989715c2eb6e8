import IOLoop
import ParleyRabbitMQ
import Topology

extension HealthCheck {
    func checkRabbitMQ() async -> CheckResult {
        let address = assembly.rabbitMQ.redacted
        func result(_ outcome: CheckResult.Outcome, _ detail: String) -> CheckResult {
            CheckResult(name: "rabbitmq", outcome: outcome, detail: "\(address): \(detail)")
        }
        do throws(RabbitMQError) {
            let connection = try await RabbitMQConnection.open(assembly.rabbitMQ, loop: assembly.loop, logger: logger)
            let version = "RabbitMQ \(connection.serverProperties["version"]?.string ?? "of unknown version")"
            let found: Result<(outcome: CheckResult.Outcome, text: String), RabbitMQError>
            do throws(RabbitMQError) { found = .success(try await findings(connection)) } catch {
                found = .failure(error)
            }
            await connection.close()
            switch found {
            case .success(let found): return result(found.outcome, "\(version); \(found.text)")
            case .failure(let error):
                return result(error.isUnreachable ? .unreachable : .wrong, "\(version); \(error.message)")
            }
        } catch {
            return result(error.isUnreachable ? .unreachable : .wrong, "\(error.message) (rabbitmq.url)")
        }
    }

    /// The worst that is found with what a worker does.
    private func findings(
        _ connection: RabbitMQConnection
    ) async throws(RabbitMQError) -> (outcome: CheckResult.Outcome, text: String) {
        let queues = assembly.queues
        let base = queues.names.base
        var missing: [String] = []
        var depth: QueueStatus?
        for name in queues.jobNames + [queues.names.dead] {
            do throws(RabbitMQError) {
                let status = try await connection.declare(QueueDeclaration(name: name), passive: true)
                if name == base { depth = status }
            } catch {
                guard error.code == .notFound else { throw error }
                missing.append(name)
            }
        }
        for name in missing {
            if let refusal = await refusalToDeclare(name, connection) {
                return (
                    .wrong,
                    "\(name) does not exist, and a worker with this user may not declare it (with config/rabbitmq it comes "
                        + "with the definitions): \(refusal)"
                )
            }
        }
        if let refusal = try await refusalToPublish(connection) {
            return (.wrong, "a worker with this user could not reply: \(refusal)")
        }
        if let refusal = await refusalOfDelays(connection) {
            return (
                .warning,
                "a worker with this user could not retry or delay jobs, which needs permission to configure "
                    + "\(base).delay and \(base).delay.*: \(refusal)"
            )
        }
        guard let depth else {
            return (
                .warning,
                "\(base) does not exist yet: a worker declares it, if its user may (with config/rabbitmq it comes with the "
                    + "definitions)"
            )
        }
        for name in queues.jobNames where !missing.contains(name) {
            if let refusal = try await refusalToConsume(name, connection) {
                return (.wrong, "a worker with this user could not consume \(name): \(refusal)")
            }
        }
        var warnings: [String] = []
        for name in queues.jobNames where !missing.contains(name) {
            if let warning = await queues.warning(of: name, on: connection) { warnings.append(warning) }
        }
        warnings += await queues.retentionWarnings(on: connection)
        guard warnings.isEmpty else { return (.warning, warnings.joined(separator: ". Also: ")) }
        let kept = queues.retentionText.map { "; \($0)" } ?? ""
        return (.ok, "\(base) holds \(depth.messages) messages, \(depth.consumers) consumers\(kept)")
    }

    /// Why the user may not declare a queue that is not there; nil when it may. Deleting takes the same permission as
    /// declaring, and what does not exist is deleted without an effect (RabbitMQ documentation, Access Control). Should it
    /// be declared this very moment: an empty queue that nobody uses, and whoever declared it does so again.
    private func refusalToDeclare(_ queue: String, _ connection: RabbitMQConnection) async -> String? {
        do throws(RabbitMQError) {
            try await connection.deleteQueue(queue, ifUnused: true, ifEmpty: true)
            return nil
        } catch {
            return error.code == .accessRefused ? error.message : nil
        }
    }

    /// The same for the delay queues.
    private func refusalOfDelays(_ connection: RabbitMQConnection) async -> String? {
        do throws(RabbitMQError) {
            try await connection.deleteExchange("\(assembly.queues.names.base).delay.parley-check")
            return nil
        } catch {
            return error.code == .accessRefused ? error.message : nil
        }
    }

    /// Why the user may not consume the queue; nil when it may.
    ///
    /// RabbitMQ looks at the right to read first and at a consumer's arguments then, and refuses a priority that is no number
    /// (406): so no job is ever taken. A broker that takes it for one gives a job at most, and gets it back.
    private func refusalToConsume(
        _ queue: String, _ connection: RabbitMQConnection
    ) async throws(RabbitMQError) -> String? {
        do throws(RabbitMQError) {
            let channel = try await connection.openChannel()
            try await connection.qos(prefetch: 1, channel: channel)
            _ = try await connection.consume(queue, channel: channel, arguments: ["x-priority": "parley-check"]) { _ in
            }
            try await connection.closeChannel(channel)
            return nil
        } catch {
            switch error.code {
            case .accessRefused: return error.message
            case .preconditionFailed: return nil
            default: throw error
            }
        }
    }

    /// Why the user may not publish by the default exchange, which replies and dead letters take; nil when it may. The
    /// message is for a queue that is not there, and so comes back.
    private func refusalToPublish(_ connection: RabbitMQConnection) async throws(RabbitMQError) -> String? {
        do throws(RabbitMQError) {
            let channel = try await connection.openChannel()
            try await connection.confirmSelect(channel: channel)
            let queue = "\(assembly.queues.names.base).parley-check.\(UInt64.random(in: .min ... .max))"
            _ = try await connection.publish(
                OutgoingMessage(routingKey: queue, body: Array("{}".utf8)), channel: channel, timeout: .seconds(10))
            return nil
        } catch {
            guard error.code == .accessRefused else { throw error }
            return error.message
        }
    }
}
