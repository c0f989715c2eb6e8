import Adapters
import Answering
import Logging

/// Has the ledger note the model calls that workers had under way when they died.
struct LostCallKeeper {
    private let logger: Logger
    private var hasComplained = false

    init(logger: Logger) { self.logger = logger }

    /// To be called every second.
    mutating func note(_ results: RedisResults) async {
        do throws(Outage) {
            let count = try await results.noteLostCalls()
            hasComplained = false
            guard count > 0 else { return }
            logger.notice(
                "calls of workers that have died are in the ledger, as failed ones", metadata: ["calls": "\(count)"])
        } catch {
            guard !hasComplained else { return }
            hasComplained = true
            logger.warning(
                "calls of workers that have died are not in the ledger", metadata: ["reason": "\(error.reason)"])
        }
    }
}
