import ParleyDigest
import Synchronization

/// An index as one file held it, ready for searching. Never changes, except that a graph is added when it is built.
final class IndexSnapshot: Sendable {
    let file: IndexFile
    /// A digest of the documents in it; nil when there is no SHA-256.
    let version: String?
    private let terms: TermIndex?
    private let graph = Mutex<VectorGraph?>(nil)

    init(_ file: IndexFile) {
        self.file = file
        let digest = SHA256()
        for document in file.documents.sorted(by: { $0.id < $1.id }) {
            for text in [document.id, document.contentHash] { digest?.update(Array("\(text)\n".utf8)) }
        }
        version = (digest?.finish()).map { $0.prefix(16).hex }
        terms =
            file.hasVectors
            ? nil
            : TermIndex(
                file.passages.lazy.map {
                    String(decoding: $0.heading, as: UTF8.self) + "\n" + String(decoding: $0.text, as: UTF8.self)
                })
    }

    var hasGraph: Bool { graph.withLock { $0 != nil } }

    /// Blocks for as long as it takes.
    func buildGraph() {
        let built = VectorGraph(vectors: file.vectors, dimension: file.dimension)
        graph.withLock { $0 = built }
    }

    func search(_ query: SearchQuery, topK: Int) throws(RetrievalError) -> [Match] {
        let found: [(index: Int, score: Float)]
        if let terms {
            guard !query.text.isEmpty || query.vector.isEmpty else {
                throw RetrievalError(.incompatible, "an index of \(file.embedder) is searched by text, not by vectors")
            }
            found = terms.search(query.text, topK: topK)
        } else {
            guard query.vector.count == file.dimension else {
                throw RetrievalError(
                    .incompatible, "the question has \(query.vector.count) numbers, the index \(file.dimension)")
            }
            var vector = query.vector.numbers
            normalize(&vector)
            found = graph.withLock { $0 }?.search(vector, topK: topK) ?? exact(vector, topK: topK)
        }
        return found.map { Match(passage: file.passage($0.index), score: $0.score) }
    }

    /// Looks at every vector.
    func exact(_ query: [Float], topK: Int) -> [(index: Int, score: Float)] {
        var best = TopMatches(count: topK)
        let dimension = file.dimension
        query.withUnsafeBufferPointer { query in
            file.vectors.withUnsafeBufferPointer { vectors in
                for index in file.passages.indices {
                    let vector = UnsafeBufferPointer(rebasing: vectors[(index * dimension)..<((index + 1) * dimension)])
                    best.offer(index: index, score: dotProduct(query, vector))
                }
            }
        }
        return best.sorted
    }
}
