import ChatJobs
import IOLoop
import Logging
import ParleyJSON
import ParleyRabbitMQ
import Topology

/// The dead-letter queue, for operators.
///
/// Several may use it at once, on any machine: each letter is in one hand at a time. What one holds while it looks, the
/// others do not see until it ends.
package struct DeadLetters: Sendable {
    private(set) var configuration: RabbitMQConfiguration
    let queues: JobQueues
    let relay: Relay?
    let logger: Logger
    /// `secrets.letter_key`: letters without a right signature are not requeued.
    let signature: LetterSignature?
    let isInterrupted: @Sendable () -> Bool
    let onConnected: @Sendable () -> Void

    /// Told now and then: letters looked at so far, and how many there are.
    package typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

    /// - Parameters:
    ///   - relay: where the broker's users decide on tenants.
    ///   - letterKey: `secrets.letter_key`: what is not signed with it is not requeued.
    ///   - isInterrupted: asked often; once true, whatever runs comes to an orderly end.
    ///   - onConnected: told when work is about to begin; before that there is nothing to bring to an end.
    package init(
        configuration: RabbitMQConfiguration, queues: JobQueues, relay: Relay? = nil, logger: Logger,
        letterKey: String? = nil,
        isInterrupted: @escaping @Sendable () -> Bool = { false }, onConnected: @escaping @Sendable () -> Void = {}
    ) {
        self.configuration = configuration
        // A queue that takes back many messages answers nobody meanwhile.
        self.configuration.rpcTimeout = max(configuration.rpcTimeout, .seconds(60))
        self.queues = queues
        self.relay = relay
        self.logger = logger
        signature = letterKey.map { LetterSignature(key: $0) }
        self.isInterrupted = isInterrupted
        self.onConnected = onConnected
    }

    /// The queue's name.
    package var queue: String { queues.names.dead }

    /// How many letters are ready; nil when there is no dead-letter queue yet.
    /// - Throws: ``OperationError``.
    package func count() async throws(OperationError) -> Int? {
        try await connected { connection, _ throws(RabbitMQError) in try await depth(on: connection) }
    }

    /// Looks at every letter of the filter, oldest first, and leaves all where they are.
    /// - Parameter visit: returns false when it has seen enough.
    /// - Throws: ``OperationError``. An interruption ends the look without an error.
    /// - Returns: how many letters were looked at and how many were meant, and whether another command held some meanwhile,
    ///   which were not met.
    @discardableResult
    package func look(
        _ filter: LetterFilter, progress: Progress = { _, _ in }, visit: @Sendable (DeadLetter) -> Bool
    ) async throws(OperationError) -> Look {
        try await connected { connection, loop throws(RabbitMQError) in
            var look = Look()
            guard try await depth(on: connection) != nil else { return look }
            let scan = try await LetterScan(
                connection, queue: queue, loop: loop, relay: relay, isInterrupted: isInterrupted)
            let result: Result<Void, RabbitMQError>
            do throws(RabbitMQError) {
                var wantsMore = true
                while wantsMore, let deliveries = try await scan.next(atMost: 512) {
                    for delivery in deliveries where wantsMore {
                        let letter = DeadLetter(delivery, relay: relay)
                        guard filter.matches(letter) else { continue }
                        look.matched += 1
                        wantsMore = visit(letter)
                    }
                    await scan.keep(deliveries)
                    progress(await scan.scanned, scan.depth)
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            look.scanned = await scan.scanned
            await scan.finish()
            look.hadCompany = await scan.hadCompany
            try result.get()
            return look
        }
    }

    /// What a look has met.
    package struct Look: Sendable {
        package var scanned = 0
        package var matched = 0
        package var hadCompany = false
    }

    /// The letters of the filter by cause and queue, the most frequent first.
    package func groups(
        _ filter: LetterFilter, progress: Progress = { _, _ in }
    ) async throws(OperationError) -> (groups: [LetterGroup], look: Look) {
        let groups = LetterGroups()
        let look = try await look(filter, progress: progress) { letter in
            groups.add(letter)
            return true
        }
        return (groups.sorted, look)
    }

    // MARK: - Connecting

    func depth(on connection: RabbitMQConnection) async throws(RabbitMQError) -> Int? {
        do throws(RabbitMQError) {
            return Int(try await connection.declare(QueueDeclaration(name: queue), passive: true).messages)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    func connected<T: Sendable>(
        _ body: (RabbitMQConnection, IOLoop) async throws(RabbitMQError) -> T
    ) async throws(OperationError) -> T {
        let loop = try makeLoop()
        defer { loop.stop() }
        do throws(RabbitMQError) {
            let connection = try await RabbitMQConnection.open(configuration, loop: loop, logger: logger)
            onConnected()
            let result: Result<T, RabbitMQError>
            do throws(RabbitMQError) { result = .success(try await body(connection, loop)) } catch {
                result = .failure(error)
            }
            await connection.close()
            return try result.get()
        } catch {
            throw OperationError(error, at: configuration.redacted)
        }
    }
}

func makeLoop() throws(OperationError) -> IOLoop {
    do throws(IOLoopError) { return try IOLoop(name: "parley-io") } catch {
        throw OperationError(.refused, "\(error)")
    }
}
