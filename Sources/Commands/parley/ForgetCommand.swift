import ArgumentParser
import ChatJobs
import Glibc
import Operations
import ParleyJSON

struct ForgetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget", abstract: "Deletes what is kept of jobs, a user or a tenant.",
        discussion: """
            Stored results, what is kept beside them, dead letters, recorded questions, and kept answers: a tenant's, or all when no tenant is \
            given, since they do not say who asked. What waits in the broker is answered first; revoke it \
            to prevent that. With --user and --tenant, what is kept of that tenant's user. Asks on a terminal.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Option(name: .customLong("id"), help: "A job's id. May be repeated.") var ids: [String] = []
    @Option(help: "A user: the member user_id of the jobs.") var user: String?
    @Option(help: "A tenant; with --id and tenants.mode authenticated, whose job it is.") var tenant: String?
    @Flag(help: "Does not ask on a terminal either.") var yes = false

    func run() async throws {
        guard !ids.isEmpty || user != nil || tenant != nil else {
            throw CommandFailure(.wrong, "what is to be forgotten? Give --id, --user or --tenant")
        }
        // An empty name would be everybody's who has none.
        for (flag, name) in [("--user", user), ("--tenant", tenant)] where name?.isEmpty == true {
            throw CommandFailure(.wrong, "\(flag) \"\": a name is needed")
        }
        var request = ForgetRequest()
        for text in ids {
            guard let id = JobID(text) else { throw CommandFailure(.wrong, "ID \(text): allowed are \(JobID.rule)") }
            request.ids.append(id)
        }
        let context = try await common.operatorContext()
        var keys = context.keys
        var unreachable: [String] = []
        if context.settings.tenants.mode == .authenticated {
            guard ids.isEmpty || tenant != nil else {
                throw CommandFailure(
                    .wrong, "--tenant is missing: with tenants.mode authenticated each tenant has its own ids")
            }
            keys.tenant = tenant
        }
        // With ids the tenant only says whose they are.
        if ids.isEmpty { request.tenant = tenant }
        request.userID = user
        let cache = context.settings.cache
        // A kept answer does not say for which job it was made; at most it says whose.
        request.answers = cache.scope == .all ? "" : tenant.map { AnswerOwner.beginning($0) } ?? ""
        if cache.memory > 0, cache.memoryTTL > .zero {
            unreachable.append("answers in workers' memory: they are gone after cache.memory_ttl")
        }
        if context.settings.objects.url != nil {
            unreachable.append(
                "long answers in objects.url: they do not say whose they are; they are deleted with their day, after results.ttl"
            )
        }
        let words =
            (ids.map { "id=\($0)" } + [user.map { "user=\($0)" }, tenant.map { "tenant=\($0)" }].compactMap { $0 })
            .joined(separator: " ")
        guard yes || isatty(STDIN_FILENO) == 0 || confirmed("Delete all that is kept of \(words)? [y/N] ") else {
            throw CommandFailure(.failed, "nothing was deleted")
        }
        await context.audit.record("forget", "started", filters: words)
        var forgotten = try await forgetResults(
            request, now: Moment.now, redis: context.redis, keys: keys, logger: context.logger)
        forgotten.unreachable = unreachable
        var filter = LetterFilter()
        filter.ids = Set(ids)
        filter.tenant = tenant
        filter.userID = user
        let summary = await context.letters.purge(filter)
        forgotten.deadLetters = summary.done
        await context.audit.record(
            "forget", summary.problem == nil ? "done" : "failed", filters: words,
            counts: [("results", forgotten.results), ("dead_letters", forgotten.deadLetters)])
        show(forgotten)
        if let problem = summary.problem { throw problem }
    }

    private func show(_ forgotten: Forgotten) {
        if output.json {
            var json = JSONWriter()
            json.object {
                $0.member("results", forgotten.results)
                $0.member("marks", forgotten.marks)
                $0.member("dead_letters", forgotten.deadLetters)
                $0.member("cached_answers", forgotten.cachedAnswers)
                $0.member("recorded_questions", forgotten.recordedQuestions)
                $0.key("unreachable")
                $0.array { list in for what in forgotten.unreachable { list.string(what) } }
            }
            return printLine(json.bytes)
        }
        printLine(
            "\(forgotten.results) results, \(forgotten.deadLetters) dead letters, \(forgotten.cachedAnswers) kept answers and "
                + "\(forgotten.recordedQuestions) recorded questions deleted"
        )
        for what in forgotten.unreachable { printLine("not reached: \(what)") }
    }
}
