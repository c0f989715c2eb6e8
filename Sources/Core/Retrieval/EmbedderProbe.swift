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
}
