import IOLoop
import Logging
import TestSupport
import Testing

@testable import ParleyRabbitMQ

/// A loop, and a broker that does as a script says, for the length of one test.
struct PeerFixture {
    let loop: IOLoop
    let broker: ScriptedBroker
    let configuration: RabbitMQConfiguration
    let logger: Logger

    init(_ rest: String = "?heartbeat=0", script: @escaping ScriptedBroker.Script) throws {
        loop = try IOLoop(name: "test-amqp")
        broker = try ScriptedBroker(script)
        configuration = try RabbitMQConfiguration(url: broker.url(rest))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        self.logger = logger
    }

    func connect() async throws -> RabbitMQConnection {
        try await RabbitMQConnection.open(configuration, loop: loop, logger: logger)
    }

    func close(_ consumer: RabbitMQConsumer) async {
        await consumer.close()
        finish()
    }

    func close(_ publisher: RabbitMQPublisher) async {
        await publisher.close()
        finish()
    }

    func close(_ connection: RabbitMQConnection) async {
        await connection.close()
        finish()
    }

    /// Nothing may have gone otherwise than the script had it.
    private func finish(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(broker.problems == [], sourceLocation: sourceLocation)
        broker.close()
    }
}

extension Log<ConnectionEvent> {
    var disconnections: [RabbitMQError] {
        all.compactMap { if case .disconnected(let error, _) = $0 { error } else { nil } }
    }
    var connections: Int { all.count { if case .connected = $0 { true } else { false } } }
}
