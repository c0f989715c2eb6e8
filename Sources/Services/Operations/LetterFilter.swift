import ChatJobs
import ParleyRabbitMQ

/// Which dead letters are meant: all that is given must hold; of several ids, digests or codes any one.
package struct LetterFilter: Sendable, Equatable {
    package var ids: Set<String> = []
    package var codes: Set<ErrorCode> = []
    /// The first hexadecimal digits of the body's SHA-256, 12 at least.
    package var digests: Set<String> = []
    static let digestDigits = 12
    package var tenant: String?
    /// The member `user_id`.
    package var userID: String?
    /// Died before this moment.
    package var before: Timestamp?
    /// Died at this moment or later.
    package var after: Timestamp?

    package init() {}

    /// Whether every letter is meant.
    package var isEmpty: Bool { self == LetterFilter() }

    /// What a letter lacks cannot match: no time of death is neither before nor after, no JSON body has no tenant.
    package func matches(_ letter: DeadLetter) -> Bool {
        if !codes.isEmpty {
            guard let code = letter.code.flatMap({ ErrorCode(rawValue: $0) }), codes.contains(code) else {
                return false
            }
        }
        if before != nil || after != nil {
            guard let time = letter.deadAt else { return false }
            if let before, time >= before { return false }
            if let after, time < after { return false }
        }
        // Last, because they may have to read the body.
        if !ids.isEmpty {
            guard let id = letter.id, ids.contains(id) else { return false }
        }
        if !digests.isEmpty {
            let digest = letter.digest
            guard digests.contains(where: { digest.hasPrefix($0) }) else { return false }
        }
        if let tenant, letter.tenant != tenant { return false }
        if let userID, letter.userID != userID { return false }
        return true
    }

    /// The filter in the words of the command line, for the audit; `all` when it is empty.
    package var description: String {
        var parts: [String] = []
        if !ids.isEmpty {
            let some = ids.sorted().prefix(20).joined(separator: ",")
            parts.append("id=\(some)" + (ids.count > 20 ? " and \(ids.count - 20) more" : ""))
        }
        if !codes.isEmpty { parts.append("error=" + codes.map(\.rawValue).sorted().joined(separator: ",")) }
        if !digests.isEmpty { parts.append("digest=" + digests.sorted().prefix(20).joined(separator: ",")) }
        if let tenant { parts.append("tenant=\(tenant)") }
        if let userID { parts.append("user=\(userID)") }
        if let before { parts.append("before=\(before.rfc3339)") }
        if let after { parts.append("after=\(after.rfc3339)") }
        return parts.isEmpty ? "all" : parts.joined(separator: " ")
    }
}
