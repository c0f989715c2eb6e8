@_exported import ChatJobs
import IOLoop
import Logging
import ParleyRabbitMQ
import ParleyRedis
import Topology

/// Asks Parley's workers from Swift.
///
/// ```swift
/// let client = try await ParleyClient.connect(ParleyClientConfiguration())
/// let reply = try await client.ask("How do I return a damaged parcel?")
/// print(reply.answer ?? "")
/// await client.close()
/// ```
///
/// Jobs are published persistent, mandatory and confirmed. Replies come to an exclusive queue of the client's own; when
/// its connection breaks, the stored result is looked for instead, so that an answer given meanwhile is not missed.
public actor ParleyClient {
    let loop: IOLoop
    let configuration: ParleyClientConfiguration
    let publisher: RabbitMQPublisher
    let redis: RedisClient?
    let logger: Logger
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    var replies: ReplyInbox?
    private(set) var isClosed = false

    private init(_ configuration: ParleyClientConfiguration, loop: IOLoop, logger: Logger) {
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        let queues = configuration.queues
        publisher = RabbitMQPublisher(
            configuration: configuration.rabbitMQ, loop: loop,
            setup: { connection throws(RabbitMQError) in try await queues.ensure(on: connection, deadLetters: false) },
            logger: logger)
        redis = configuration.redis.map { RedisClient(configuration: $0, loop: loop, logger: logger) }
    }

    /// Connects to RabbitMQ, and declares the job queue if it does not exist. Redis is connected to when first needed.
    /// - Throws: ``ParleyClientError``: `unreachable`, `refused`.
    public static func connect(
        _ configuration: ParleyClientConfiguration, logger: Logger = Logger(label: "parley.client")
    ) async throws(ParleyClientError) -> ParleyClient {
        let loop: IOLoop
        do throws(IOLoopError) { loop = try IOLoop(name: "parley-client") } catch {
            throw ParleyClientError(.unreachable, "\(error)")
        }
        do throws(RabbitMQError) {
            // The first attempt's error is the caller's to see; later ones are mended in the background.
            let first = try await RabbitMQConnection.open(configuration.rabbitMQ, loop: loop, logger: logger)
            try await configuration.queues.ensure(on: first, deadLetters: false)
            await first.close()
        } catch {
            loop.stop()
            throw ParleyClientError(error)
        }
        let client = ParleyClient(configuration, loop: loop, logger: logger)
        await client.publisher.start()
        return client
    }

    /// Publishes a job and waits for the broker's confirm.
    /// - Throws: ``ParleyClientError``: `unroutable` when the job queue is gone, `unreachable`.
    public func publish(_ message: JobMessage) async throws(ParleyClientError) {
        try await publish([message])[0].get()
    }

    /// Publishes many jobs, all in flight at once, and waits for their confirms: results in the order of the messages.
    public func publish(_ messages: [JobMessage]) async -> [Result<Void, ParleyClientError>] {
        await publish(messages, timeout: configuration.rabbitMQ.confirmTimeout)
    }

    func publish(_ messages: [JobMessage], timeout: Duration) async -> [Result<Void, ParleyClientError>] {
        let queue = configuration.queues.names.base
        guard !isClosed else { return messages.map { _ in .failure(.isClosed) } }
        // Where users decide on tenants, the broker has to vouch for this one.
        let user = configuration.tenant == nil ? nil : configuration.rabbitMQ.username
        let outgoing = messages.map { $0.outgoing(to: queue, by: configuration.exchange, from: user) }
        return await publisher.publish(outgoing, timeout: timeout).map { result in
            switch result {
            case .success(.confirmed): .success(())
            case .success(.returned(_, let reason)):
                .failure(
                    ParleyClientError(
                        .unroutable,
                        "the queue \(queue) does not take the job (\(reason)); start a worker, or set queue.name"))
            case .failure(let error): .failure(ParleyClientError(error))
            }
        }
    }

    /// Makes sure that a durable queue for replies exists.
    public func ensureReplyQueue(_ name: String) async throws(ParleyClientError) {
        do throws(RabbitMQError) {
            _ = try await publisher.ensureQueue(QueueDeclaration(name: name, arguments: ["x-queue-type": "classic"]))
        } catch {
            throw ParleyClientError(error)
        }
    }

    /// The stored result of a job; nil when there is none (not answered yet, or expired from the store).
    /// - Throws: ``ParleyClientError``: `invalid` without a Redis, `unreachable`.
    public func result(_ id: JobID) async throws(ParleyClientError) -> Reply? {
        guard let bytes = try await storedResult(id) else { return nil }
        guard let reply = try? Reply(decoding: bytes) else {
            throw ParleyClientError(.refused, "what is stored for \(id) is no reply")
        }
        return reply
    }

    /// The same as JSON, as it is stored.
    public func storedResult(_ id: JobID) async throws(ParleyClientError) -> [UInt8]? {
        guard !isClosed else { throw .isClosed }
        guard let redis else { throw ParleyClientError(.invalid, "no redis.url: stored results cannot be read") }
        return try await redis.storedResult(configuration.keys.result(configuration.keys.job(id)))
    }

    /// Waits for open confirms, closes the connections and ends the client's thread.
    public func close() async {
        guard !isClosed else { return }
        isClosed = true
        await replies?.failAll(ParleyClientError(.closed, "the client was closed"))
        await replies?.consumer.close()
        await publisher.close()
        await redis?.close()
    }

    // Not in close(): a call that comes late must still find a thread to be refused on.
    deinit { loop.stop() }
}
