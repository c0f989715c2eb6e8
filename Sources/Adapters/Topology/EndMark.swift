import ChatJobs

/// How a job ended, as its claim says it for as long as its result is there: a letter in the claim's fourth place. Whoever may
/// not read answers reads this.
package enum EndMark {
    private static let letters: [(letter: String, status: Reply.Status)] = [
        ("s", .succeeded), ("f", .failed), ("e", .expired), ("r", .revoked),
    ]

    package static func letter(of status: Reply.Status) -> String {
        letters.first { $0.status == status }?.letter ?? "f"
    }

    /// Nil when the claim is no text of a claim's, or its job has not ended.
    package static func status(inClaim claim: [UInt8]) -> Reply.Status? {
        let parts = String(decoding: claim, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 5 else { return nil }
        return letters.first { $0.letter == parts[3] }?.status
    }
}
