import ChatJobs

/// The calls in the simulated store's ledger beside those that the model's service has served.
package struct Spending: Sendable, Equatable {
    /// How a call ended, as its service sees it.
    enum CallEnd {
        /// It was answered, or cost something all the same.
        case billed
        /// It was refused, or failed for nothing.
        case free
        /// Its worker died meanwhile: whatever came of it, the worker had it under way.
        case widowed
    }

    private var billed = 0
    private var widowed = 0
    /// Calls in the ledger.
    package private(set) var noted = 0
    /// Of those, the ones whose worker had ended.
    package private(set) var notedAsLost = 0
    /// Calls that the store was told of before they began.
    package internal(set) var opened = 0
    /// Calls that began, and whose closing or opening was lost with the store.
    var unopened = 0
    var unclosed = 0
    /// Calls that were closed and not open: perhaps they were noted before, and the worker was not told.
    private var repeated = 0
    /// Some calls are not counted here: those of bulk, which another service answers, or all, since they cost nothing.
    var isIncomplete = false

    /// - Parameter wasOpen: any of the calls was that it closes.
    mutating func note(_ account: Expense, wasOpen: Bool) {
        noted += account.usage.calls
        if !wasOpen, !account.closes.isEmpty { repeated += account.usage.calls }
    }

    mutating func noteLost(_ account: Expense) {
        noted += account.usage.calls
        notedAsLost += account.usage.calls
    }

    mutating func served(_ end: CallEnd) {
        switch end {
        case .billed: billed += 1
        case .widowed: widowed += 1
        case .free: break
        }
    }

    /// What is wrong with the ledger when all workers have ended, if anything. While the store was away it could not be told of
    /// beginnings and ends.
    var problem: String? {
        guard !isIncomplete else { return nil }
        let calls = billed + widowed
        if noted + unopened < calls { return "\(noted) calls are in the ledger, and there were \(calls)" }
        if noted > calls + unclosed + repeated {
            return "\(noted) calls are in the ledger, and there were only \(calls)"
        }
        return nil
    }
}
