import ChatJobs
import Pipeline

extension Ledger.State {
    /// The reply is stored, and confirmed or unroutable, and a failed one's message is among the dead letters; or a copy
    /// of the message is known to be in the delay queues.
    mutating func checkOutcomeIsSafe(_ number: Int, _ what: String) {
        guard let account = accounts[number], account.confirmedCopies < 2 else { return }
        let message = account.message
        let stored = message.id.flatMap { history[$0] } ?? []
        if message.id != nil, stored.isEmpty, !account.isConflict {
            violations.append("message \(number) \(what) before it was stored")
        }
        switch message.replyQueue {
        case .none, .own: break
        case .gone:
            if account.unroutable == 0 { violations.append("message \(number) \(what) before its reply was returned") }
        case .routable:
            if account.confirmed.isEmpty, !account.isRefusedForGood {
                violations.append("message \(number) \(what) before its reply was confirmed")
            }
        }
        let statuses = account.confirmed.isEmpty ? stored.map(\.status) : account.confirmed.map(Self.status)
        // A failure may have been told and then been replaced by a revocation, whose reply nobody took.
        let isFailed = account.confirmed.contains(where: Self.isConflict) || stored.last?.status ?? .failed == .failed
        let mustBeDead = isFailed && !statuses.isEmpty && statuses.allSatisfy { $0 == .failed }
        if mustBeDead || (message.id == nil && message.refusal != nil), account.deadLettersConfirmed == 0 {
            violations.append("message \(number) failed and was \(what) before its dead letter was confirmed")
        }
    }

    /// A reply is published after it is stored.
    mutating func checkIsStored(_ number: Int, _ body: [UInt8]) {
        guard let message = accounts[number]?.message, let id = message.id else { return }
        let reply = try? Reply(decoding: body)
        if let query = message.query, let answer = reply?.answer, answer.hasPrefix("Answer "),
            !answer.hasSuffix(SimulatedModel.ending(of: query, message.tenant, message.agent))
        {
            violations.append("message \(number) was answered with another job's, tenant's or agent's reply")
        }
        if reply?.error?.code == ErrorCode.idConflict.rawValue {
            if !hasRival(message) { violations.append("message \(number) is in conflict with nobody") }
        } else if history[id]?.contains(where: { $0.body == body }) != true {
            violations.append("message \(number) was answered with a reply that was not stored")
        }
    }

    /// Whether another job has the message's id.
    private func hasRival(_ message: SimulatedMessage) -> Bool {
        accounts.values.contains {
            $0.message.id == message.id && $0.message.fingerprint != nil
                && $0.message.fingerprint != message.fingerprint
        }
    }

    /// What was known when the call failed must have been heeded. (A twin's call says nothing of this message.)
    mutating func checkPostponement(_ number: Int, _ delay: Duration, cut: Duration?, _ life: ProcessLife) {
        guard let message = accounts[number]?.message, let id = message.id,
            let last = failures[id]?.last, last.life === life
        else { return }
        if let cut, cut < last.at {
            violations.append("message \(number) was put aside although the broker delivers it again")
        }
        if !message.hasTwin, let deadline = message.deadline, deadline.since(last.wall) <= delay {
            violations.append("message \(number) was put aside until after its deadline")
        }
    }

    static func isConflict(_ body: [UInt8]) -> Bool {
        (try? Reply(decoding: body))?.error?.code == ErrorCode.idConflict.rawValue
    }

    static func status(_ body: [UInt8]) -> Reply.Status? { (try? Reply(decoding: body))?.status }

    /// What must be true when nothing is left to do.
    ///
    /// - Parameter searchesFail: then some attempts were none of the model's, and are not known here.
    mutating func checkEnd(_ configuration: PipelineConfiguration, searchesFail: Bool) {
        let retry = configuration.retry
        if let problem = spending.problem { violations.append(problem) }
        // All of them are jobs of one tenant, the one without a name, unless calls are shared.
        if let most = configuration.inFlight.everybody, mostRunning > most, !sharesCalls {
            violations.append("\(mostRunning) calls of a tenant at once in one worker, more than \(most)")
        }
        if mostRunning > configuration.answering.agent.modelConcurrency {
            violations.append(
                "\(mostRunning) calls at once in one worker, more than \(configuration.answering.agent.modelConcurrency)"
            )
        }
        if retry.maxDeliveries > 1, mostLossesBesideOthers >= retry.maxDeliveries - 1 {
            violations.append("a job that \(mostLossesBesideOthers) workers died of was tried beside others")
        }
        for (number, attempt) in contradictions where startsOver { checkStream(number, attempt, retry) }
        for account in accounts.values.sorted(by: { $0.message.number < $1.message.number }) {
            checkEnd(account)
            checkCrashes(account, retry)
            checkBounds(account, retry)
            if !searchesFail { checkAttempts(account, retry) }
        }
    }

    /// Chunks are the beginning of the answer, unless there is no time or attempt left to start over. (Of a delivery that came
    /// again, or whose id others have, another's answer may have been stored first.)
    private mutating func checkStream(_ number: Int, _ attempt: Int, _ retry: RetryPolicy) {
        guard let account = accounts[number], account.redeliveries == 0, account.mostCopies <= (attempt == 1 ? 3 : 2),
            !account.message.hasTwin, !account.message.hasDeadline, attempt < retry.maxAttempts
        else { return }
        violations.append("message \(number): its chunks are not the beginning of its answer")
    }

    /// A job is given up as `worker_lost` when that many workers died of it, and only then.
    private mutating func checkCrashes(_ account: Ledger.Account, _ retry: RetryPolicy) {
        let name = "message \(account.message.number)"
        guard let id = account.message.id else { return }
        let losses = self.losses[id] ?? 0
        if account.deadLettersArrived.contains(.workerLost), losses < retry.maxDeliveries {
            violations.append("\(name) was given up after \(losses) losses")
        }
        guard account.message.isPoison else {
            // A neighbour has its last chance apart from whoever kills. With one delivery allowed there is no last chance.
            if account.deadLettersArrived.contains(.workerLost), retry.maxDeliveries > 1, outsideLosses[id] == nil {
                violations.append("\(name) was given up for workers that others killed")
            }
            return
        }
        let kills = self.kills[id] ?? 0
        if kills > retry.maxDeliveries + 1 { violations.append("\(name) has killed \(kills) workers") }
        if (history[id] ?? []).contains(where: { $0.status == .succeeded }) {
            violations.append("\(name) kills workers and was answered")
        }
    }

    /// A job is given up for the model's failures only when it had its attempts, or was put off as often as is allowed; and
    /// never because nobody was there. (Of a stream a lost chunk may or may not have been seen: not checked.)
    private mutating func checkAttempts(_ account: Ledger.Account, _ retry: RetryPolicy) {
        let message = account.message
        guard let id = message.id, message.refusal == nil, !message.hasTwin, !message.isPoison, !message.hasDeadline,
            !message.streams,
            account.deadLettersArrived.contains(where: { $0.isRetryable && $0 != .retrievalFailed })
        else { return }
        let failures = failures[id] ?? []
        let attempts = failures.count { $0.failure.blame == .job } + (lostCalls[id] ?? 0) + (losses[id] ?? 0)
        let deferrals = failures.count { $0.failure.blame == .overload || $0.failure.blame == .gateway }
        if attempts < retry.maxAttempts, deferrals <= retry.maxAttempts * RetryPolicy.deferralsPerAttempt {
            violations.append("message \(message.number) was given up after \(attempts) attempts of its own")
        }
    }

    /// No job is tried more often than is allowed. (Of a delivery that came again, or went out twice, both are tried.)
    private mutating func checkBounds(_ account: Ledger.Account, _ retry: RetryPolicy) {
        let message = account.message
        guard let id = message.id, !message.hasTwin, account.redeliveries == 0, account.mostCopies <= 2 else { return }
        let failures = failures[id] ?? []
        let attempts = failures.count { $0.failure.blame == .job }
        if attempts > retry.maxAttempts { violations.append("message \(message.number) had \(attempts) attempts") }
        let refusals = failures.count { $0.failure.blame == .overload }
        if refusals > retry.maxAttempts * RetryPolicy.deferralsPerAttempt + 1 {
            violations.append("message \(message.number) was refused \(refusals) times, and not given up")
        }
    }

    private mutating func checkEnd(_ account: Ledger.Account) {
        let message = account.message
        let name = "message \(message.number)"
        if account.copies != 0 { violations.append("\(name): \(account.copies) copies never left the queue") }
        let stored = message.id.flatMap { history[$0] } ?? []
        if message.id != nil, stored.isEmpty { violations.append("\(name) has no stored result") }
        for body in account.arrived
        where message.id != nil && !stored.contains(where: { $0.body == body }) && !Self.isConflict(body) {
            violations.append("\(name) was answered with a reply that was never stored")
        }
        if message.replyQueue == .routable, account.arrived.isEmpty, !account.isRefusedForGood {
            violations.append("\(name) got no reply")
        }
        if message.replyQueue != .routable, !account.arrived.isEmpty { violations.append("\(name) got a reply") }
        let failures = stored.filter { $0.status == .failed }
        if let refusal = message.refusal {
            if account.deadLettersArrived.contains(where: { $0 != refusal }) || account.deadLettersArrived.isEmpty {
                violations.append("\(name) must be dead-lettered as \(refusal), was \(account.deadLettersArrived)")
            }
            let codes = account.arrived.map { (try? Reply(decoding: $0))?.error?.code }
            if codes.contains(where: { $0 != refusal.rawValue }) {
                violations.append("\(name) must be refused as \(refusal), was answered \(codes)")
            }
        } else if failures.isEmpty, !account.deadLettersArrived.isEmpty, !account.isConflict {
            violations.append("\(name) did not fail and was dead-lettered")
        }
    }
}
