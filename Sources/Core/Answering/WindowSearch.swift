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
        let searching = inquiries.filter { $0.job.options.retrieve ?? mode != .never }
        let urgent = searching.filter(\.rank.isUrgent)
        let others = searching.filter { !$0.rank.isUrgent }
        return [urgent, others].filter { !$0.isEmpty }.map(WindowSearch.init)
    }
}
