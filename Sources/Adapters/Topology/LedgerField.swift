/// A field of a day's hash in the ledger: whose answers, and what of them is counted.
package struct LedgerField: Sendable, Hashable {
    /// What is counted. Money in billionths, so that sums are exact.
    package enum Count: String, Sendable, CaseIterable {
        case answers, reused, calls
        /// Of the calls those that came to no answer, and those whose tokens are estimated, some at least.
        case failedCalls = "failed_calls"
        case estimatedCalls = "estimated_calls"
        case promptTokens = "prompt_tokens"
        case completionTokens = "completion_tokens"
        case cachedTokens = "cached_tokens"
        case cost
    }

    package var tenant: String
    package var agent: String
    package var model: String
    package var currency: String
    package var count: Count

    /// Between a field's parts; no name holds it.
    private static let separator = "\u{1F}"

    /// What fields of these names begin with, each name cut to 128 bytes.
    package static func beginning(tenant: String?, agent: String?, model: String, currency: String?) -> String {
        part(tenant) + part(agent) + part(model) + part(currency)
    }

    private static func part(_ name: String?) -> String {
        guard let name else { return separator }
        // Nearly all names are short and plain; to replace in a text costs more than all else here.
        guard name.utf8.count > 128 || name.utf8.contains(0x1F) else { return name + separator }
        return String(decoding: Array(name.utf8.prefix(128)), as: UTF8.self).replacing(separator, with: " ") + separator
    }

    /// Nil when `text` is no field of the ledger.
    package init?(_ text: String) {
        let parts = text.split(separator: Self.separator, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, let count = Count(rawValue: parts[4]) else { return nil }
        (tenant, agent, model, currency, self.count) = (parts[0], parts[1], parts[2], parts[3], count)
    }
}
