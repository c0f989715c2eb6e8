/// Where replies may go: to queues of `reply.allow`, and never to what Parley itself lives in.
package struct ReplyRule: Sendable, Equatable {
    /// Replies there would come back as jobs, or never be seen.
    package var ownQueues: OwnQueues
    /// `reply.allow`.
    package var allowed: NamePatterns

    package init(ownQueues: OwnQueues, allowed: NamePatterns = .all) {
        self.ownQueues = ownQueues
        self.allowed = allowed
    }

    /// What a queue's name says about itself, whoever's job asks. Nil: nothing against it.
    private func problem(with queue: String, isUncertain: Bool) -> String? {
        if isUncertain {
            return
                "reply_to is \(shown(queue)), an address that may mean more than one place; give the queue's name, or "
                + "/queues/ and the name with each / in it as %2F"
        }
        if ReplyAddress.isDirect(queue), !ReplyAddress.isPlausibleDirect(queue) {
            return
                "reply_to is \(shown(queue)), no address that the broker has made; consume amq.rabbitmq.reply-to on the "
                + "channel that publishes, and give exactly that name"
        }
        if isParleys(queue) {
            return "reply_to names \(shown(queue)), a queue of Parley's own: replies there would come back as jobs"
        }
        return nil
    }

    private func isParleys(_ queue: String) -> Bool {
        ownQueues.contains(queue) || OwnQueues.contract.contains(queue) || OwnQueues.isDelay(queue)
    }

    /// Whether a message that is no job may be answered there. An address that is not certain is tried as a queue's name:
    /// whoever has such a queue is told what to write instead.
    func mayAnswer(_ queue: String, tenant: String?, user: String?) -> Bool {
        if isParleys(queue) || (ReplyAddress.isDirect(queue) && !ReplyAddress.isPlausibleDirect(queue)) { return false }
        return isAllowed(queue, tenant: tenant, user: user)
    }

    private func isAllowed(_ queue: String, tenant: String?, user: String?) -> Bool {
        allowed.allowsAll || allowed.allow(queue, tenant: tenant, user: user)
            // Whoever allows direct replies by the name that producers give means them all.
            || (ReplyAddress.isDirect(queue) && allowed.allow(ReplyAddress.direct, tenant: tenant, user: user))
    }

    /// Why a job may have no replies sent to `queue`; nil when it may.
    ///
    /// - Parameters:
    ///   - isUncertain: it is an address, and not certain which queue it means.
    ///   - tenant: the job's.
    ///   - user: the one that the broker vouches for, or else the one that the job names.
    func refusal(of queue: String, isUncertain: Bool, tenant: String?, user: String?) -> JobFailure? {
        if let problem = problem(with: queue, isUncertain: isUncertain) { return JobFailure(.invalidJob, problem) }
        if isAllowed(queue, tenant: tenant, user: user) { return nil }
        return JobFailure(.invalidJob, "reply_to names \(shown(queue)); allowed are \(allowed) (reply.allow)")
    }
}

/// The queues whose names Parley derives from the job queue's.
package struct OwnQueues: Sendable, Equatable {
    /// `queue.name`.
    package var base: String
    /// Lane suffixes, `chat.jobs.<lane>`.
    package var lanes: [String]

    package init(base: String, lanes: [String] = []) {
        self.base = base
        self.lanes = lanes
    }

    /// Those of a deployment that has changed no names: another one on the same broker.
    static let contract = OwnQueues(base: "chat.jobs", lanes: ["high", "bulk"])

    /// Whether it has the name of a delay queue, whosever: a message there goes to its deployment's job queue in the end.
    static func isDelay(_ queue: String) -> Bool {
        let bytes = queue.utf8
        guard let last = bytes.last, isDigit(last) else { return false }
        let digits = bytes.reversed().prefix(while: isDigit).count
        return bytes.dropLast(digits).suffix(7).elementsEqual(".delay.".utf8)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 <= 9 }

    /// The dead-letter queue.
    package var dead: String { base + ".dead" }

    /// Whether `queue` is the job queue, a lane, the dead-letter queue or one of the delay queues.
    package func contains(_ queue: String) -> Bool {
        guard queue.hasPrefix(base) else { return false }
        return queue == base || queue == dead || queue.hasPrefix(base + ".delay")
            || lanes.contains { queue == "\(base).\($0)" }
    }
}
