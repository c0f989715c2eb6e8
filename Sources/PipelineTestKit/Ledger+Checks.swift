import ChatJobs

extension Ledger.State {
    /// The reply is stored, and confirmed or unroutable, and a failed one's message is among the dead letters.
    mutating func checkOutcomeIsSafe(_ number: Int, _ what: String) {
        guard let account = accounts[number] else { return }
        let message = account.message
        let stored = message.id.flatMap { history[$0] } ?? []
        if message.id != nil, stored.isEmpty { violations.append("message \(number) \(what) before it was stored") }
        switch message.replyQueue {
        case .none, .own: break
        case .gone:
            if account.unroutable == 0 { violations.append("message \(number) \(what) before its reply was returned") }
        case .routable:
            if account.confirmed.isEmpty {
                violations.append("message \(number) \(what) before its reply was confirmed")
            }
        }
        let statuses = account.confirmed.isEmpty ? stored.map(\.status) : account.confirmed.map(Self.status)
        let mustBeDead = !statuses.isEmpty && statuses.allSatisfy { $0 == .failed }
        if mustBeDead || (message.id == nil && message.refusal != nil), account.deadLettersConfirmed == 0 {
            violations.append("message \(number) failed and was \(what) before its dead letter was confirmed")
        }
    }

    static func status(_ body: [UInt8]) -> Reply.Status? { (try? Reply(decoding: body))?.status }

    /// What must be true when nothing is left to do.
    mutating func checkEnd(callsPerID: (_ messages: Int, _ redeliveries: Int) -> Int) {
        for account in accounts.values.sorted(by: { $0.message.number < $1.message.number }) { checkEnd(account) }
        for (id, calls) in calls {
            let messages = accounts.values.filter { $0.message.id == id }
            // An expired id may be asked again by a message with a later deadline.
            let expired = (history[id] ?? []).filter { $0.status == .expired }.count
            let allowed = callsPerID(messages.count, messages.map(\.redeliveries).reduce(0, +)) + expired
            if calls > allowed { violations.append("\(id): \(calls) model calls where \(allowed) are allowed") }
        }
    }

    private mutating func checkEnd(_ account: Ledger.Account) {
        let message = account.message
        let name = "message \(message.number)"
        if !account.hasLeft { violations.append("\(name) never left the queue") }
        let stored = message.id.flatMap { history[$0] } ?? []
        if message.id != nil, stored.isEmpty { violations.append("\(name) has no stored result") }
        for body in account.arrived where message.id != nil && !stored.contains(where: { $0.body == body }) {
            violations.append("\(name) was answered with a reply that was never stored")
        }
        if message.replyQueue == .routable, account.arrived.isEmpty { violations.append("\(name) got no reply") }
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
        } else if failures.isEmpty, !account.deadLettersArrived.isEmpty {
            violations.append("\(name) did not fail and was dead-lettered")
        }
    }
}
