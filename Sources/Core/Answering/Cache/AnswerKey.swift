import ChatJobs
import ParleyDigest
import ParleyPrimitives

/// What decides an answer, as a digest: questions with equal keys are answered alike, and may share an answer.
package struct AnswerKey: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64
    /// Whose the answer is, as names in the store begin, so that all that is kept of a tenant or user can be found there.
    private let owner: String

    /// - Parameter digest: its first 16 bytes count.
    package init(_ digest: [UInt8], owner: String) {
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
        var owner = owner
        return owner.withUTF8 { owner in
            String(unsafeUninitializedCapacity: owner.count + 32) { text in
                var end = text.update(fromContentsOf: owner)
                for half in [high, low] {
                    for shift in stride(from: 60, through: 0, by: -4) {
                        let digit = UInt8(truncatingIfNeeded: half >> UInt64(shift)) & 15
                        text[end] = digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
                        end += 1
                    }
                }
                return end
            }
        }
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
    /// Everybody; but what was answered from passages only where no tenant has passages of its own.
    case all
}

/// Makes the keys of jobs: one place that says what decides an answer.
package struct AnswerKeys: Sendable {
    package let scope: CacheScope

    /// Tenants are kept apart: what is answered from passages is never another's, whatever is known of the passages.
    package let separatesTenants: Bool

    package init(scope: CacheScope, separatesTenants: Bool = false) {
        self.scope = scope
        self.separatesTenants = separatesTenants
    }

    /// - Parameter knowledge: which state of the vector store the job is answered from; nil when that is not known.
    /// - Returns: nil when no answer may be shared.
    func key(of job: Job, _ route: Route, knowledge: KnowledgeState?) -> AnswerKey? {
        let needsKnowledge = route.retrieve != .never
        guard job.options.cache != .bypass, !needsKnowledge || knowledge != nil else { return nil }
        let isTenants = needsKnowledge && (separatesTenants || knowledge?.hasTenants == true)
        let scope = isTenants && self.scope == .all ? .tenant : self.scope
        var text = KeyText(route.agent.configuration.identity, capacity: 160 + job.query.utf8.count)
        if scope != .all { text.add(job.tenant) }
        if scope == .user { text.add(job.userID) }
        text.add(QuestionText.folded(job.query))
        text.add(route.rewrittenQuery.map(QuestionText.folded))
        text.add(job.history.count)
        for turn in job.history {
            text.add(turn.role.rawValue)
            text.add(turn.content)
        }
        text.add(route.agent.name)
        text.add(job.options.model)
        text.add(job.options.temperature.map { Int(bitPattern: UInt(truncatingIfNeeded: $0.bitPattern)) })
        text.add(job.options.maxTokens)
        text.add(job.options.seed)
        text.add(route.retrieve.rawValue)
        if needsKnowledge {
            text.add(route.topK)
            text.add(knowledge?.version)
        }
        // Without SHA-256 no answer is shared.
        return SHA256.digest(of: text.bytes).map {
            AnswerKey($0, owner: AnswerKey.owner(scope, tenant: job.tenant, user: job.userID))
        }
    }
}

/// What a key is a digest of. No two lists of values give the same bytes: each says first whether it is there, a text also
/// how long it is.
private struct KeyText {
    private(set) var bytes: [UInt8]

    init(_ beginning: [UInt8], capacity: Int) {
        bytes = []
        bytes.reserveCapacity(beginning.count + capacity)
        bytes.append(contentsOf: beginning)
    }

    mutating func add(_ text: String?) {
        guard var text else { return bytes.append(0) }
        text.withUTF8 { text in
            bytes.append(addingCapacity: 11 + text.count) {
                $0.append(1)
                Self.append(UInt64(text.count), to: &$0)
                $0.append(copying: text)
            }
        }
    }

    mutating func add(_ number: Int?) {
        guard let number else { return bytes.append(0) }
        bytes.append(addingCapacity: 11) {
            $0.append(1)
            Self.append(UInt64(bitPattern: Int64(number)), to: &$0)
        }
    }

    /// Seven bits a byte, the high bit set in all but the last: ten bytes at most (LEB128).
    private static func append(_ number: UInt64, to output: inout OutputSpan<UInt8>) {
        var rest = number
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }
}

/// A question as keys have it.
enum QuestionText {
    /// ASCII with single spaces between words: as nearly every English question is.
    private static func isPlain(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = text.first, let last = text.last, first != 0x20, last != 0x20 else { return false }
        // Without branches, so that many bytes are looked at in one step.
        var others: UInt8 = first &- 0x20 < 0x60 ? 0 : 1
        for place in 1..<text.count {
            let (byte, before) = (text[place], text[place - 1])
            others |= byte &- 0x20 < 0x60 ? 0 : 1
            others |= (byte | before) == 0x20 ? 1 : 0
        }
        return others == 0
    }

    /// White space folded: none at the ends, one space between words. Full-width forms as their plain ones (the part of
    /// NFKC, Unicode Standard Annex 15, that keyboards make).
    static func folded(_ text: String) -> String {
        var plain = text
        guard !plain.withUTF8(isPlain) else { return text }
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
