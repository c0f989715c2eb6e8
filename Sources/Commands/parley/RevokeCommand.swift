import ArgumentParser
import ChatJobs
import Operations
import ParleyJSON

struct RevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Takes jobs back: one that is not yet answered is not answered.",
        discussion: """
            A queued job is replied to as revoked when its turn comes; one in flight is aborted within a second. The mark \
            lives as long as a result would (results.ttl), whether or not such a job exists yet.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @OptionGroup var owner: TenantOption
    @Argument(help: "The jobs' ids.") var ids: [String]

    func run() async throws {
        var jobs: [JobID] = []
        for text in ids {
            guard let id = JobID(text) else { throw CommandFailure(.wrong, "ID \(text): allowed are \(JobID.rule)") }
            jobs.append(id)
        }
        let context = try await common.operatorContext()
        var keys = context.keys
        keys.tenant = try owner.checked(context.settings)
        let revocations = try await revoke(
            jobs, ttl: context.settings.results.ttl, redis: context.redis, keys: keys, logger: context.logger)
        for revocation in revocations {
            if output.json {
                var json = JSONWriter()
                revocation.write(to: &json)
                printLine(json.bytes)
            } else {
                let state = revocation.isAnswered ? "already answered" : "revoked"
                printLine("\(revocation.id)  \(state)" + (revocation.status.map { " (\($0))" } ?? ""))
            }
        }
        let answered = revocations.count { $0.isAnswered }
        let some = ids.prefix(20).joined(separator: ",") + (ids.count > 20 ? " and \(ids.count - 20) more" : "")
        await context.audit.record(
            "revoke", "done", filters: "id=\(some)",
            counts: [("revoked", revocations.count - answered), ("answered", answered)])
    }
}
