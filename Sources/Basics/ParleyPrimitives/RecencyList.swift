/// Places in the order in which they were last used, newest first: a doubly linked list within an array.
package struct RecencyList: Sendable {
    private struct Links {
        var newer: Int32
        var older: Int32
    }

    private static let none: Int32 = -1
    private var links: [Links] = []
    private var newest = none
    private var oldest = none
    package private(set) var count = 0

    package init() {}

    /// The place that was used longest ago.
    package var last: Int? { oldest == Self.none ? nil : Int(oldest) }

    /// The place is not in the list.
    package mutating func add(_ place: Int) {
        while links.count <= place { links.append(Links(newer: Self.none, older: Self.none)) }
        links[place] = Links(newer: Self.none, older: newest)
        if newest == Self.none { oldest = Int32(place) } else { links[Int(newest)].newer = Int32(place) }
        newest = Int32(place)
        count += 1
    }

    /// The place is in the list.
    package mutating func remove(_ place: Int) {
        let link = links[place]
        if link.newer == Self.none { newest = link.older } else { links[Int(link.newer)].older = link.older }
        if link.older == Self.none { oldest = link.newer } else { links[Int(link.older)].newer = link.newer }
        count -= 1
    }
}
