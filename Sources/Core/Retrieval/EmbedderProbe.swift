/// What an embedder makes of one text, thinned out: two models that give vectors of one length under one name still differ in it.
package struct EmbedderProbe: Sendable, Equatable {
    /// At most so many numbers, from all over the vector.
    static let size = 64
    static let text = "Where is my parcel? 我的快递到哪里了？"
    /// Below that it is another model: the same one in other weights (4 bits, 16, 32) or on another machine stays above.
    static let leastCosine: Float = 0.9

    let numbers: [Float]

    /// Nil of nothing.
    init?(numbers: [Float]) {
        guard !numbers.isEmpty, numbers.allSatisfy(\.isFinite) else { return nil }
        self.numbers = numbers
    }

    /// - Parameter vector: of ``text`` as a passage.
    init?(of vector: [Float]) {
        let count = min(Self.size, vector.count)
        self.init(numbers: (0..<count).map { vector[$0 * vector.count / count] })
    }

    /// The cosine of both; nil when their lengths differ.
    func likeness(_ other: EmbedderProbe) -> Float? {
        guard numbers.count == other.numbers.count else { return nil }
        var (one, two) = (numbers, other.numbers)
        normalize(&one)
        normalize(&two)
        return zip(one, two).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// Asks an embedder; nil of the built-in one, whose name says all.
    static func of(_ embedder: any Embedder, timeout: Duration) async throws(RetrievalError) -> (
        probe: EmbedderProbe?, dimension: Int?
    ) {
        guard !(embedder is LexicalEmbedder) else { return (nil, embedder.dimension) }
        do throws(RetrievalError) {
            let vector = try await embedder.vectors(of: [text], as: .passage, timeout: timeout).first?.numbers ?? []
            return (EmbedderProbe(of: vector), vector.count)
        } catch {
            throw error.blamed(on: .embedder)
        }
    }

    /// Whether the embedder that was asked now is the one that was asked when the index was made, as far as can be told.
    static func isSame(_ known: EmbedderProbe?, _ now: EmbedderProbe?) -> Bool {
        guard let known, let now, let likeness = known.likeness(now) else { return true }
        return likeness >= leastCosine
    }
}
