/// Puts passages that were found into their final order. What they are ordered by says nothing to anybody else: their scores
/// stay what they were.
struct Ranking {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): a passage counts 1 / (20 + its place) in each list. Places can
    /// be added where scores of two kinds cannot. With 60, as there, the first places say too little of lists this good.
    private static let constant: Float = 20
    /// How much a folder that certainly holds the answer raises a passage: three scores in one. Values of places lie close
    /// together, and less does as much.
    private static let favour: Float = 2
    private static let favourOfPlaces: Float = 0.6
    /// What a further passage of the same document is worth: four passages of four documents answer more often than four of one.
    private static let repeated: Float = 0.8
    private static let repeatedOfPlaces: Float = 0.85
    /// What a passage is worth of the best other passage of its document, by words: what a question asks for may stand in two of them.
    private static let neighbour: Float = 0.2
    /// How much a title of which the question says all raises a passage, by words.
    private static let title: Float = 1

    private var found: [(index: Int, score: Float, order: Float)] = []
    /// Ordered by places in lists, not by scores.
    private var isByPlaces = false

    /// One list whose scores say by how much one is better than another: those of words do.
    ///
    /// - Parameter document: of a passage.
    mutating func take(worded list: [TermIndex.Found], document: (_ passage: Int) -> Int) {
        found = Self.raised(list, document)
    }

    /// With what each has of its document's others, and of its title.
    private static func raised(
        _ list: [TermIndex.Found], _ document: (_ passage: Int) -> Int
    ) -> [(index: Int, score: Float, order: Float)] {
        var best: [Int: (first: Int, firstScore: Float, secondScore: Float)] = [:]
        for match in list {
            let of = document(match.index)
            guard let known = best[of] else {
                best[of] = (match.index, match.score, 0)
                continue
            }
            best[of] =
                match.score > known.firstScore
                ? (match.index, match.score, known.firstScore)
                : (known.first, known.firstScore, max(known.secondScore, match.score))
        }
        return list.map { match in
            let known = best[document(match.index)]
            let other = known?.first == match.index ? known?.secondScore : known?.firstScore
            return (match.index, match.score, (match.score + neighbour * (other ?? 0)) * (1 + title * match.title))
        }
    }

    /// One list, best first, of which the order counts alone: a model's similarities may all lie between 0.8 and 0.9.
    mutating func take(near list: [(index: Int, score: Float)]) {
        isByPlaces = true
        found = list.enumerated().map { ($1.index, $1.score, Self.worth(of: $0)) }
    }

    /// Two lists, the first with the best in front.
    ///
    /// - Parameters:
    ///   - document: of a passage.
    ///   - score: of a passage that is only in the second.
    mutating func fuse(
        _ near: [(index: Int, score: Float)], _ worded: [TermIndex.Found],
        document: (_ passage: Int) -> Int, score: (Int) -> Float
    ) {
        isByPlaces = true
        var places: [Int: Int] = [:]
        for (place, match) in near.enumerated() {
            places[match.index] = found.count
            found.append((match.index, match.score, Self.worth(of: place)))
        }
        let worded = Self.raised(worded, document).sorted { ($1.order, $0.index) < ($0.order, $1.index) }
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
        let most = isByPlaces ? Self.favourOfPlaces : Self.favour
        for place in found.indices { found[place].order *= 1 + most * likelihood(found[place].index) }
    }

    /// - Parameter document: of a passage.
    mutating func lowerRepeats(_ document: (_ passage: Int) -> Int) {
        sort()
        let factor = isByPlaces ? Self.repeatedOfPlaces : Self.repeated
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
