/// Cuts a passage (plain text or Markdown) into the sentences that may be quoted; headings, rules, fences and table
/// frames are left out.
struct SentenceSplitter {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let title: [UInt8]
    private(set) var sentences: [Range<Int>] = []

    init(_ bytes: UnsafeBufferPointer<UInt8>, title: String) {
        self.bytes = bytes
        self.title = Array(title.utf8)
        split()
    }

    private mutating func split() {
        var paragraph: Range<Int>?
        var inFence = false
        for line in lines() {
            let text = trimmed(line)
            if starts(text, "```") || starts(text, "~~~") {
                inFence.toggle()
                flush(&paragraph)
            } else if inFence || text.isEmpty || isDecoration(text) {
                flush(&paragraph)
            } else if isHeading(text) {
                flush(&paragraph)
            } else if isTableRow(text) {
                flush(&paragraph)
                if !isTableHead(text) { add(text) }
            } else if let bullet = bullet(text) {
                flush(&paragraph)
                paragraph = bullet..<text.upperBound
            } else if let open = paragraph {
                paragraph = open.lowerBound..<text.upperBound
            } else {
                paragraph = text
            }
        }
        flush(&paragraph)
    }

    /// Cuts a paragraph, its lines included, after the marks that end sentences.
    private mutating func flush(_ paragraph: inout Range<Int>?) {
        guard let range = paragraph else { return }
        paragraph = nil
        var start = range.lowerBound
        var at = start
        while at < range.upperBound {
            guard let length = terminator(at, in: range) else {
                at += 1
                continue
            }
            at += length
            add(start..<at)
            start = at
        }
        add(start..<range.upperBound)
    }

    private mutating func add(_ range: Range<Int>) {
        let sentence = trimmed(range)
        // A few bytes are an enumeration's leftover, not a statement.
        if sentence.count >= 6 { sentences.append(sentence) }
    }

    /// How many bytes from `at` end a sentence there, closing quotes and brackets included; nil when none ends.
    private func terminator(_ at: Int, in range: Range<Int>) -> Int? {
        var end = at
        switch bytes[at] {
        case UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "?"):
            end += 1
            while end < range.upperBound, isClosing(bytes[end]) { end += 1 }
            guard end == range.upperBound || isSpace(bytes[end]) else { return nil }
            return bytes[at] == UInt8(ascii: ".") && isAbbreviation(at, from: range.lowerBound) ? nil : end - at
        case 0xE3 where matches(at, [0xE3, 0x80, 0x82]): end += 3  // 。
        case 0xEF where matches(at, [0xEF, 0xBC, 0x81]) || matches(at, [0xEF, 0xBC, 0x9F]): end += 3  // ！ ？
        default: return nil
        }
        // ” ’ 」 』 ） and the like belong to the sentence they close.
        while end + 3 <= range.upperBound,
            matches(end, [0xE2, 0x80, 0x9D]) || matches(end, [0xE2, 0x80, 0x99]) || matches(end, [0xE3, 0x80, 0x8D])
                || matches(end, [0xE3, 0x80, 0x8F]) || matches(end, [0xEF, 0xBC, 0x89])
        {
            end += 3
        }
        return end - at
    }

    /// Whether the full stop at `dot` ends "e.g", an initial, or a word such as "No".
    private func isAbbreviation(_ dot: Int, from start: Int) -> Bool {
        var word = dot
        while word > start, !isSpace(bytes[word - 1]), bytes[word - 1] != UInt8(ascii: "(") { word -= 1 }
        let length = dot - word
        if length == 1 { return isLetter(bytes[word]) }
        if bytes[word..<dot].contains(UInt8(ascii: ".")) { return length <= 4 && isLetter(bytes[word]) }
        guard length <= 3 else { return false }
        return ["no", "nr", "mr", "mrs", "ms", "dr", "st", "vs", "etc", "inc", "ltd", "min", "max"].contains { name in
            name.utf8.count == length && zip(name.utf8, bytes[word..<dot]).allSatisfy { $0 == $1 | 0x20 }
        } && dot + 1 < bytes.count
    }

    // MARK: - Lines

    private func lines() -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var start = 0
        for at in 0..<bytes.count where bytes[at] == UInt8(ascii: "\n") {
            lines.append(start..<at)
            start = at + 1
        }
        if start < bytes.count { lines.append(start..<bytes.count) }
        return lines
    }

    private func isHeading(_ line: Range<Int>) -> Bool {
        if bytes[line.lowerBound] == UInt8(ascii: "#") {
            let level = bytes[line].prefix { $0 == UInt8(ascii: "#") }.count
            return level <= 6 && (level == line.count || isSpace(bytes[line.lowerBound + level]))
        }
        if !title.isEmpty, bytes[line].elementsEqual(title) { return true }
        // "Title" and "=====" below it, or a short line of its own without a mark at its end.
        let next = lineStart(after: line.upperBound)
        guard next < bytes.count else { return false }
        let below = trimmed(next..<lineEnd(next))
        if below.isEmpty { return line.count <= 60 && !hasEndMark(line) && bullet(line) == nil && isAlone(line) }
        return below.count >= 3 && bytes[below].allSatisfy { $0 == UInt8(ascii: "=") }
    }

    /// Whether no text stands directly above.
    private func isAlone(_ line: Range<Int>) -> Bool {
        var at = line.lowerBound
        while at > 0, bytes[at - 1] != UInt8(ascii: "\n") { at -= 1 }
        return at == 0 || at >= 2 && (bytes[at - 2] == UInt8(ascii: "\n") || bytes[at - 2] == UInt8(ascii: "\r"))
    }

    private func hasEndMark(_ line: Range<Int>) -> Bool {
        switch bytes[line.upperBound - 1] {
        case UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "?"), UInt8(ascii: ":"), UInt8(ascii: ";"),
            UInt8(ascii: ")"), UInt8(ascii: "\""):
            return true
        default: break
        }
        guard line.count >= 3 else { return false }
        let last = line.upperBound - 3
        return bytes[last] == 0xEF && bytes[last + 1] == 0xBC || bytes[last] == 0xE3 && bytes[last + 1] == 0x80
    }

    /// Only marks: a rule, an underline, a table's frame.
    private func isDecoration(_ line: Range<Int>) -> Bool {
        bytes[line].allSatisfy { "-=*_|:+ \t".utf8.contains($0) }
    }

    private func isTableRow(_ line: Range<Int>) -> Bool {
        line.count > 2 && bytes[line.lowerBound] == UInt8(ascii: "|") && bytes[line.upperBound - 1] == UInt8(ascii: "|")
    }

    /// Whether the table's frame follows.
    private func isTableHead(_ row: Range<Int>) -> Bool {
        let next = lineStart(after: row.upperBound)
        guard next < bytes.count else { return false }
        let below = trimmed(next..<lineEnd(next))
        return isTableRow(below) && isDecoration(below)
    }

    /// Where the text behind a list item's mark begins; nil when the line is none.
    private func bullet(_ line: Range<Int>) -> Int? {
        var at = line.lowerBound
        switch bytes[at] {
        case UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ">"): at += 1
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            while at < line.upperBound, (0x30...0x39).contains(bytes[at]) { at += 1 }
            guard at < line.upperBound, bytes[at] == UInt8(ascii: ".") || bytes[at] == UInt8(ascii: ")") else {
                return nil
            }
            at += 1
        default: return matches(at, [0xE2, 0x80, 0xA2]) ? trimmed((at + 3)..<line.upperBound).lowerBound : nil  // •
        }
        guard at < line.upperBound, isSpace(bytes[at]) else { return nil }
        return trimmed(at..<line.upperBound).lowerBound
    }

    private func lineStart(after end: Int) -> Int {
        var at = end
        while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
        return at + 1
    }

    private func lineEnd(_ start: Int) -> Int {
        var at = start
        while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
        return at
    }

    // MARK: - Bytes

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, isSpace(bytes[lower]) { lower += 1 }
        while upper > lower, isSpace(bytes[upper - 1]) { upper -= 1 }
        return lower..<upper
    }

    private func starts(_ range: Range<Int>, _ text: StaticString) -> Bool {
        range.count >= text.utf8CodeUnitCount
            && (0..<text.utf8CodeUnitCount).allSatisfy { bytes[range.lowerBound + $0] == text.utf8Start[$0] }
    }

    @inline(__always)
    private func matches(_ at: Int, _ mark: InlineArray<3, UInt8>) -> Bool {
        at + 3 <= bytes.count && bytes[at] == mark[0] && bytes[at + 1] == mark[1] && bytes[at + 2] == mark[2]
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    private func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private func isClosing(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") || byte == UInt8(ascii: ")")
            || byte == UInt8(ascii: "]")
            || byte == UInt8(ascii: "*") || byte == UInt8(ascii: "_")
    }
}
