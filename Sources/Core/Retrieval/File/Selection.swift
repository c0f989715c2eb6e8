import Synchronization

/// The passages of an index that a filter admits.
struct Selection: Sendable {
    private var bits: [UInt64]
    private(set) var count = 0

    init(of passages: Int) { bits = [UInt64](repeating: 0, count: (passages + 63) / 64) }

    mutating func insert(_ index: Int) {
        bits[index >> 6] |= 1 << UInt64(index & 63)
        count += 1
    }

    @inline(__always)
    func contains(_ index: Int) -> Bool { bits[index >> 6] >> UInt64(index & 63) & 1 == 1 }
}

/// Those of an index, each made once: questions have few filters, and passages are many.
final class Selections: Sendable {
    private struct Contents {
        var tenants: Set<String> = []
        var hasAgents = false
        var hasLanguages = false
    }

    private static let mostBytes = 16 << 20

    private let contents: Contents
    private let made = Mutex<[PassageFilter: Selection]>([:])

    init(_ file: IndexFile) {
        var contents = Contents()
        for attributes in file.documents.lazy.map(\.attributes) {
            if let tenant = attributes.tenant { contents.tenants.insert(tenant) }
            contents.hasAgents = contents.hasAgents || attributes.agent != nil
        }
        contents.hasLanguages = file.passages.contains { !$0.language.isEmpty }
        self.contents = contents
    }

    var hasTenants: Bool { !contents.tenants.isEmpty }

    /// Nil: all of them.
    func selection(for filter: PassageFilter, of file: IndexFile) -> Selection? {
        guard let filter = distinctive(filter) else { return nil }
        if let known = made.withLock({ $0[filter] }) { return known }
        var selection = Selection(of: file.passages.count)
        let admitted = file.documents.map { filter.admits($0.attributes) }
        for (index, passage) in file.passages.enumerated() where admitted[Int(passage.document)] {
            guard filter.language == nil || filter.admits(language: passage.languageTag) else { continue }
            selection.insert(index)
        }
        let most = max(4, Self.mostBytes / max(1, file.passages.count / 8))
        made.withLock { made in
            if made.count >= most { made.removeAll() }
            made[filter] = selection
        }
        return selection
    }

    /// Without what decides nothing in this index, so that a stranger's name makes no selection of its own; nil when nothing is
    /// left that does.
    private func distinctive(_ filter: PassageFilter) -> PassageFilter? {
        var filter = filter
        if let tenant = filter.tenant, !contents.tenants.contains(tenant) { filter.tenant = nil }
        if !contents.hasAgents { filter.agent = nil }
        if !contents.hasLanguages { filter.language = nil }
        let isWhole =
            contents.tenants.isEmpty && filter.agent == nil && filter.language == nil && filter.tags.isEmpty
            && filter.since == nil && filter.until == nil
        return isWhole ? nil : filter
    }
}
