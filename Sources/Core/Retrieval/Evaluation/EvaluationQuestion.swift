import ChatJobs
import ParleyJSON

/// A question and where its answer stands: a line of a file that `parley evaluate` reads.
///
/// `{"query": "…", "article": "returns.md", "lang": "en", "agent": "aftersale"}`; `article` may be a list of articles of which
/// each answers, and is null (or empty, or `none`) where nothing does. `tenant`, `history` and `rewritten_query` are a job's.
package struct EvaluationQuestion: Sendable, Equatable {
    package var query: String
    /// Any of them answers; none: nothing ought to be found.
    package var articles: [String]
    package var language: String?
    package var agent: String?
    /// Whose question it is.
    package var tenant: String?
    package var history: [Turn] = []
    package var rewrittenQuery: String?

    /// What is wrong with a line: the member, and what is allowed.
    package struct Mistake: Error, Sendable, Equatable {
        package let message: String
    }

    package init(query: String, articles: [String], language: String? = nil, agent: String? = nil) {
        self.query = query
        self.articles = articles
        self.language = language
        self.agent = agent
    }

    package init(line: [UInt8]) throws(Mistake) {
        let root: JSONElement
        do throws(JSONError) { root = try JSONDocument(line).root } catch {
            throw Mistake(message: "is not JSON (\(error)); a line is {\"query\": …, \"article\": …}")
        }
        guard root.kind == .object else {
            throw Mistake(message: "is no object; a line is {\"query\": …, \"article\": …}")
        }
        guard let query = try Self.text("query", root), query.contains(where: { !$0.isWhitespace }) else {
            throw Mistake(message: "query is missing or empty; the question is needed")
        }
        self.init(
            query: query, articles: try Self.articles(root), language: try Self.text("lang", root),
            agent: try Self.text("agent", root))
        if language == nil { language = try Self.text("language", root) }
        tenant = try Self.text("tenant", root)
        rewrittenQuery = try Self.text("rewritten_query", root)
        guard let turns = root["history"], !turns.isNull else { return }
        guard turns.kind == .array else { throw Mistake(message: "history is no list of turns") }
        for turn in turns.elements {
            guard let role = turn["role"]?.string.flatMap(Turn.Role.init), let content = turn["content"]?.string else {
                throw Mistake(message: "history has a turn without role and content")
            }
            history.append(Turn(role: role, content: content))
        }
    }

    /// Nil when it is not there; an empty text counts as not there.
    private static func text(_ name: String, _ root: JSONElement) throws(Mistake) -> String? {
        guard let value = root[name], !value.isNull else { return nil }
        guard let text = value.string else { throw Mistake(message: "\(name) is no text") }
        return text.isEmpty ? nil : text
    }

    private static func articles(_ root: JSONElement) throws(Mistake) -> [String] {
        let allowed = "the path of the article that answers, a list of such paths, or null when nothing does"
        guard let value = root["article"] else { throw Mistake(message: "article is missing; allowed: \(allowed)") }
        if value.isNull { return [] }
        if let path = value.string { return path.isEmpty || path == "none" ? [] : [path] }
        let paths = value.elements.compactMap(\.string).filter { !$0.isEmpty }
        guard value.kind == .array, paths.count == value.count else {
            throw Mistake(message: "article is neither text nor a list of texts; allowed: \(allowed)")
        }
        return paths
    }

    /// Whether a document is one that answers. Of two paths the shorter may begin further down: which folder was ingested is
    /// not the file's to know.
    func isAnswered(by documentID: String) -> Bool {
        articles.contains { article in
            article == documentID || documentID.hasSuffix("/\(article)") || article.hasSuffix("/\(documentID)")
        }
    }
}
