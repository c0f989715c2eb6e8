/// `builtin:lexical`: vectors of a text's words, without a model or a server.
///
/// Each term is hashed to one of 2,048 places with a sign ("feature hashing", Weinberger and others, 2009), its weight
/// the square root of its share, the vector of unit length: texts that share words get vectors that are near. The
/// vector depends on the text alone, on every machine. It knows no synonyms; an embedding model finds what was said in
/// other words. 2,048 places: on the sample, half as many lose five hits in a hundred to collisions.
///
/// A file index written with this embedder looks at the words themselves instead (see ``FileStore``), which is better
/// still; the vectors serve other stores.
package struct LexicalEmbedder: Embedder {
    static let identityPrefix = "builtin:lexical/"
    /// Raised whenever the vector or the terms of some text change.
    static let version = 1
    static let size = 2048

    package init() {}

    package var identity: String { "\(Self.identityPrefix)\(Self.size)/v\(Self.version)" }
    package var dimension: Int? { Self.size }

    /// Never fails; `timeout` is not looked at.
    package func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        texts.map { .success(Embedding(Self.vector(of: $0))) }
    }

    /// The vector of `text`: unit length, or all zero when it has no words.
    package static func vector(of text: String) -> [Float] {
        let terms = TextTerms.of(text)
        var vector = [Float](repeating: 0, count: size)
        vector.withUnsafeMutableBufferPointer { places in
            for term in terms {
                let value = term.weight.squareRoot()
                places[Int(term.hash & UInt64(size - 1))] += term.hash >> 63 == 0 ? value : -value
            }
        }
        normalize(&vector)
        return vector
    }
}

/// Scales `vector` to unit length; leaves it alone when its length is 0 or not finite.
func normalize(_ vector: inout [Float]) {
    let length = vector.withUnsafeBufferPointer { dotProduct($0, $0) }.squareRoot()
    guard length > 0, length.isFinite, length != 1 else { return }
    for index in vector.indices { vector[index] /= length }
}
