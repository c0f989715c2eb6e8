import ChatJobs
import ParleyDigest
import ParleyJSON

/// What decides an answer, as a digest: questions with equal keys are answered alike, and may share an answer.
package struct AnswerKey: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64
    /// Whose the answer is, as names in the store begin, so that all that is kept of a tenant or user can be found there.
    private let owner: String

    /// - Parameter digest: its first 16 bytes count.
    init(_ digest: [UInt8], owner: String) {
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        high = word(digest.prefix(8))
        low = word(digest.dropFirst(8).prefix(8))
        self.owner = owner
    }

    package static func == (one: AnswerKey, other: AnswerKey) -> Bool { (one.high, one.low) == (other.high, other.low) }
    package func hash(into hasher: inout Hasher) { hasher.combine(low) }

    /// Some of its bits, all of which are equally likely.
    var digits: Int { Int(truncatingIfNeeded: low) }

    /// Whose it is, and 32 hexadecimal digits.
    package var text: String {
        owner + [high, low].flatMap { withUnsafeBytes(of: $0.bigEndian) { Array($0) } }.hex
    }

    /// What the names of a tenant's answers begin with, or of a user's; nothing when they are everybody's.
    package static func owner(_ scope: CacheScope, tenant: String?, user: String?) -> String {
        switch scope {
        case .all: ""
        case .tenant: AnswerOwner.beginning(tenant)
        case .user: AnswerOwner.beginning(tenant) + AnswerOwner.beginning(user)
        }
    }
}

/// Who may share an answer: `cache.scope`.
package enum CacheScope: String, Sendable, CaseIterable {
    /// One user of one tenant.
    case user
    /// All users of a tenant. Jobs without a tenant share among themselves.
    case tenant
    /// Everybody.
    case all
}

/// Makes the keys of jobs: one place that says what decides an answer.
package struct AnswerKeys: Sendable {
    package let scope: CacheScope

    package init(scope: CacheScope) { self.scope = scope }

    /// - Parameter knowledge: which state of the vector store the job is answered from; nil when that is not known.
    /// - Returns: nil when no answer may be shared.
    func key(of job: Job, _ route: Route, knowledge: String?) -> AnswerKey? {
        let needsKnowledge = route.retrieve != .never
        guard job.options.cache != .bypass, !needsKnowledge || knowledge != nil else { return nil }
        var json = JSONWriter(capacity: 256 + job.query.utf8.count)
        json.object { json in
            json.member("worker", route.agent.configuration.identity)
            json.key("scope")
            json.array { array in
                switch scope {
                case .all: break
                case .tenant: Self.add(job.tenant, to: &array)
                case .user:
                    Self.add(job.tenant, to: &array)
                    Self.add(job.userID, to: &array)
                }
            }
            json.member("query", QuestionText.folded(job.query))
            json.member("rewritten_query", route.rewrittenQuery.map(QuestionText.folded))
            json.key("history")
            json.array { array in
                for turn in job.history {
                    array.object {
                        $0.member("role", turn.role.rawValue)
                        $0.member("content", turn.content)
                    }
                }
            }
            json.member("agent", route.agent.name)
            json.member("model", job.options.model)
            json.member("temperature", job.options.temperature.map { "\($0)" })
            json.member("max_tokens", job.options.maxTokens.map { "\($0)" })
            json.member("seed", job.options.seed.map { "\($0)" })
            json.member("retrieve", route.retrieve.rawValue)
            if needsKnowledge {
                json.member("top_k", route.topK)
                json.member("knowledge", knowledge)
            }
        }
        // Without SHA-256 no answer is shared.
        return SHA256.digest(of: json.bytes).map {
            AnswerKey($0, owner: AnswerKey.owner(scope, tenant: job.tenant, user: job.userID))
        }
    }

    /// Nobody's name is told from nobody.
    private static func add(_ name: String?, to array: inout JSONWriter) {
        array.array { if let name { $0.string(name) } }
    }
}

/// A question as keys have it.
enum QuestionText {
    /// ASCII with single spaces between words: as nearly every English question is.
    private static func isPlain(_ text: String.UTF8View) -> Bool {
        var isSpace = true
        for byte in text {
            guard byte >= 0x20, byte < 0x80, byte != 0x20 || !isSpace else { return false }
            isSpace = byte == 0x20
        }
        return !isSpace
    }

    /// White space folded: none at the ends, one space between words. Full-width forms as their plain ones (the part of
    /// NFKC, Unicode Standard Annex 15, that keyboards make).
    static func folded(_ text: String) -> String {
        guard !isPlain(text.utf8) else { return text }
        var folded = String.UnicodeScalarView()
        var isSpaceDue = false
        for scalar in text.unicodeScalars {
            var plain = scalar
            if (0xFF01...0xFF5E).contains(scalar.value) { plain = Unicode.Scalar(scalar.value - 0xFEE0) ?? scalar }
            if plain.isASCII ? plain == " " || (0x09...0x0D).contains(plain.value) : plain.properties.isWhitespace {
                isSpaceDue = !folded.isEmpty
            } else {
                if isSpaceDue { folded.append(" ") }
                isSpaceDue = false
                folded.append(plain)
            }
        }
        return String(folded)
    }
}
