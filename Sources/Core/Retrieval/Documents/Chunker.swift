/// Cuts documents into passages: at headings first, then between paragraphs, then between sentences, and within a
/// sentence only when it is longer than a passage. Passages cut within a section overlap by a few sentences, so that
/// what refers back is found with what it refers to.
package struct Chunker: Sendable, Equatable {
    /// The longest passage, in estimated tokens. Default 220: some 900 characters of English, 350 of Chinese.
    package var maxTokens: Int
    /// How much of a passage the next one of the same section repeats at most, in estimated tokens. Default 40.
    package var overlapTokens: Int

    package init(maxTokens: Int = 220, overlapTokens: Int = 40) {
        self.maxTokens = max(8, maxTokens)
        self.overlapTokens = max(0, min(overlapTokens, maxTokens / 2))
    }

    /// Whatever changes passages changes this.
    var identity: String { "v2/\(maxTokens)/\(overlapTokens)" }

    /// The passages of `document`, in order; none when it is empty. A heading that begins a passage is not in its text
    /// but in ``Passage/heading``.
    package func passages(of document: Document) -> [Passage] {
        var packer = Packer(limit: maxTokens * 1000, overlap: overlapTokens * 1000, title: document.title)
        for section in Section.cut(document) { packer.add(section) }
        packer.close(overlapping: false)
        return packer.finished.enumerated().map { index, finished in
            Passage(
                documentID: document.id, ordinal: index + 1, title: document.title, heading: finished.heading,
                text: finished.text, language: document.language, attributes: document.attributes)
        }
    }
}

/// A heading and what stands below it, up to the next heading.
private struct Section {
    /// Title and headings down to this one, with " › " between.
    var trail: String
    var pieces: [Piece]
    var cost: Int { pieces.reduce(0) { $0 + $1.cost } }

    static func cut(_ document: Document) -> [Section] {
        var sections = [Section(trail: document.title, pieces: [])]
        var path: [(level: Int, title: String)] = []
        let blocks =
            document.syntax == .plain
            ? MarkdownBlock.parsePlain(document.text) : MarkdownBlock.parse(document.text)
        for block in blocks {
            guard case .heading(let level, let title) = block.kind else {
                let kind: Piece.Kind = block.kind == .code ? .code : block.kind == .table ? .table : .text
                sections[sections.count - 1].pieces.append(Piece(kind: kind, text: block.text, separator: "\n\n"))
                continue
            }
            path.removeAll { $0.level >= level }
            path.append((level, title))
            let titles = path.map(\.title).filter { !$0.isEmpty && $0 != document.title }
            let trail = ([document.title] + titles).joined(separator: " › ")
            sections.append(
                Section(trail: trail, pieces: [Piece(kind: .heading, text: block.text, separator: "\n\n")]))
        }
        return sections.filter { $0.pieces.contains { $0.kind != .heading } }
    }
}

/// What is put into passages whole.
private struct Piece {
    enum Kind { case heading, text, code, table }
    var kind: Kind
    var text: String
    /// What stands between it and the piece before.
    var separator: String
    let cost: Int

    init(kind: Kind, text: String, separator: String) {
        self.kind = kind
        self.text = text
        self.separator = separator
        cost = TokenEstimate.milliTokens(text)
    }

    /// The first two rows of a table, which say what is in its columns: rows that stand elsewhere mean nothing without them. Nil of
    /// what is no table, or one whose columns' names leave no room.
    func header(within limit: Int) -> Piece? {
        guard kind == .table else { return nil }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let header = Piece(kind: .table, text: lines.prefix(2).joined(separator: "\n"), separator: "\n\n")
        return lines.count > 2 && header.cost <= limit / 2 ? header : nil
    }

    /// Its sentences, or lines of code, or rows; white space at their ends becomes the separator of the next.
    ///
    /// - Parameter header: of a table; is one part.
    func parts(behind header: Piece? = nil) -> [Piece] {
        if let header {
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            return [header] + lines.dropFirst(2).map { Piece(kind: .table, text: String($0), separator: "\n") }
        }
        let parts: [Substring] =
            kind == .text
            ? Sentences.split(text[...])
            : text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        var result: [Piece] = []
        var separator = separator
        for part in parts {
            var body = part
            while kind == .text, let last = body.last, last.isWhitespace { body.removeLast() }
            result.append(Piece(kind: kind, text: String(body), separator: separator))
            separator =
                kind == .text
                ? (part[body.endIndex...].contains(where: \.isNewline) ? "\n" : String(part[body.endIndex...])) : "\n"
        }
        return result
    }

    /// Cuts what is longer than `limit` between characters, at white space where some is near.
    func cut(to limit: Int) -> [Piece] {
        guard cost > limit else { return [self] }
        var result: [Piece] = []
        var rest = text[...]
        while !rest.isEmpty {
            var end = rest.startIndex
            var space: Substring.Index?
            var size = 0
            while end < rest.endIndex {
                let next = TokenEstimate.milliTokens(rest[end])
                if size + next > limit, end > rest.startIndex { break }
                size += next
                if rest[end].isWhitespace, size > limit * 3 / 4 { space = end }
                end = rest.index(after: end)
            }
            if end < rest.endIndex, let space { end = rest.index(after: space) }
            let isFirst = result.isEmpty
            result.append(Piece(kind: kind, text: String(rest[..<end]), separator: isFirst ? separator : ""))
            rest = rest[end...]
        }
        return result
    }
}

/// Fills passages one after another.
private struct Packer {
    let limit: Int
    let overlap: Int
    let title: String
    private(set) var finished: [(heading: String, text: String)] = []
    private var open: [Piece] = []
    private var cost = 0
    /// Where the open passage begins.
    private var trail = ""
    /// How many of the open passage's pieces the one before has too.
    private var repeated = 0

    init(limit: Int, overlap: Int, title: String) {
        self.limit = limit
        self.overlap = overlap
        self.title = title
    }

    mutating func add(_ section: Section) {
        // A passage filled to a third may end at a heading; a shorter one takes in the beginning of what follows.
        if cost + section.cost > limit, cost >= limit / 3 || section.cost <= limit { close(overlapping: false) }
        if open.isEmpty { trail = section.trail }
        for piece in section.pieces { add(piece, in: section) }
    }

    private mutating func add(_ piece: Piece, in section: Section) {
        if cost + piece.cost <= limit { return append(piece) }
        if piece.cost <= limit, cost >= limit / 3 {
            close(overlapping: true, next: section.trail, room: limit - piece.cost)
            return append(piece)
        }
        let header = piece.header(within: limit)
        let most = limit - (header?.cost ?? 0)
        let parts = piece.parts(behind: header).flatMap { $0.cut(to: most) }
        // Columns' names with no row below them would say nothing.
        if header != nil, cost + parts.prefix(2).reduce(0, { $0 + $1.cost }) > limit {
            close(overlapping: true, next: section.trail, room: 0)
        }
        for part in parts {
            if cost + part.cost > limit {
                close(overlapping: true, next: section.trail, room: limit - part.cost)
                if let header, finished.last.map({ $0.text.contains(header.text) }) ?? false, open.isEmpty {
                    open = [header]
                    repeated = 1
                    cost = header.cost
                }
            }
            append(part)
        }
    }

    private mutating func append(_ piece: Piece) {
        open.append(piece)
        cost += piece.cost
    }

    /// Ends the open passage and begins the next with its last sentences, as many as `room` allows.
    mutating func close(overlapping: Bool, next: String = "", room: Int = 0) {
        var headings: [Piece] = []
        while let last = open.last, last.kind == .heading { headings.insert(open.removeLast(), at: 0) }
        var carried: [Piece] = []
        if open.count > repeated {
            finish()
            if overlapping, headings.isEmpty { carried = lastSentences(within: min(overlap, room)) }
        }
        open = carried + headings
        repeated = carried.count
        cost = open.reduce(0) { $0 + $1.cost }
        trail = next
    }

    private mutating func finish() {
        var pieces = open[...]
        while pieces.first?.kind == .heading { pieces.removeFirst() }
        var text = ""
        for piece in pieces { text += (text.isEmpty ? "" : piece.separator) + piece.text }
        text = String(trimmed(text))
        if !text.isEmpty { finished.append((trail, text)) }
    }

    private func lastSentences(within budget: Int) -> [Piece] {
        var carried: [Piece] = []
        var spent = 0
        for piece in open.reversed() {
            guard piece.kind == .text else { break }
            for part in piece.parts().reversed() {
                guard spent + part.cost <= budget else { return carried }
                spent += part.cost
                carried.insert(part, at: 0)
            }
        }
        return carried
    }
}
