/// A heading, a paragraph (or list, or table: lines without an empty one between), or fenced code.
struct MarkdownBlock: Equatable {
    enum Kind: Equatable {
        case heading(level: Int, title: String)
        case paragraph
        case code
    }
    var kind: Kind
    /// As it stands in the document.
    var text: String

    /// Reads the little of CommonMark that matters for cutting: ATX headings, fences, empty lines. A front matter
    /// between `---` lines at the very beginning is dropped.
    static func parse(_ text: String) -> [MarkdownBlock] {
        var blocks: [MarkdownBlock] = []
        var lines: [Substring] = []
        var fence: Substring?
        func flush(_ kind: Kind) {
            let text = lines.joined(separator: "\n")
            lines.removeAll(keepingCapacity: true)
            if text.contains(where: { !$0.isWhitespace }) { blocks.append(MarkdownBlock(kind: kind, text: text)) }
        }
        for line in withoutFrontMatter(text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)[...]) {
            if let open = fence {
                lines.append(line)
                if isFenceEnd(line, of: open) {
                    fence = nil
                    flush(.code)
                }
            } else if let opening = fenceStart(line) {
                flush(.paragraph)
                fence = opening
                lines.append(line)
            } else if let (level, title) = heading(line) {
                flush(.paragraph)
                blocks.append(MarkdownBlock(kind: .heading(level: level, title: title), text: String(line)))
            } else if line.allSatisfy(\.isWhitespace) {
                flush(.paragraph)
            } else {
                lines.append(line)
            }
        }
        flush(fence == nil ? .paragraph : .code)
        return blocks
    }

    private static func withoutFrontMatter(_ lines: ArraySlice<Substring>) -> ArraySlice<Substring> {
        guard lines.first == "---" else { return lines }
        guard let end = lines.dropFirst().firstIndex(of: "---"), end < 64 else { return lines }
        return lines[(end + 1)...]
    }

    /// `## Title ##` gives (2, "Title").
    private static func heading(_ line: Substring) -> (level: Int, title: String)? {
        let marks = line.prefix { $0 == "#" }
        guard (1...6).contains(marks.count) else { return nil }
        var title = line.dropFirst(marks.count)
        guard title.isEmpty || title.first == " " || title.first == "\t" else { return nil }
        title = trimmed(title)
        let closing = title.reversed().prefix { $0 == "#" }.count
        if closing > 0, closing == title.count || title.dropLast(closing).last == " " {
            title = trimmed(title.dropLast(closing))
        }
        // A line this long is text that happens to begin with a mark.
        guard title.utf8.count <= 400 else { return nil }
        return (marks.count, String(title))
    }

    private static func fenceStart(_ line: Substring) -> Substring? {
        let text = line.drop { $0 == " " }
        for mark: Character in ["`", "~"] {
            let fence = text.prefix { $0 == mark }
            if fence.count >= 3 { return fence }
        }
        return nil
    }

    private static func isFenceEnd(_ line: Substring, of fence: Substring) -> Bool {
        let text = trimmed(line)
        return text.count >= fence.count && text.allSatisfy { $0 == fence.first }
    }
}

/// Without white space at either end.
func trimmed(_ text: some StringProtocol) -> Substring {
    var text = Substring(text)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text.drop(while: \.isWhitespace)
}
