import ArgumentParser
import ChatJobs
import Operations
import ParleyJSON
import Topology

struct RevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Takes jobs back: one that is not yet answered is not answered.",
        discussion: """
            A queued job is replied to as revoked when its turn comes; one in flight is aborted within a second. The mark \
            lives as long as a job may wait (limits.not_before) or a result is kept (results.ttl), whichever is longer, and \
            whether or not such a job exists yet.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @OptionGroup var owner: TenantOption
    @Flag(help: "Takes the revocation back: a job whose turn has not come is answered after all.") var undo = false
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
        if undo { return try await takeBack(jobs, context, keys) }
        let revocations = try await revoke(
            jobs, ttl: max(context.settings.results.ttl, context.settings.limits.notBefore), redis: context.redis,
            keys: keys, logger: context.logger)
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
        await context.audit.record(
            "revoke", "done", filters: some,
            counts: [("revoked", revocations.count - answered), ("answered", answered)])
    }

    /// The ids for the audit.
    private var some: String {
        "id=" + ids.prefix(20).joined(separator: ",") + (ids.count > 20 ? " and \(ids.count - 20) more" : "")
    }

    private func takeBack(_ jobs: [JobID], _ context: OperatorContext, _ keys: RedisKeys) async throws {
        let found = try await unrevoke(jobs, redis: context.redis, keys: keys, logger: context.logger)
        for (id, wasRevoked) in zip(jobs, found) {
            if output.json {
                var json = JSONWriter()
                json.object {
                    $0.member("id", id.text)
                    $0.member("state", wasRevoked ? "restored" : "not revoked")
                }
                printLine(json.bytes)
            } else {
                printLine("\(id)  \(wasRevoked ? "no longer revoked" : "was not revoked")")
            }
        }
        await context.audit.record(
            "undo revoke", "done", filters: some, counts: [("restored", found.count { $0 })])
    }
}
