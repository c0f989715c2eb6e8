import ChatJobs

/// One search for several inquiries of a window: shared work, which outlives whoever gives up waiting for it.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class WindowSearch {
    typealias Passages = Result<[Source], JobFailure>

    let inquiries: [Inquiry]
    /// Of each inquiry, in order; nil until the search has ended.
    private(set) var passages: [Passages]?

    init(_ inquiries: [Inquiry]) { self.inquiries = inquiries }

    func end(_ passages: [Passages]) { self.passages = passages }

    /// The window's searches: a person who waits does not wait for the others' search, which takes longer the more they
    /// are; and who wants no passages waits for none.
    static func forming(_ inquiries: [Inquiry], mode: JobOptions.Retrieve) -> [WindowSearch] {
        var urgent: [Inquiry] = []
        var others: [Inquiry] = []
        for inquiry in inquiries where inquiry.job.options.retrieve ?? mode != .never {
            if inquiry.rank.isUrgent { urgent.append(inquiry) } else { others.append(inquiry) }
        }
        var searches: [WindowSearch] = []
        if !urgent.isEmpty { searches.append(WindowSearch(urgent)) }
        if !others.isEmpty { searches.append(WindowSearch(others)) }
        return searches
    }
}
