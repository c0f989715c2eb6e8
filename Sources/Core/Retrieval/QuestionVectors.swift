import Metrics
import ParleyPrimitives
import Synchronization

/// The vectors of questions that were embedded before (`cache.embeddings`): a question that is asked again with other options or
/// another history needs no call of the embedder.
package final class QuestionVectors: Sendable {
    private struct Kept: Sendable {
        let vector: Embedding.Kept
        let until: ContinuousClock.Instant
    }

    private let kept: Mutex<BoundedCache<String, Kept>>
    private let reused = Counter(label: "parley_embeddings_reused_total")
    /// The model behind an address may become another without a word.
    private static let life = Duration.seconds(600)

    /// - Parameter capacity: bytes.
    package init(capacity: Int) { kept = Mutex(BoundedCache(capacity: capacity)) }

    /// Of each question, in order; nil where it is not known.
    func known(_ questions: [String]) -> [Embedding?] {
        let now = ContinuousClock.now
        let vectors = kept.withLock { kept in
            questions.map { question in
                guard let found = kept.value(of: question) else { return nil as Embedding? }
                if found.until > now { return found.vector.vector }
                kept.remove(question)
                return nil
            }
        }
        reused.increment(by: vectors.count { $0 != nil })
        return vectors
    }

    func keep(_ vector: Embedding, of question: String) {
        let vector = vector.kept
        let until = ContinuousClock.now + Self.life
        kept.withLock {
            $0.keep(Kept(vector: vector, until: until), as: question, cost: vector.cost + question.utf8.count + 128)
        }
    }

    /// They do not fit the index any more: the embedder is another.
    func forget() { kept.withLock { $0.removeAll() } }
}
