import ArgumentParser
import ParleyClient

struct ResultCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "result", abstract: "Prints a stored result.",
        discussion:
            "Exit status 1 when there is none, and when the job was not answered: it failed, expired or was revoked.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @OptionGroup var owner: TenantOption
    @Argument(help: "The job's id.") var id: String

    func run() async throws {
        guard let id = JobID(id) else { throw CommandFailure(.wrong, "ID \(id): allowed are \(JobID.rule)") }
        let context = try await common.operatorContext()
        var keys = context.keys
        keys.tenant = try owner.checked(context.settings)
        let results = try StoredResults(redis: context.redis, keys: keys)
        let bytes = try await results.result(id)
        // Before anybody has seen it.
        await context.audit.record(
            "result", "done", filters: "id=\(id)" + (keys.tenant.map { " tenant=\($0)" } ?? ""),
            counts: [("shown", bytes == nil ? 0 : 1)], isLook: true)
        guard let bytes else {
            guard try await results.isRevoked(id) == true else {
                throw CommandFailure(.failed, "no result is stored for \(id): not answered yet, or no longer kept")
            }
            throw CommandFailure(
                .failed,
                "no result is stored for \(id): it is revoked, and is answered so when its turn comes; parley revoke --undo takes that back"
            )
        }
        guard let reply = try? Reply(decoding: bytes) else {
            throw CommandFailure(.failed, "what is stored for \(id) is no reply")
        }
        if output.json { printLine(bytes) } else { show(reply) }
        guard reply.status == .succeeded else { throw CommandFailure(.failed, "") }
    }
}
