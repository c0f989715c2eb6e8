import ParleyRabbitMQ

extension DelayLadder {
    /// What waits in a ladder.
    package struct Depth: Sendable, Equatable {
        /// Waiting messages by level, the shortest (125 ms) first; nil where the level's queue does not exist.
        package var levels: [Int?]
        /// All waiting messages.
        package var total: Int { levels.reduce(0) { $0 + ($1 ?? 0) } }
        /// Whether any of it exists.
        package var exists: Bool { levels.contains { $0 != nil } }
    }

    /// The name of a level's queue, 0 being the shortest.
    package func queueName(ofLevel number: Int) -> String { level(number) }

    /// How long a message waits on a level, before shorter ones.
    package static func wait(onLevel number: Int) -> Duration { wait(number) }

    /// Counts what waits. A message on its way from one level to the next may be missed.
    package func depth(on connection: RabbitMQConnection) async throws(RabbitMQError) -> Depth {
        var depth = Depth(levels: [])
        do throws(RabbitMQError) {
            // Declared first and deleted last: without it there is nothing, and 28 questions less for the broker's log.
            try await connection.declareExchange(due, type: "topic", passive: true)
        } catch {
            guard error.code == .notFound else { throw error }
            return Depth(levels: Array(repeating: nil, count: Self.levels))
        }
        for level in 0..<Self.levels { depth.levels.append(try await waiting(level, on: connection)) }
        return depth
    }

    private func waiting(_ level: Int, on connection: RabbitMQConnection) async throws(RabbitMQError) -> Int? {
        do throws(RabbitMQError) {
            return Int(try await connection.declare(queue(level), passive: true).messages)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Deletes all of it; no error when there is nothing. A worker that connects later declares it again.
    /// - Parameter force: also when messages wait; they are lost then.
    /// - Returns: how many messages went with it.
    /// - Throws: ``RabbitMQError/Code/preconditionFailed`` when messages wait. If they came while it was being deleted,
    ///   the entry is gone already; what waits still goes where it should.
    @discardableResult
    package func remove(on connection: RabbitMQConnection, force: Bool = false) async throws(RabbitMQError) -> Int {
        let before = try await depth(on: connection)
        if !force { try refuse(before.total) }
        try await connection.deleteExchange(entry)
        var lost = 0
        // From the top: once a level is gone, nothing can come down to the next one. Asked and deleted in two steps,
        // since quorum queues know no deletion on a condition.
        for level in (0..<Self.levels).reversed() {
            if !force, before.levels[level] != nil { try refuse(try await waiting(level, on: connection) ?? 0) }
            lost += Int(try await connection.deleteQueue(self.level(level)))
        }
        for level in (0..<Self.levels).reversed() { try await connection.deleteExchange(self.level(level)) }
        try await connection.deleteExchange(due)
        try await connection.deleteExchange(stray)
        return lost
    }

    private func refuse(_ waiting: Int) throws(RabbitMQError) {
        guard waiting > 0 else { return }
        throw RabbitMQError(
            .preconditionFailed,
            "\(waiting) messages wait in the delay queues of '\(base)': wait until they are due, or remove them by force"
        )
    }
}
