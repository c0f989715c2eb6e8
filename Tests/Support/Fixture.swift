import IOLoop
import Logging
import ParleyRabbitMQ
import Synchronization
import Testing

/// A loop and a broker's address for the length of one test.
package struct Fixture {
    package let loop: IOLoop
    package let configuration: RabbitMQConfiguration
    package let logger: Logger
    package let broker: PrivateRabbitMQ

    package init(_ rest: String = "") throws {
        broker = try #require(PrivateRabbitMQ.current)
        loop = try IOLoop(name: "test-amqp")
        var configuration = try RabbitMQConfiguration(url: "amqp://guest:guest@127.0.0.1:\(broker.port)\(rest)")
        // A slow and busy machine's broker may take its time.
        configuration.rpcTimeout = .seconds(60)
        self.configuration = configuration
        var logger = Logger(label: "test")
        logger.logLevel = .error
        self.logger = logger
    }

    package func connect() async throws -> RabbitMQConnection {
        try await RabbitMQConnection.open(configuration, loop: loop, logger: logger)
    }

    /// A connection and a channel in confirm mode.
    package func connectConfirming() async throws -> (RabbitMQConnection, UInt16) {
        let connection = try await connect()
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        return (connection, channel)
    }
}

/// Collects what callbacks on the loop report.
package final class Log<Element: Sendable>: Sendable {
    private let entries = Mutex<[Element]>([])
    package init() {}
    package func append(_ element: Element) { entries.withLock { $0.append(element) } }
    package var all: [Element] { entries.withLock { $0 } }
    package var count: Int { entries.withLock { $0.count } }
}

extension OutgoingMessage {
    package init(to queue: String, _ text: String = "x") {
        self.init(routingKey: queue, body: Array(text.utf8))
    }
}

package func expectError<T>(
    _ code: RabbitMQError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> T
) async -> RabbitMQError? {
    do {
        _ = try await body()
        Issue.record("expected \(code), nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as RabbitMQError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("expected \(code), got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
