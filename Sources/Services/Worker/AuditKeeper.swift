import Adapters
import Answering
import ChatJobs
import Logging

/// Drops what operators did longer ago than `audit.ttl`, once an hour.
struct AuditKeeper {
    private let life: Duration
    private let logger: Logger
    private let clock = SystemClock()
    private var due = ContinuousClock.now
    private var hasComplained = false

    init(life: Duration, logger: Logger) {
        self.life = life
        self.logger = logger
    }

    /// To be called every now and then.
    mutating func dropOld(_ results: RedisResults) async {
        guard .now >= due else { return }
        due = .now + .seconds(3600)
        let now = clock.wall
        let limit = Timestamp(milliseconds: now.milliseconds - life.wholeMilliseconds)
        do throws(Outage) {
            var dropped = RedisResults.droppedAtOnce
            while dropped == RedisResults.droppedAtOnce, !Task.isCancelled {
                dropped = try await results.dropOldAudit(before: limit, now: now)
            }
        } catch {
            due = .now + .seconds(60)
            guard !hasComplained else { return }
            hasComplained = true
            logger.warning("old audit entries are not dropped", metadata: ["reason": "\(error.reason)"])
        }
    }
}
