import ParleyDigest

/// Who asked a recorded question: a field of the day's hash, so that a user's questions can be forgotten though they do not
/// say who asked them. Digests, so that the hash names nobody.
package struct RecordedAsker: Hashable, Sendable {
    package let text: String
    private static let digits = 16

    /// Nil without SHA-256.
    package init?(user: String, question: [UInt8]) {
        guard let beginning = Self.beginning(of: user), let digest = Self.digest(of: question) else { return nil }
        text = beginning + digest
    }

    /// What the fields of a user begin with.
    package static func beginning(of user: String) -> String? { digest(of: Array(user.utf8)).map { $0 + ":" } }

    /// How a field says which question it is.
    package static func digest(of question: [UInt8]) -> String? {
        SHA256.hex(of: question).map { String($0.prefix(digits)) }
    }
}
