/// Names that are allowed, with `*` for any run of characters: `reply.allow`, `models.allow`.
package struct NamePatterns: Sendable, Hashable, CustomStringConvertible {
    /// As they were given.
    package let texts: [String]
    /// Everything is allowed.
    package let allowsAll: Bool

    package static let all = NamePatterns(["*"])

    package init(_ texts: [String]) {
        self.texts = texts
        allowsAll = texts.contains("*")
    }

    /// What stands for the job's own in a pattern.
    package static let placeholders = ["{tenant}", "{user}"]

    /// Whether `name` is one of them.
    ///
    /// - Parameters:
    ///   - tenant: what `{tenant}` stands for, taken literally; a pattern with it allows nothing when there is none.
    ///   - user: what `{user}` stands for, likewise.
    package func allow(_ name: String, tenant: String? = nil, user: String? = nil) -> Bool {
        if allowsAll { return true }
        let name = Array(name.utf8)
        return texts.contains { text in
            guard let pattern = Self.pattern(text, tenant, user) else { return false }
            return Self.matches(name, pattern)
        }
    }

    /// The bytes that a name has to have, nil for any run of them; nil when a placeholder stands for nothing.
    private static func pattern(_ text: String, _ tenant: String?, _ user: String?) -> [UInt8?]? {
        var pattern: [UInt8?] = []
        var rest = Substring(text)
        while let character = rest.unicodeScalars.first {
            if let (word, value) = zip(placeholders, [tenant, user]).first(where: { rest.hasPrefix($0.0) }) {
                guard let value, !value.isEmpty else { return nil }
                pattern += value.utf8.map { $0 }
                rest = rest.dropFirst(word.count)
            } else {
                if character == "*" { pattern.append(nil) } else { pattern += Array(UTF8.encode(character) ?? .init()) }
                rest = Substring(rest.unicodeScalars.dropFirst())
            }
        }
        return pattern
    }

    /// With one step back for each run, so that many of them cost no more than the product of the lengths.
    private static func matches(_ name: [UInt8], _ pattern: [UInt8?]) -> Bool {
        var (at, step) = (0, 0)
        var run: (pattern: Int, name: Int)?
        while at < name.count {
            if step < pattern.count, pattern[step] == nil {
                run = (step, at)
                step += 1
            } else if step < pattern.count, pattern[step] == name[at] {
                at += 1
                step += 1
            } else if let last = run {
                run = (last.pattern, last.name + 1)
                (at, step) = (last.name + 1, last.pattern + 1)
            } else {
                return false
            }
        }
        return pattern[step...].allSatisfy { $0 == nil }
    }

    package var description: String { texts.joined(separator: ", ") }
}
