import Answering
import ChatJobs
import ParleyPrimitives
import ParleyRedis
import Pipeline

/// Who works on what. `chat:claim:<id>` holds `TOKEN STARTS LOSSES MARK FINGERPRINT`: the token of the worker (empty when
/// the claim was given up), how often work on the attempt has begun, how many workers have died over it, how the job is
/// being tried, and which job it is that the id belongs to, also when the job has ended, while its result is there:
///
/// - `-`: beside others.
/// - `g`: in a group of suspects. A worker's death over it is no loss of the job's, since it may have been another's doing;
///   the next claim is marked `a` instead. Gone when the claim is given up.
/// - `a`: to be worked on alone. A worker's death over it counts. Stays until the job ends.
/// - `p`, and `q` for one that must be alone: a suspect that waits for its trial and is not begun. A worker's death is neither
///   a loss nor a start of its.
/// - `s`, `f`, `e`, `r`: it has ended, and how (``EndMark``). For whoever begins it anew as `-`.
extension RedisResults {
    /// How long a claim stays when nobody renews or deletes it: an hour. One that expires costs a job its counts and,
    /// while it is in work, its protection against a duplicate; never its result. Work that may take longer renews.
    package static let claimLife = Duration.seconds(3600)
    static let lifeOfClaims = RedisCommand.Argument.number(claimLife.wholeMilliseconds)

    /// Where each job stands, and takes those that nobody has: one round trip for the window, atomic for each job.
    ///
    /// - A stored result comes first, then a revocation; neither leaves a claim.
    /// - A claim of nobody is taken: `starts` is 1, or one more than the claim given up had.
    /// - A claim of this worker is its own still, its counts as they are. So it is after an outage in which Redis carried
    ///   the call out and its answer was lost.
    /// - Another's is ``ClaimState/elsewhere`` while that worker lives. When it does not, the claim is taken over: `starts`
    ///   is one more, and so is `losses` unless that worker left in good order or had the job in a group.
    /// - A claim that cannot be read is nobody's.
    /// - The id of a job with another fingerprint, in work, given up or ended, is a ``ClaimState/conflict``.
    ///
    /// A job that stands twice in `jobs` is claimed once, and both are told so.
    ///
    /// - Parameters:
    ///   - anew: only a succeeded reply counts as stored; any other is passed over.
    ///   - purpose: what this worker's death will mean. A claim with `mustBeAlone` is in no group.
    package func begin(
        _ jobs: [JobIdentity], anew: Bool, for purpose: ClaimPurpose
    ) async throws(Outage) -> [ClaimState] {
        let what = "claiming jobs"
        let chunks = jobs.chunked(by: Self.keysAtOnce)
        let replies = try await send(chunks.map { beginning($0, anew: anew, purpose) }, what)
        var states: [ClaimState] = []
        states.reserveCapacity(jobs.count)
        for (chunk, reply) in zip(chunks, replies) {
            guard let some = reply.array, some.count == chunk.count else { throw refused(what, reply) }
            for value in some {
                guard let state = Self.state(value) else { throw refused(what, value) }
                states.append(state)
            }
        }
        return states
    }

    package func look(_ jobs: [JobIdentity]) async throws(Outage) -> [ClaimState] {
        guard !jobs.isEmpty else { return [] }
        let known = try await values(
            jobs.map { keys.result($0.key) } + jobs.map { keys.revoked($0.key) } + jobs.map { keys.claim($0.key) },
            "looking jobs up")
        return jobs.indices.map { index in
            if let held = known[2 * jobs.count + index], Self.isOfAnother(held, jobs[index].fingerprint) {
                return .conflict
            }
            if let reply = known[index] { return .stored(reply) }
            return known[jobs.count + index] == nil ? .free : .revoked
        }
    }

    private func beginning(_ jobs: ArraySlice<JobIdentity>, anew: Bool, _ purpose: ClaimPurpose) -> RedisCommand {
        var suspects = RedisCommand.Argument.text("")
        if case .work(let losses) = purpose { suspects = .number(Int64(losses)) }
        var arguments: [RedisCommand.Argument] = []
        arguments.reserveCapacity(4 * jobs.count + 8)
        for job in jobs { arguments.append(.text(keys.result(job.key))) }
        for job in jobs { arguments.append(.text(keys.revoked(job.key))) }
        for job in jobs { arguments.append(.text(keys.claim(job.key))) }
        arguments.append(.text(ownKey))
        let keyCount = arguments.count
        arguments.append(.text(worker))
        arguments.append(.text(workersKeys))
        arguments.append(Self.lifeOfClaims)
        arguments.append(Self.lifeOfPresence)
        arguments.append(.text(anew ? "anew" : ""))
        arguments.append(.text(purpose == .groupTrial ? "g" : "-"))
        arguments.append(suspects)
        for job in jobs { arguments.append(.text(job.fingerprint.text)) }
        return RedisCommand(script: ClaimScripts.begin, keyCount: keyCount, arguments)
    }

    /// As the scripts read a claim.
    private static func isOfAnother(_ held: [UInt8], _ job: Fingerprint) -> Bool {
        let parts = String(decoding: held, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        return parts.count == 5 && parts[4] != job.text
    }

    /// As the scripts count; more is no claim of theirs.
    private static let mostCounted = 1_000_000_000

    private static func state(_ value: RedisValue) -> ClaimState? {
        switch value {
        case .bytes(let reply): .stored(reply)
        case .integer(1): .claimed(starts: 1, losses: 0, mustBeAlone: false)
        case .integer(0): .revoked
        case .integer(-1): .elsewhere
        case .integer(-2): .conflict
        case .array(let counts):
            if counts.count == 3, let starts = counts[0].int, let losses = counts[1].int, let alone = counts[2].int,
                (1...mostCounted).contains(starts), (0...mostCounted).contains(losses)
            {
                .claimed(starts: starts, losses: losses, mustBeAlone: alone == 1)
            } else {
                nil
            }
        default: nil
        }
    }

    /// Extends the life of those claims that are this worker's, for work that may outlast ``claimLife``.
    package func renew(_ jobs: [JobKey]) async throws(Outage) {
        guard !jobs.isEmpty else { return }
        let what = "renewing claims"
        let renewals = jobs.chunked(by: Self.keysAtOnce).map {
            RedisCommand(
                script: ClaimScripts.renew, keys: $0.map(keys.claim), arguments: [.text(worker), Self.lifeOfClaims])
        }
        for reply in try await send(renewals, what) where reply.int == nil { throw refused(what, reply) }
    }

    /// Gives the job's claim up, if it is this worker's; otherwise does nothing.
    ///
    /// - Parameter starts: how many starts whoever begins next counts on from; nil is none. Losses, that the job must be
    ///   worked on alone, and whose the id is, are kept for an hour, or until the job ends.
    package func release(_ key: JobKey, keepingStarts starts: Int?) async throws(Outage) {
        let what = "giving a job up"
        let reply = try await send(
            RedisCommand(
                script: ClaimScripts.release, keys: [keys.claim(key)],
                arguments: [.text(worker), .number(Int64(max(0, starts ?? 0))), Self.lifeOfClaims]), what)
        guard reply.int != nil else { throw refused(what, reply) }
    }

    /// Those among the jobs that were revoked, in their order.
    package func revoked(among jobs: [JobKey]) async throws(Outage) -> [JobKey] {
        let marks = try await values(jobs.map(keys.revoked), "looking revocations up")
        return zip(jobs, marks).compactMap { job, mark in mark == nil ? nil : job }
    }
}
