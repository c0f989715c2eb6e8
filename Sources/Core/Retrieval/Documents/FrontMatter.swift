/// The lines between two lines `---` at the very beginning of a Markdown text: its `title`, and attributes. What else they say is
/// passed over.
///
/// They are YAML, of which this reads what people write there: `key: value`, quoted or not, lists in brackets and lists of lines
/// that begin with a dash. An attribute that is written in another way is a mistake and never passed over: whose a document is must
/// not hang on what was understood of it.
struct FrontMatter {
    private(set) var title: String?
    private(set) var list = AttributeList()
    /// What stands behind it; all of a text that has none.
    private(set) var body: Substring

    private static let mostLines = 256

    /// - Throws: when it cannot be read, or an attribute in it cannot be taken.
    init(of text: String) throws(AttributeList.Mistake) {
        body = text[...]
        // Empty lines in front of it make it no other's document.
        let (lines, rest) = Self.split(text.drop { $0.isWhitespace || $0 == "\u{FEFF}" })
        guard let rest, lines.contains(where: { Self.key(of: $0) != nil }) else {
            // A rule, and text behind it.
            let saysTenant = lines.contains { line in
                let line = line.lowercased()
                return rest != nil ? line.contains("tenant") : line.drop { "\"'".contains($0) }.hasPrefix("tenant")
            }
            guard !saysTenant else {
                throw AttributeList.Mistake(
                    message:
                        "begins with --- and speaks of a tenant: a front matter has lines key: value, and --- behind them"
                )
            }
            if rest != nil, lines.allSatisfy({ $0.allSatisfy(\.isWhitespace) }) { body = rest ?? body }
            return
        }
        body = rest
        do throws(AttributeList.Mistake) { try read(lines) } catch {
            throw AttributeList.Mistake(message: "its front matter: \(error.message)")
        }
        if title?.isEmpty == true { title = nil }
    }

    /// - Returns: no lines when there is no first `---`; no rest when there is no second one.
    private static func split(_ text: Substring) -> (lines: [Substring], rest: Substring?) {
        // What other programs read as TOML is not read here, and may not be passed over where it speaks of a tenant.
        if text.hasPrefix("+++") {
            return (text.split(whereSeparator: \.isNewline).dropFirst().prefix { trimmed($0) != "+++" }, nil)
        }
        guard text.hasPrefix("---") else { return ([], nil) }
        var lines: [Substring] = []
        var start = text.startIndex
        while start < text.endIndex, lines.count <= mostLines {
            let end = text[start...].firstIndex(where: \.isNewline) ?? text.endIndex
            let next = end < text.endIndex ? text.index(after: end) : end
            let line = text[start..<end]
            let mark = trimmed(line)
            if start == text.startIndex {
                guard mark == "---" else { return ([], nil) }
            } else {
                if line.first?.isWhitespace != true, mark == "---" || mark == "..." { return (lines, text[next...]) }
                lines.append(line)
            }
            start = next
        }
        return (lines, nil)
    }

    private mutating func read(_ lines: [Substring]) throws(AttributeList.Mistake) {
        var at = 0
        while at < lines.count {
            let line = lines[at]
            at += 1
            let content = trimmed(line)
            if content.isEmpty || content.first == "#" { continue }
            guard line.first?.isWhitespace != true, let (key, value) = Self.key(of: line), key != "<<" else {
                throw AttributeList.Mistake(message: "the line \"\(content.prefix(60))\" is no key: value")
            }
            var further: [Substring] = []
            while at < lines.count, Self.continues(lines[at]) {
                further.append(lines[at])
                at += 1
            }
            if key.lowercased() == "title" { title = further.isEmpty ? Self.scalar(value) : nil }
            guard AttributeList.name(key) != nil else { continue }
            if further.isEmpty, ["null", "Null", "NULL", "~"].contains(Self.withoutComment(value)) { continue }
            guard let texts = Self.texts(value, further) else {
                throw AttributeList.Mistake(message: "\(key) is neither a text nor a list of texts, each in one line")
            }
            try list.set(key, texts)
        }
    }

    /// `key` and `value` of `key: value`, the key without its quotes.
    private static func key(of line: Substring) -> (key: String, value: Substring)? {
        guard let first = line.first, !first.isWhitespace else { return nil }
        let name: Substring
        let rest: Substring
        if first == "\"" || first == "'" {
            guard let end = line.dropFirst().firstIndex(of: first) else { return nil }
            name = line[line.index(after: line.startIndex)..<end]
            rest = line[line.index(after: end)...].drop { $0 == " " }
        } else {
            guard let colon = line.indices.first(where: { line[$0] == ":" && Self.isEnd(line, behind: $0) }) else {
                return nil
            }
            name = trimmed(line[..<colon])
            rest = line[colon...]
        }
        guard rest.first == ":", isEnd(line, behind: rest.startIndex), !name.isEmpty,
            !"-[{&*!|>%@`#,?".contains(name.first ?? "-")
        else { return nil }
        return (String(name), trimmed(rest.dropFirst()))
    }

    private static func isEnd(_ line: Substring, behind place: Substring.Index) -> Bool {
        let next = line.index(after: place)
        return next == line.endIndex || line[next].isWhitespace
    }

    /// Belongs to the key above: it is indented, or an item of a list.
    private static func continues(_ line: Substring) -> Bool {
        let content = trimmed(line)
        guard !content.isEmpty, content.first != "#" else { return false }
        return line.first?.isWhitespace == true || content == "-" || content.hasPrefix("- ")
    }

    /// Nil of what is neither one text nor a list of them.
    private static func texts(_ value: Substring, _ further: [Substring]) -> [String]? {
        let value = withoutComment(value)
        if !further.isEmpty {
            guard value.isEmpty else { return nil }
            let items = further.map { line in
                trimmed(line).first == "-" ? scalar(trimmed(trimmed(line).dropFirst())) : nil
            }
            return items.contains(nil) ? nil : items.compactMap(\.self)
        }
        guard value.first == "[" else { return scalar(value).map { [$0] } }
        guard value.last == "]", value.count > 1 else { return nil }
        let items = value.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false)
        let texts = items.count == 1 && trimmed(items[0]).isEmpty ? [] : items.map { scalar(trimmed($0)) }
        return texts.contains(nil) ? nil : texts.compactMap(\.self)
    }

    /// What stands behind ` #`; quoted texts are looked through by ``scalar(_:)``.
    private static func withoutComment(_ value: Substring) -> Substring {
        guard value.first != "\"", value.first != "'" else { return value }
        if value.first == "#" { return "" }
        let mark = value.indices.first { value[$0] == "#" && value[value.index(before: $0)].isWhitespace }
        return mark.map { trimmed(value[..<$0]) } ?? value
    }

    /// A text, quoted or not; nil of what means more than itself.
    private static func scalar(_ value: Substring) -> String? {
        guard let quote = value.first, quote == "\"" || quote == "'" else {
            let value = withoutComment(value)
            guard !"[]{}&*!|>%@`".contains(value.first ?? "a"), !value.contains(": ") else { return nil }
            return String(value)
        }
        var text = ""
        var rest = value.dropFirst()
        while let next = rest.popFirst() {
            if next == quote {
                guard quote == "'", rest.first == "'" else {
                    return trimmed(rest).isEmpty || trimmed(rest).first == "#" ? text : nil
                }
                rest.removeFirst()
            } else if next == "\\", quote == "\"" {
                guard let escaped = rest.popFirst(), "\"\\/".contains(escaped) else { return nil }
                text.append(escaped)
                continue
            }
            text.append(next)
        }
        return nil
    }
}
