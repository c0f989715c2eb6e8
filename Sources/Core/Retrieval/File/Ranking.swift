/// Puts passages that were found into their final order. What they are ordered by says nothing to anybody else: their scores
/// stay what they were.
struct Ranking {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009) and its constant: a passage counts 1 / (60 + its place) in
    /// each list. Places can be added where scores of two kinds cannot.
    private static let constant: Float = 60
    /// How much a folder that certainly holds the answer raises a passage: three scores in one. In a fused order, whose values
    /// lie close together, less.
    private static let favour: Float = 2
    private static let favourOfFused: Float = 0.15
    /// What a further passage of the same document is worth: four passages of four documents answer more often than four of one.
    private static let repeated: Float = 0.8
    private static let repeatedOfFused: Float = 0.9

    private var found: [(index: Int, score: Float, order: Float)] = []
    private var isFused = false

    /// One list, best first.
    mutating func take(_ list: [(index: Int, score: Float)]) { found = list.map { ($0.index, $0.score, $0.score) } }

    /// Two lists, best first.
    ///
    /// - Parameter score: of a passage that is only in the second.
    mutating func fuse(
        _ near: [(index: Int, score: Float)], _ worded: [(index: Int, score: Float)], score: (Int) -> Float
    ) {
        isFused = true
        var places: [Int: Int] = [:]
        for (place, match) in near.enumerated() {
            places[match.index] = found.count
            found.append((match.index, match.score, Self.worth(of: place)))
        }
        for (place, match) in worded.enumerated() {
            if let known = places[match.index] {
                found[known].order += Self.worth(of: place)
            } else {
                found.append((match.index, score(match.index), Self.worth(of: place)))
            }
        }
    }

    private static func worth(of place: Int) -> Float { 1 / (constant + Float(place) + 1) }

    /// - Parameter likelihood: that a passage's folder holds the answer, 0 … 1.
    mutating func favour(_ likelihood: (_ passage: Int) -> Float) {
        let most = isFused ? Self.favourOfFused : Self.favour
        for place in found.indices { found[place].order *= 1 + most * likelihood(found[place].index) }
    }

    /// - Parameter document: of a passage.
    mutating func lowerRepeats(_ document: (_ passage: Int) -> Int) {
        sort()
        let factor = isFused ? Self.repeatedOfFused : Self.repeated
        var factors: [Int: Float] = [:]
        for place in found.indices where found[place].order > 0 {
            let document = document(found[place].index)
            found[place].order *= factors[document] ?? 1
            factors[document] = (factors[document] ?? 1) * factor
        }
    }

    /// Equals keep the order of the passages.
    private mutating func sort() { found.sort { ($1.order, $0.index) < ($0.order, $1.index) } }

    mutating func best(_ count: Int) -> [(index: Int, score: Float)] {
        sort()
        return found.prefix(max(0, count)).map { ($0.index, $0.score) }
    }
}
