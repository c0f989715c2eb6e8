import ParleyDigest
import Synchronization

/// An index as one file held it, ready for searching. Never changes, except that a graph is added when it is built.
final class IndexSnapshot: Sendable {
    let file: IndexFile
    /// A digest of the documents in it; nil when there is no SHA-256.
    let version: String?
    private let terms: TermIndex?
    private let selections: Selections
    private let graph = Mutex<VectorGraph?>(nil)

    /// - Parameter indexesWords: also of an index of vectors.
    init(_ file: IndexFile, indexesWords: Bool = true) {
        self.file = file
        let digest = SHA256()
        for document in file.documents.sorted(by: { $0.id < $1.id }) {
            for text in [document.id, document.contentHash] { digest?.update(Array("\(text)\n".utf8)) }
        }
        version = (digest?.finish()).map { $0.prefix(16).hex }
        selections = Selections(file)
        terms =
            file.hasVectors && !indexesWords
            ? nil
            : TermIndex(file.passages.lazy.map { ($0.heading, $0.text) })
    }

    var hasTenants: Bool { selections.hasTenants }
    var hasGraph: Bool { graph.withLock { $0 != nil } }

    /// Blocks for as long as it takes.
    func buildGraph() {
        let built = VectorGraph(vectors: file.vectors, dimension: file.dimension)
        graph.withLock { $0 = built }
    }

    /// So many of the best by words and by vectors are put into one order.
    private static let depth = 100

    /// The best passages, best first. Their score is that of the vectors where there are any, also when words have had a part
    /// in the order: a sum of ranks says nothing of how well a passage fits.
    func search(_ query: SearchQuery, topK: Int) throws(RetrievalError) -> [Match] {
        let depth = max(topK, Self.depth)
        let selection = selections.selection(for: query.filter, of: file)
        var ranking = Ranking()
        let document: (Int) -> Int = { [file] in Int(file.passages[$0].document) }
        if file.hasVectors {
            guard query.vector.count == file.dimension else {
                throw RetrievalError(
                    .incompatible, "the question has \(query.vector.count) numbers, the index \(file.dimension)")
            }
            var vector = query.vector.numbers
            normalize(&vector)
            let near = nearest(vector, topK: depth, in: selection)
            if query.isHybrid, !query.text.isEmpty, let terms {
                let worded = terms.search(query.text, topK: depth, in: selection)
                ranking.fuse(near, worded, document: document) { self.score(vector, $0) }
            } else {
                ranking.take(near: near)
            }
        } else {
            guard !query.text.isEmpty || query.vector.isEmpty, let terms else {
                throw RetrievalError(.incompatible, "an index of \(file.embedder) is searched by text, not by vectors")
            }
            ranking.take(worded: terms.search(query.text, topK: depth, in: selection), document: document)
        }
        ranking.favour { likelihood($0, query.folders) }
        ranking.lowerRepeats(document)
        return ranking.best(topK).map { Match(passage: file.passage($0.index), score: $0.score) }
    }

    /// How likely it is that a passage's folder is the one that answers.
    private func likelihood(_ passage: Int, _ folders: [String: Float]) -> Float {
        guard !folders.isEmpty else { return 0 }
        let document = file.documents[Int(file.passages[passage].document)]
        if let agent = document.attributes.agent { return folders[agent] ?? 0 }
        return document.id.split(separator: "/").dropLast().compactMap { folders[String($0)] }.max() ?? 0
    }

    private func score(_ query: [Float], _ passage: Int) -> Float {
        query.withUnsafeBufferPointer { query in
            file.vectors.withUnsafeBufferPointer { vectors in
                let start = passage * file.dimension
                return dotProduct(query, UnsafeBufferPointer(rebasing: vectors[start..<(start + file.dimension)]))
            }
        }
    }

    /// The graph knows no filters: of a large part it is asked for so many more that enough of them are of that part; a small
    /// one is looked at whole, and one of which the graph has not found enough.
    private func nearest(_ query: [Float], topK: Int, in selection: Selection?) -> [(index: Int, score: Float)] {
        guard let graph = graph.withLock({ $0 }) else { return exact(query, topK: topK, in: selection) }
        guard let selection else { return graph.search(query, topK: topK) }
        guard selection.count > topK, selection.count * 4 >= file.passages.count else {
            return exact(query, topK: topK, in: selection)
        }
        let wanted = min(file.passages.count, topK * file.passages.count / selection.count * 3 / 2)
        let found = graph.search(query, topK: wanted).filter { selection.contains($0.index) }
        return found.count >= topK ? Array(found.prefix(topK)) : exact(query, topK: topK, in: selection)
    }

    /// Looks at every vector.
    func exact(_ query: [Float], topK: Int, in selection: Selection? = nil) -> [(index: Int, score: Float)] {
        var best = TopMatches(count: topK)
        let dimension = file.dimension
        query.withUnsafeBufferPointer { query in
            file.vectors.withUnsafeBufferPointer { vectors in
                for index in file.passages.indices where selection?.contains(index) ?? true {
                    let vector = UnsafeBufferPointer(rebasing: vectors[(index * dimension)..<((index + 1) * dimension)])
                    best.offer(index: index, score: dotProduct(query, vector))
                }
            }
        }
        return best.sorted
    }
}
