import ChatJobs
import ParleyPrimitives

/// What was found for questions (`cache.passages`): whoever asks the same of the same state of the knowledge, with other options,
/// another history or in another scope, needs no search.
struct FoundPassages {
    private struct Key: Hashable, Sendable {
        let agent: String?
        let question: String
        /// Nil where all tenants find the same.
        let tenant: String?

        init(_ question: PassageFinder.Question, _ agent: Agent, _ state: KnowledgeState) {
            self.agent = agent.name
            self.question = question.text
            tenant = state.hasTenants ? question.tenant : nil
        }
    }

    private struct Entry: Sendable {
        let sources: [Source]
        /// How many were looked for.
        let topK: Int
        let state: KnowledgeState
        let until: Duration
    }

    private var kept: BoundedCache<Key, Entry>

    /// A store may be changed without a word by others than `parley ingest`.
    private static let life = Duration.seconds(60)

    /// - Parameter capacity: bytes; 0 keeps nothing.
    init(capacity: Int) { kept = BoundedCache(capacity: capacity) }

    mutating func sources(
        for question: PassageFinder.Question, _ agent: Agent, _ state: KnowledgeState, now: Duration
    ) -> [Source]? {
        let key = Key(question, agent, state)
        guard let entry = kept.value(of: key) else { return nil }
        guard entry.state == state, entry.until > now else {
            kept.remove(key)
            return nil
        }
        guard entry.topK >= question.topK || entry.sources.count < entry.topK else { return nil }
        return Array(entry.sources.prefix(question.topK))
    }

    /// - Parameter state: of the knowledge when the search began, and when it had ended.
    mutating func keep(
        _ sources: [Source], for question: PassageFinder.Question, _ agent: Agent, _ state: KnowledgeState,
        now: Duration
    ) {
        let cost = sources.reduce(256 + question.text.utf8.count) { $0 + $1.cost }
        kept.keep(
            Entry(sources: sources, topK: question.topK, state: state, until: now + Self.life),
            as: Key(question, agent, state), cost: cost)
    }
}

extension Source {
    /// About how many bytes it takes in memory.
    var cost: Int { 96 + id.utf8.count + title.utf8.count + text.utf8.count }
}
