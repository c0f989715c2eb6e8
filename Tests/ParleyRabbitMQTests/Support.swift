import IOLoop
import Logging
import Synchronization
import Testing

@testable import ParleyRabbitMQ

/// A loop and a broker's address for the length of one test.
struct Fixture {
    let loop: IOLoop
    let configuration: RabbitMQConfiguration
    let logger: Logger
    let broker: PrivateBroker

    init(_ rest: String = "") throws {
        broker = try #require(PrivateBroker.current)
        loop = try IOLoop(name: "test-amqp")
        configuration = try RabbitMQConfiguration(url: broker.url(rest))
        var logger = Logger(label: "test")
        logger.logLevel = .error
        self.logger = logger
    }

    func connect() async throws -> RabbitMQConnection {
        try await RabbitMQConnection.open(configuration, loop: loop, logger: logger)
    }

    /// A connection and a channel in confirm mode.
    func connectConfirming() async throws -> (RabbitMQConnection, UInt16) {
        let connection = try await connect()
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        return (connection, channel)
    }
}

/// Collects what callbacks on the loop report.
final class Log<Element: Sendable>: Sendable {
    private let entries = Mutex<[Element]>([])
    func append(_ element: Element) { entries.withLock { $0.append(element) } }
    var all: [Element] { entries.withLock { $0 } }
    var count: Int { entries.withLock { $0.count } }
}

extension OutgoingMessage {
    init(to queue: String, _ text: String = "x") {
        self.init(routingKey: queue, body: Array(text.utf8))
    }
}

func expectError<T>(
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
