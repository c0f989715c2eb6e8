import ChatJobs
import Logging
import ParleyRedis
import Topology

/// What `parley forget` is asked to delete.
package struct ForgetRequest: Sendable, Equatable {
    package var ids: [JobID] = []
    /// All that is kept of a tenant.
    package var tenant: String?
    /// All that is kept of a user; with a tenant, of that tenant's user.
    package var userID: String?
    /// What the names of kept answers begin with that may be theirs; nil: none are kept.
    package var answers: String?

    package init() {}
}

/// What was deleted of it.
package struct Forgotten: Sendable, Equatable {
    /// Stored replies.
    package var results = 0
    /// What is kept beside a reply: whose an id is, revocations, chunks.
    package var marks = 0
    package var deadLetters = 0
    /// Answers that were kept to be given again.
    package var cachedAnswers = 0
    /// Of those that `analytics.questions` counts.
    package var recordedQuestions = 0
    /// What could not be looked for, a sentence each.
    package var unreachable: [String] = []
}

/// Deletes results, and what is kept beside them.
///
/// - Parameter keys: with `tenants.mode: authenticated` those of the tenant whose jobs are meant.
/// - Throws: ``OperationError`` when Redis is away or refuses.
package func forgetResults(
    _ request: ForgetRequest, now: Timestamp, redis: RedisConfiguration, keys: RedisKeys, logger: Logger
) async throws(OperationError) -> Forgotten {
    try await withRedis(redis, logger: logger) { client throws(RedisError) in
        var forgotten = Forgotten()
        try await delete(request.ids.map { keys.result(keys.job($0)) }, client, &forgotten.results)
        try await delete(
            request.ids.map { keys.job($0) }.flatMap { [keys.claim($0), keys.revoked($0), keys.stream($0)] }, client,
            &forgotten.marks)
        if let tenant = request.tenant, keys.tenant == tenant, request.userID == nil {
            for (prefix, isResult) in keys.prefixes {
                try await forEachKey(prefix, client) { found throws(RedisError) in
                    if isResult {
                        try await delete(found, client, &forgotten.results)
                    } else {
                        try await delete(found, client, &forgotten.marks)
                    }
                }
            }
        }
        if request.userID != nil || request.tenant != nil && keys.tenant == nil {
            try await forEachKey(keys.claimsPrefix, client) { found throws(RedisError) in
                for claim in try await endedClaims(found, of: request, client) {
                    let names = keys.besides(claim: claim)
                    try await delete(Array(names.prefix(1)), client, &forgotten.results)
                    try await delete(Array(names.dropFirst()), client, &forgotten.marks)
                }
            }
        }
        if let answers = request.answers {
            try await forEachKey(keys.answer(answers), client) { found throws(RedisError) in
                try await delete(found, client, &forgotten.cachedAnswers)
            }
        }
        if request.tenant != nil || request.userID != nil {
            forgotten.recordedQuestions = try await forgetQuestions(
                user: request.userID, tenant: request.tenant, until: now, client, keys)
        }
        return forgotten
    }
}

/// Those of the claims that are of jobs which have ended, of that tenant and user: a claim ends with 32 digits of what is asked
/// and 32 of whose it is (``OwnerTag``). Those of earlier versions lack the latter.
private func endedClaims(
    _ names: [String], of request: ForgetRequest, _ client: RedisClient
) async throws(RedisError) -> [String] {
    var values: [RedisValue] = []
    for start in stride(from: 0, to: names.count, by: 512) {
        // One by one: whoever may read claims need not be one who may read keys by the dozen.
        let some = names[start..<min(start + 512, names.count)]
        values += try await client.send(some.map { RedisCommand("GET", $0) })
    }
    // A key of another type is no claim; a user without the right to look is told so.
    for value in values where value.errorKind == "NOPERM" { _ = try value.get() }
    return zip(names, values).compactMap { name, value in
        guard let claim = value.bytes, EndMark.status(inClaim: claim) != nil,
            let fingerprint = value.string?.split(separator: " ").last, fingerprint.utf8.count == 64
        else { return nil }
        let owner = fingerprint.suffix(32)
        let isTenants = request.tenant.map { owner.prefix(16) == OwnerTag.text(of: $0) } ?? true
        let isUsers = request.userID.map { owner.suffix(16) == OwnerTag.text(of: $0) } ?? true
        return isTenants && isUsers ? name : nil
    }
}

private func delete(_ names: [String], _ client: RedisClient, _ count: inout Int) async throws(RedisError) {
    for start in stride(from: 0, to: names.count, by: 512) {
        let some = names[start..<min(start + 512, names.count)]
        count += try await client.send(RedisCommand(arguments: (["DEL"] + some).map { Array($0.utf8) })).get().int ?? 0
    }
}

/// Gives `body` the keys that begin with `prefix`, some at a time.
private func forEachKey(
    _ prefix: String, _ client: RedisClient, _ body: ([String]) async throws(RedisError) -> Void
) async throws(RedisError) {
    let pattern = prefix.reduce(into: "") { $0 += "*?[]\\".contains($1) ? "\\\($1)" : String($1) } + "*"
    var cursor = "0"
    repeat {
        let page =
            try await client.send(RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)).get().array ?? []
        cursor = page.first?.string ?? "0"
        try await body((page.last?.array ?? []).compactMap(\.string))
    } while cursor != "0"
}
