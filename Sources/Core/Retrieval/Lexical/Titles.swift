/// The terms of the passages' titles: a title that a question says nearly all of names what the question is about, however often
/// other texts have the same words.
struct Titles: Sendable {
    /// What stands in for a word of the question counts for it.
    static let standIn: Float = 0.5
    /// Parts the title from the sections' headings.
    private static let mark = Array(" › ".utf8)

    private var terms: [UInt32] = []
    /// Where a passage's begin, and where they end: passages of one document have the same.
    private var ranges: [(start: UInt32, end: UInt32)] = []

    struct Builder {
        private var last: ArraySlice<UInt8> = []
        private(set) var titles = Titles()

        mutating func add(heading: ArraySlice<UInt8>) {
            let title = Titles.title(of: heading)
            if let range = titles.ranges.last, title.elementsEqual(last) { return titles.ranges.append(range) }
            last = title
            let start = titles.terms.count
            PlainTerms.forEach(in: title) { term, _ in
                if !term.isStop, term.isWord || term.isPair { titles.terms.append(term.hash) }
            }
            titles.ranges.append((UInt32(start), UInt32(titles.terms.count)))
        }
    }

    static func title(of heading: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var at = heading.startIndex
        while let next = heading[at...].firstIndex(of: mark[0]) {
            if heading[next...].starts(with: mark) { return heading[..<next] }
            at = next + 1
        }
        return heading
    }

    /// What a question has of titles.
    struct Question {
        fileprivate var terms: [UInt32: Float] = [:]

        init() { terms.reserveCapacity(128) }

        mutating func add(own hash: UInt32) { terms[hash] = 1 }
        mutating func add(standIn hash: UInt32) { terms[hash] = max(terms[hash] ?? 0, Titles.standIn) }
    }

    /// The share of a passage's title that a question says, 0 … 1.
    func share(of passage: Int, _ question: Question) -> Float {
        let own = terms[Int(ranges[passage].start)..<Int(ranges[passage].end)]
        guard !own.isEmpty else { return 0 }
        return own.reduce(0) { $0 + (question.terms[$1] ?? 0) } / Float(own.count)
    }
}
