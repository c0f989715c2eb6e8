/// A heading, a paragraph (or list: lines without an empty one between), a table, or code.
struct MarkdownBlock: Equatable {
    enum Kind: Equatable {
        case heading(level: Int, title: String)
        case paragraph
        case table
        case code
    }
    var kind: Kind
    /// As it stands in the document, but that the lines of a paragraph are one line.
    var text: String

    /// Reads the little of CommonMark that matters for cutting: headings of both forms, fences (in lists and quotations, too), tables,
    /// empty lines, and which line ends mean nothing.
    static func parse(_ text: String) -> [MarkdownBlock] {
        var reader = MarkdownReader()
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) { reader.read(line) }
        return reader.finished()
    }

    /// Of a text without any marks: paragraphs with empty lines (or a page's end) between.
    static func parsePlain(_ text: String) -> [MarkdownBlock] {
        var blocks: [MarkdownBlock] = []
        var lines: [Substring] = []
        func flush() {
            if !lines.isEmpty { blocks.append(MarkdownBlock(kind: .paragraph, text: SoftLines.joinedIfWrapped(lines))) }
            lines.removeAll(keepingCapacity: true)
        }
        for page in text.split(separator: "\u{C}") {
            for line in page.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
                if line.allSatisfy(\.isWhitespace) { flush() } else { lines.append(line) }
            }
            flush()
        }
        return blocks
    }
}

private struct MarkdownReader {
    private var blocks: [MarkdownBlock] = []
    private var lines: [Substring] = []
    private var fence: Substring?

    mutating func read(_ line: Substring) {
        if let open = fence {
            lines.append(line)
            if Self.isFenceEnd(line, of: open) {
                fence = nil
                flush(.code)
            }
        } else if let opening = Self.fenceStart(line) {
            flush()
            fence = opening
            lines.append(line)
        } else if let (level, title) = Self.heading(line) {
            flush()
            blocks.append(MarkdownBlock(kind: .heading(level: level, title: title), text: String(line)))
        } else if line.allSatisfy(\.isWhitespace) {
            flush()
        } else if let level = Self.underline(line), let title = underlined() {
            lines.removeAll()
            let text = String(repeating: "#", count: level) + " " + title
            blocks.append(MarkdownBlock(kind: .heading(level: level, title: title), text: text))
        } else if Self.isRule(line) {
            flush()
        } else {
            lines.append(line)
        }
    }

    mutating func finished() -> [MarkdownBlock] {
        if fence == nil { flush() } else { flush(.code) }
        return blocks
    }

    private mutating func flush(_ kind: MarkdownBlock.Kind = .paragraph) {
        defer { lines.removeAll(keepingCapacity: true) }
        guard lines.contains(where: { !$0.allSatisfy(\.isWhitespace) }) else { return }
        guard kind == .paragraph else {
            return blocks.append(MarkdownBlock(kind: kind, text: lines.joined(separator: "\n")))
        }
        guard let row = lines.indices.dropFirst().first(where: { Self.isTable(lines[$0 - 1], lines[$0]) }) else {
            return blocks.append(MarkdownBlock(kind: .paragraph, text: SoftLines.joined(lines[...])))
        }
        if row > 1 {
            blocks.append(MarkdownBlock(kind: .paragraph, text: SoftLines.joined(lines[..<(row - 1)])))
        }
        let rows = lines[(row - 1)...].map(Self.narrow)
        blocks.append(MarkdownBlock(kind: .table, text: rows.joined(separator: "\n")))
    }

    /// Columns that are filled up to one width cost tokens and say nothing.
    private static func narrow(_ row: Substring) -> String {
        var result = ""
        var run = 0
        var last: Character?
        for character in trimmed(row) {
            run = character == last ? run + 1 : 1
            last = character
            if character == " " && run > 1 || character == "-" && run > 3 { continue }
            result.append(character)
        }
        return result
    }

    /// `## Title ##` gives (2, "Title").
    private static func heading(_ line: Substring) -> (level: Int, title: String)? {
        let indent = line.prefix { $0 == " " }.count
        guard indent < 4 else { return nil }
        let line = line.dropFirst(indent)
        let marks = line.prefix { $0 == "#" }
        guard (1...6).contains(marks.count) else { return nil }
        var title = line.dropFirst(marks.count)
        guard title.isEmpty || title.first == " " || title.first == "\t" else { return nil }
        title = trimmed(title)
        let closing = title.reversed().prefix { $0 == "#" }.count
        if closing > 0, closing == title.count || title.dropLast(closing).last == " " {
            title = trimmed(title.dropLast(closing))
        }
        return isTitle(title) ? (marks.count, String(title)) : nil
    }

    /// A line this long is text that happens to begin with a mark.
    private static func isTitle(_ text: Substring) -> Bool { text.utf8.count <= 400 }

    /// The level of the heading whose line stands above.
    private static func underline(_ line: Substring) -> Int? {
        let mark = trimmed(line)
        guard line.prefix(while: { $0 == " " }).count < 4, let first = mark.first, mark.allSatisfy({ $0 == first })
        else {
            return nil
        }
        return first == "=" ? 1 : first == "-" && mark.count > 1 ? 2 : nil
    }

    /// What an underline makes a heading of; nil of a list, a quotation or a table.
    private func underlined() -> String? {
        guard (1...3).contains(lines.count), let first = lines.first else { return nil }
        guard SoftLines.marker(first) == nil, !trimmed(first).hasPrefix("|") else { return nil }
        let title = SoftLines.joined(lines[...])
        return Self.isTitle(title[...]) && !title.contains("\n") ? title : nil
    }

    /// `---`, `* * *`: nothing is in it to be found.
    private static func isRule(_ line: Substring) -> Bool {
        let marks = line.filter { !$0.isWhitespace }
        guard marks.count >= 3, let first = marks.first, "-*_".contains(first) else { return false }
        return marks.allSatisfy { $0 == first }
    }

    /// The second line of a table says where its columns are: `| --- | :-: |`.
    private static func isTable(_ header: Substring, _ line: Substring) -> Bool {
        let line = trimmed(line)
        return header.contains("|") && line.contains("-") && line.contains("|")
            && line.allSatisfy { "|-: \t".contains($0) }
    }

    /// A fence may stand in a quotation and begin an item of a list.
    private static func fenceStart(_ line: Substring) -> Substring? {
        var text = line.drop { $0 == " " || $0 == "\t" || $0 == ">" }
        if let marker = SoftLines.marker(text), marker != ">" {
            text = text.dropFirst(marker.count).drop { $0 == " " || $0 == "\t" }
        }
        for mark: Character in ["`", "~"] {
            let fence = text.prefix { $0 == mark }
            // "```inline```" is a word of a paragraph.
            if fence.count >= 3, mark == "~" || !text.dropFirst(fence.count).contains("`") { return fence }
        }
        return nil
    }

    private static func isFenceEnd(_ line: Substring, of fence: Substring) -> Bool {
        let text = trimmed(line.drop { $0 == " " || $0 == "\t" || $0 == ">" })
        return text.count >= fence.count && text.allSatisfy { $0 == fence.first }
    }
}

/// Lines that end where the paper was narrow, and not where anything ends.
enum SoftLines {
    /// The lines of a paragraph as one, those of a list as one for each item. Two spaces or a backslash at a line's end keep it
    /// (CommonMark, hard line breaks).
    static func joined(_ lines: ArraySlice<Substring>) -> String {
        var text = ""
        var isHard = true
        for line in lines {
            let begins = marker(line) != nil
            if isHard || begins || line.hasPrefix("    ") && marker(lines.first ?? "") == nil {
                text += text.isEmpty ? line : "\n" + line
            } else {
                append(line, to: &text)
            }
            isHard = line.hasSuffix("  ") || line.hasSuffix("\\") || line.hasSuffix("<br>") || line.hasSuffix("<br/>")
            if text.hasSuffix("\\") { text.removeLast() }
            while text.last == " " { text.removeLast() }
        }
        return text
    }

    /// Those of a plain text: a line that is about as long as the longest, which is about as long as paper is wide, goes on in the next.
    static func joinedIfWrapped(_ lines: [Substring]) -> String {
        let widths = lines.map(width)
        let widest = widths.max() ?? 0
        var text = ""
        for (place, line) in lines.enumerated() {
            let goesOn = place > 0 && (40...130).contains(widest) && widths[place - 1] * 4 >= widest * 3
            if goesOn, marker(line) == nil {
                append(line, to: &text)
            } else {
                text += text.isEmpty ? line : "\n" + line
            }
        }
        return text
    }

    /// What begins an item of a list, or a quotation; nil of other lines.
    static func marker(_ line: some StringProtocol) -> Substring? {
        let text = Substring(line).drop { $0 == " " || $0 == "\t" }
        guard let first = text.first else { return nil }
        if first == ">" || first == "•" { return text.prefix(1) }
        let mark: Substring
        if "-*+".contains(first) {
            mark = text.prefix(1)
        } else {
            let number = text.prefix { $0.isASCII && $0.isNumber }
            guard (1...9).contains(number.count), let end = text.dropFirst(number.count).first, ".)".contains(end)
            else {
                return nil
            }
            mark = text.prefix(number.count + 1)
        }
        let next = text.dropFirst(mark.count).first
        return next == nil || next == " " || next == "\t" ? mark : nil
    }

    /// Between Chinese characters no space is wanted.
    private static func append(_ line: Substring, to text: inout String) {
        while text.last?.isWhitespace == true { text.removeLast() }
        let next = line.drop(while: \.isWhitespace)
        // Whether or not an ASCII comma ends the line.
        let isAfterWide = isWide(text.last { !($0.isASCII && $0.isPunctuation) } ?? " ")
        if !text.isEmpty, let first = next.first, !(isAfterWide && isWide(first)) { text += " " }
        text += next
    }

    private static func isWide(_ character: Character) -> Bool {
        guard let scalar = character.unicodeScalars.first?.value else { return false }
        return (0x2E80...0x9FFF).contains(scalar) || (0xF900...0xFAFF).contains(scalar)
            || (0xFE30...0xFE4F).contains(scalar) || (0xFF00...0xFF60).contains(scalar)
            || (0x20000...0x3FFFF).contains(scalar)
    }

    private static func width(_ line: Substring) -> Int { line.reduce(0) { $0 + (isWide($1) ? 2 : 1) } }
}

/// Without white space at either end.
func trimmed(_ text: some StringProtocol) -> Substring {
    var text = Substring(text)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text.drop(while: \.isWhitespace)
}
