/// Puts passages that were found into their final order.
struct Ranking {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009) and its constant: a passage counts 1 / (60 + its place) in
    /// each list. Places can be added where scores of two kinds cannot.
    private static let constant: Float = 60
    /// How much a favoured passage's score is raised; in a fused order, as many places of one list.
    private static let favour: Float = 0.1
    private static let favourInPlaces: Float = 10

    private let isFavoured: ((_ passage: Int) -> Bool)?
    /// By `order`, which says nothing to anybody else.
    private var found: [(index: Int, score: Float, order: Float)] = []

    init(isFavoured: ((_ passage: Int) -> Bool)? = nil) { self.isFavoured = isFavoured }

    /// One list, best first.
    mutating func take(_ list: [(index: Int, score: Float)]) {
        found = list.map { ($0.index, $0.score, $0.score * (isFavoured?($0.index) == true ? 1 + Self.favour : 1)) }
    }

    /// Two lists, best first.
    ///
    /// - Parameter score: of a passage that is only in the second.
    mutating func fuse(
        _ near: [(index: Int, score: Float)], _ worded: [(index: Int, score: Float)], score: (Int) -> Float
    ) {
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
        guard let isFavoured else { return }
        let bonus = Self.worth(of: 0) - Self.worth(of: Int(Self.favourInPlaces))
        for place in found.indices where isFavoured(found[place].index) { found[place].order += bonus }
    }

    private static func worth(of place: Int) -> Float { 1 / (constant + Float(place) + 1) }

    /// Equals keep the order of the passages.
    func best(_ count: Int) -> [(index: Int, score: Float)] {
        found.sorted { ($1.order, $0.index) < ($0.order, $1.index) }.prefix(max(0, count)).map { ($0.index, $0.score) }
    }
}
