/// How an agent's passages are looked for: `retrieval.*` and `rerank.*`.
package struct RetrievalOptions: Sendable {
    /// `retrieval.min_score`: passages with a lower score are dropped; 0 drops none. Default 0.
    package var minScore = 0.0
    /// `retrieval.hybrid`: ranks by words and ranks by vectors are fused, where the store can. Default true.
    package var isHybrid = true
    /// `retrieval.filter`: what its questions may find, their tenants apart. Default: everything.
    package var filter = PassageFilter()
    /// Puts what was found into a better order; nil leaves it.
    package var reranker: Reranker?
    /// How likely it is that documents in folders of some names answer a question; nil, or nothing of a question: all are alike.
    package var folders: (@Sendable (_ question: String) -> [String: Float])?

    package init() {}
}
