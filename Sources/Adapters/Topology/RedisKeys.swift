import ChatJobs

/// The names of Parley's keys in Redis (contract, section 3; those but the result are private).
package struct RedisKeys: Sendable, Equatable {
    /// `redis.prefix`.
    package let prefix: String
    /// Whose jobs ``job(_:)`` names; nil where tenants are not kept apart.
    package var tenant: String?
    // Made once: appending to one costs a third of an interpolation, and every job has its keys.
    private let results: String
    private let claims: String
    private let revocationsOfJobs: String
    private let answers: String
    private let days: String
    private let asked: String

    package init(prefix: String = "chat") {
        self.prefix = prefix
        results = "\(prefix):result:"
        claims = "\(prefix):claim:"
        revocationsOfJobs = "\(prefix):revoked:"
        answers = "\(prefix):cache:"
        days = "\(prefix):costs:"
        asked = "\(prefix):questions:"
    }

    /// What a job of the tenant is known by.
    package func job(_ id: JobID) -> JobKey { JobKey(id, tenant: tenant) }
    /// What the tenant's keys begin with, results' and others'; nothing where tenants are not kept apart.
    package var prefixes: [(text: String, isResult: Bool)] {
        guard let tenant, let id = JobID("x") else { return [] }
        let ending = String(JobKey(id, tenant: tenant).text.dropLast())
        return [
            (results + ending, true), (claims + ending, false), (revocationsOfJobs + ending, false),
            ("\(prefix):stream:" + ending, false),
        ]
    }
    /// The keys of the job whose claim's key it is: its result first, then what is kept beside it.
    package func besides(claim key: String) -> [String] {
        guard key.hasPrefix(claims) else { return [] }
        let job = key.dropFirst(claims.count)
        return [results + job, key, revocationsOfJobs + job, "\(prefix):stream:" + job]
    }
    /// What all claims' keys begin with.
    package var claimsPrefix: String { claims }
    /// The job's reply, as JSON.
    package func result(_ key: JobKey) -> String { results + key.text }
    /// Who works on the job: `TOKEN STARTS LOSSES MARK FINGERPRINT`, the token empty when nobody does.
    package func claim(_ key: JobKey) -> String { claims + key.text }
    /// There when the job was revoked.
    package func revoked(_ key: JobKey) -> String { revocationsOfJobs + key.text }
    /// An answer that may be given again. Its name begins with whose it is (`AnswerKey`).
    package func answer(_ name: String) -> String { answers + name }
    /// Which worker makes that answer: its token.
    package func maker(_ name: String) -> String { answers + name + ":maker" }
    /// What its maker has said of that answer: the worker's token, 16 digits that name the call, the text.
    package func pieces(_ name: String) -> String { answers + name + ":pieces" }
    /// The answers of that worker's making that others want in pieces, a sorted set.
    package func wanted(of token: String) -> String { makerLives(token) + ":wanted" }
    /// There while the worker of this token lives, to the second: the answers that it makes are waited for.
    package func makerLives(_ token: String) -> String { answers + ":" + token }
    /// What a day's answers cost, a hash: see ``LedgerField``. `day` as `2026-11-22`, in UTC.
    package func costs(_ day: String) -> String { days + day }
    /// The model calls that the worker of this token has under way: a hash, by their numbers.
    package func calls(_ token: String) -> String { "\(prefix):calls:\(token)" }
    /// The workers that may have any.
    package var callers: String { "\(prefix):calls:workers" }
    /// What was asked on a day, and how often (`analytics.questions`): a sorted set of jobs' bodies without ids.
    package func questions(_ day: String) -> String { asked + day }
    /// Who asked them: a hash, its fields as ``RecordedAsker`` has them.
    package func askers(_ day: String) -> String { asked + day + ":askers" }
    /// What is left of a limit that workers share; its calls under way are beside it.
    package func limit(_ name: String) -> String { "\(prefix):limit:\(name)" }
    /// The workers that take from the limits.
    package var limitWorkers: String { "\(prefix):limit:workers" }
    /// The chunks of its answer, a stream (`stream.keep`).
    package func stream(_ key: JobKey) -> String { "\(prefix):stream:\(key.text)" }
    /// Of batches that a model's provider is asked for: a question's name, a batch's state, what came of it.
    package func batch(_ name: String) -> String { "\(prefix):batch:\(name)" }
    /// Counts revocations, so that workers see that there is a new one.
    package var revocations: String { "\(prefix):revocations" }
    /// There while the worker of this token lives; holds what `parley status` shows of it, as JSON.
    package func worker(_ token: String) -> String { "\(prefix):worker:\(token)" }
    /// A list of what operators did, an entry in JSON each: requeues, purges, revocations, looks at what users asked.
    package var audit: String { "\(prefix):audit" }
}
