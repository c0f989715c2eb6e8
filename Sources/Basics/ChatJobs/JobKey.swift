/// What a job is known by among all jobs: its id and, where tenants are kept apart (`tenants.mode: authenticated`), its
/// tenant. It names the job's keys in Redis.
package struct JobKey: Sendable, Hashable, CustomStringConvertible {
    package let id: JobID
    /// `id`, or `tenant:id`.
    package let text: String

    /// - Parameter tenant: nil where tenants are not kept apart.
    package init(_ id: JobID, tenant: String? = nil) {
        self.id = id
        text = tenant.map { "\(Self.escaped($0)):\(id.text)" } ?? id.text
    }

    /// Ids may hold a colon, so tenants' must not: otherwise two pairs would be one key.
    static func escaped(_ tenant: String) -> String {
        guard tenant.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "%") }) else { return tenant }
        return tenant.replacing("%", with: "%25").replacing(":", with: "%3A")
    }

    /// By their bytes, as Redis compares: names of tenants that look the same may be written in several ways.
    package static func == (one: JobKey, other: JobKey) -> Bool {
        one.text == other.text && one.text.utf8.elementsEqual(other.text.utf8)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(text) }

    package var description: String { text }
}
