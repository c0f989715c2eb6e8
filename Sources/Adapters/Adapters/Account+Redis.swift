import ChatJobs
import ParleyRedis
import Pipeline
import Synchronization
import Topology

/// An account as the script that stores an answer notes it.
extension Account {
    /// A day has at most so many fields; what comes then is noted under nobody's name.
    static let mostFields: Int64 = 50_000
    static let life: Int64 = 400 * 86_400 * 1000

    static let everybody = LedgerField.beginning(tenant: "…", agent: "…", model: "…", currency: nil)
    private static let today = Mutex<(number: Int64, text: String)>((-1, ""))

    /// `2026-11-22`. Made once a day.
    var day: String {
        let number = at.milliseconds / 86_400_000
        return Self.today.withLock { today in
            if today.number != number { today = (number, String(at.rfc3339.prefix(10))) }
            return today.text
        }
    }

    /// Whose it is, as fields begin. Made once for answers of the same names in a row, as most are.
    var whose: String {
        Self.last.withLock { last in
            if !last.are(tenant, agent, model, usage.cost?.currency) {
                last = Names(tenant: tenant, agent: agent, model: model, currency: usage.cost?.currency)
            }
            return last.text
        }
    }

    private struct Names {
        let tenant: String?
        let agent: String?
        let model: String
        let currency: String?
        let text: String

        init(tenant: String?, agent: String?, model: String, currency: String?) {
            self.tenant = tenant
            self.agent = agent
            self.model = model
            self.currency = currency
            text = LedgerField.beginning(tenant: tenant, agent: agent, model: model, currency: currency)
        }

        /// Byte for byte: names that only look the same have fields of their own.
        func are(_ tenant: String?, _ agent: String?, _ model: String, _ currency: String?) -> Bool {
            func equal(_ one: String?, _ other: String?) -> Bool {
                guard let one, let other else { return one == nil && other == nil }
                return one.utf8.elementsEqual(other.utf8)
            }
            return equal(self.tenant, tenant) && equal(self.agent, agent) && equal(self.model, model)
                && equal(self.currency, currency)
        }
    }

    private static let last = Mutex(Names(tenant: nil, agent: nil, model: "", currency: nil))

    /// Adds the beginning of its fields, another for when there are too many, how many are, what is counted and which calls are
    /// closed, how long it is kept.
    ///
    /// - Parameter calls: the key of this worker's open calls.
    func add(to arguments: inout [RedisCommand.Argument], closingIn calls: String) {
        arguments.append(.text(whose))
        arguments.append(.text(Self.everybody))
        arguments.append(.number(Self.mostFields))
        func add(_ count: LedgerField.Count, _ number: Int) {
            guard number != 0 else { return }
            arguments.append(.text(count.rawValue))
            arguments.append(.number(Int64(number)))
        }
        add(.answers, kind == .answer || kind == .reused ? 1 : 0)
        add(.reused, kind == .reused ? 1 : 0)
        add(.calls, usage.calls)
        add(.failedCalls, kind == .lostCall ? usage.calls : 0)
        add(.estimatedCalls, usage.isEstimated ? usage.calls : 0)
        add(.promptTokens, usage.promptTokens)
        add(.completionTokens, usage.completionTokens)
        add(.cachedTokens, usage.cachedTokens)
        add(.cost, billionths)
        if !closes.isEmpty {
            arguments.append(.text("in"))
            arguments.append(.text(calls))
            for mark in closes {
                arguments.append(.text("close"))
                arguments.append(.number(Int64(clamping: mark.number)))
            }
        }
        arguments.append(.number(Self.life))
    }

    /// What a service counts may be absurd: more than ten million of the currency is noted as that.
    var billionths: Int {
        let billionths = ((usage.cost?.amount ?? 0) * 1_000_000_000).rounded()
        return billionths.isFinite ? Int(min(max(0, billionths), 1e16)) : 0
    }
}
