/// Which passages a question may find. Of a tenant's, an agent's and a language's it finds its own and those that say
/// nothing of it; tags and dates have to be there.
package struct PassageFilter: Sendable, Hashable {
    /// Whose question it is. There is no filter that finds more than one tenant's passages: without a tenant it finds those
    /// that are everybody's.
    package var tenant: String?
    package var agent: String?
    /// Its first part counts: `en` finds `en-GB`, and `en-GB` finds `en`.
    package var language: String?
    /// A passage has to have all of them.
    package var tags: [String] = []
    /// The first and the last day of a passage's date.
    package var since: CalendarDate?
    package var until: CalendarDate?

    package init(tenant: String? = nil) { self.tenant = tenant }

    static let allowed = "agent=NAME, language=en, tag=NAME, since=2026-01-31, until=2026-12-31"

    /// Reads `language=en, tag=public, since=2026-01-01`. A tenant is nothing to be set: it is the question's.
    ///
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` naming what is allowed.
    package init(parsing text: String) throws(RetrievalError) {
        func wrong(_ what: String) -> RetrievalError {
            RetrievalError(.invalidSetting, "\(what); allowed: \(Self.allowed), several with commas between")
        }
        for part in text.split(separator: ",") where part.contains(where: { !$0.isWhitespace }) {
            let pair = part.split(separator: "=", maxSplits: 1).map { String(trimmed($0)) }
            guard pair.count == 2, !pair[1].isEmpty else { throw wrong("\"\(trimmed(part))\" is no key=value") }
            switch pair[0].lowercased() {
            case "agent": agent = pair[1]
            case "language", "lang": language = pair[1]
            case "tag", "tags": tags = AttributeList.tags(tags + [pair[1]])
            case "since", "until":
                guard let date = CalendarDate(pair[1]) else { throw wrong("\(pair[0]) is \"\(pair[1])\"") }
                if pair[0].lowercased() == "since" { since = date } else { until = date }
            case "tenant": throw wrong("tenant cannot be set: it is the one of whoever asks")
            default: throw wrong("\"\(pair[0])\" is nothing that passages are filtered by")
            }
        }
    }

    /// An agent's filter for one of its questions: whose the question is goes before it, and where that says something of its
    /// own, too, that counts.
    package func admitting(_ question: PassageFilter) -> PassageFilter {
        var filter = self
        filter.tenant = question.tenant
        filter.agent = question.agent ?? agent
        filter.language = question.language ?? language
        filter.tags = AttributeList.tags(tags + question.tags)
        filter.since = question.since ?? since
        filter.until = question.until ?? until
        return filter
    }

    /// Whether a passage of these may be found.
    package func admits(_ attributes: Attributes, language: String?) -> Bool {
        admits(attributes) && admits(language: language)
    }

    package func admits(_ passage: Passage) -> Bool { admits(passage.attributes, language: passage.language) }

    func admits(_ attributes: Attributes) -> Bool {
        if let tenant = attributes.tenant, tenant != self.tenant { return false }
        if let agent, let own = attributes.agent, own != agent { return false }
        if !tags.allSatisfy(attributes.tags.contains) { return false }
        if since != nil || until != nil {
            guard let date = attributes.date else { return false }
            if let since, date < since { return false }
            if let until, date > until { return false }
        }
        return true
    }

    func admits(language own: String?) -> Bool {
        guard let language, let own else { return true }
        return Self.primary(language) == Self.primary(own)
    }

    /// `zh` of `zh-Hant` and `zh_TW`.
    static func primary(_ language: String) -> String {
        language.prefix { $0 != "-" && $0 != "_" }.lowercased()
    }
}
