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

    /// What a text begins with that is a front matter, or is one to other programs or to whoever wrote it.
    private struct Opening {
        /// The first line.
        var mark: String
        /// What stands between it and the end, or all that follows when there is no end.
        var lines: [Substring]
        /// What stands behind the end; nil: it is none that is read here.
        var rest: Substring?
    }

    /// - Throws: when it cannot be read, or an attribute in it cannot be taken.
    init(of text: String) throws(AttributeList.Mistake) {
        body = text[...]
        guard let opening = Self.opening(of: text) else { return }
        if let rest = opening.rest, opening.lines.contains(where: { Self.key(of: $0) != nil }) {
            body = rest
            do throws(AttributeList.Mistake) { try read(opening.lines) } catch {
                throw AttributeList.Mistake(message: "its front matter: \(error.message)")
            }
            if title?.isEmpty == true { title = nil }
        } else {
            // A rule, and text behind it.
            try Self.verify(opening)
            if let rest = opening.rest, opening.lines.allSatisfy({ $0.allSatisfy(\.isWhitespace) }) { body = rest }
        }
        // A second one behind the first is not read.
        if opening.rest != nil, let second = Self.opening(of: body) { try Self.verify(second) }
    }

    /// Whether `text` begins with a front matter, however it is written, that speaks of a tenant.
    static func mentionsTenant(_ text: String) -> Bool {
        opening(of: text)?.lines.contains { TenantWord.isKey(in: $0) } ?? false
    }

    /// - Throws: when what is not read as front matter speaks of a tenant.
    private static func verify(_ opening: Opening) throws(AttributeList.Mistake) {
        let isClosed = opening.rest != nil
        let saysTenant =
            opening.lines.contains { TenantWord.isKey(in: $0) }
            || opening.lines.prefix(mostLines).contains { line in
                let line = line.lowercased()
                return isClosed ? line.contains("tenant") : line.drop { "\"'".contains($0) }.hasPrefix("tenant")
            }
        guard saysTenant else { return }
        let mark = opening.mark.prefix(40)
        let form =
            mark == "---" ? "lines key: value, and --- behind them" : "a line ---, lines key: value, and a line ---"
        throw AttributeList.Mistake(
            message: "begins with \(mark) and speaks of a tenant: a front matter is \(form) (tenant: NAME one of them)")
    }

    /// Empty lines in front of it, and what nobody sees, make it no other's document.
    private static func opening(of text: some StringProtocol) -> Opening? {
        let scalars = text.unicodeScalars
        let text = Substring(text)[
            scalars.drop {
                $0.properties.isWhitespace || TenantWord.isInvisible($0)
                    || "\u{EF}\u{BB}\u{BF}".unicodeScalars.contains($0)
            }.startIndex...]
        let first = text.prefix { !$0.isNewline }
        let mark = String(trimmed(TenantWord.visible(first)))
        let behind = mark.dropFirst(3)
        let isYAML = mark.hasPrefix("---") && (behind.isEmpty || behind.first == " " && trimmed(behind).first == "#")
        // TOML, JSON, rules of any length, what a text processor makes of ---: not read here, and not passed over where they
        // speak of a tenant.
        let isOther =
            mark.hasPrefix("---") || mark.hasPrefix("+++") || mark.hasPrefix(";;;") || mark == "{"
            || mark.hasPrefix("{\"")
            || !mark.isEmpty && mark.unicodeScalars.allSatisfy { $0.properties.generalCategory == .dashPunctuation }
        guard isYAML || isOther else { return nil }
        var lines: [Substring] = isYAML ? [] : [first]
        var start = first.endIndex
        while start < text.endIndex {
            start = text.index(after: start)
            let line = text[start...].prefix { !$0.isNewline }
            start = line.endIndex
            let end = line.first?.isWhitespace == true ? "" : trimmed(TenantWord.visible(line))
            if isYAML, end == "---" || end == "..." {
                guard lines.count <= mostLines else { break }
                return Opening(
                    mark: "---", lines: lines,
                    rest: line.endIndex < text.endIndex ? text[text.index(after: line.endIndex)...] : "")
            }
            if !isYAML, end == mark || end == "---" || (end == "}" && mark.hasPrefix("{")) { break }
            lines.append(line)
        }
        return Opening(mark: isYAML ? "---" : mark, lines: lines, rest: nil)
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
            guard let name = AttributeList.name(key) else {
                if Self.texts(value, further) == nil, ([value] + further).contains(where: TenantWord.isKey) {
                    throw AttributeList.Mistake(
                        message:
                            "\(key) has a tenant within it, which is not read there: write tenant: NAME in a line of its own, "
                            + "not indented, or put the text of \(key) in quotation marks")
                }
                continue
            }
            if further.isEmpty, ["null", "Null", "NULL", "~"].contains(Self.withoutComment(value)) {
                guard name == "tenant" else { continue }
                throw AttributeList.Mistake(message: "\(key) is \(value), which is none; name one, or leave it out")
            }
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
        let items = items(of: value.dropFirst().dropLast())
        let texts = items.count == 1 && trimmed(items[0]).isEmpty ? [] : items.map { scalar(trimmed($0)) }
        return texts.contains(nil) ? nil : texts.compactMap(\.self)
    }

    /// What commas are between, those in quotation marks apart.
    private static func items(of list: Substring) -> [Substring] {
        var items: [Substring] = []
        var start = list.startIndex
        var quote: Character?
        var isEscaped = false
        for place in list.indices {
            let next = list[place]
            if let open = quote {
                // A single one that stands twice closes and opens again, which comes to the same.
                if isEscaped || next == "\\" && open == "\"" { isEscaped.toggle() } else if next == open { quote = nil }
            } else if next == "," {
                items.append(list[start..<place])
                start = list.index(after: place)
            } else if next == "'" && list[start..<place].last == "'"
                || (next == "\"" || next == "'") && list[start..<place].allSatisfy(\.isWhitespace)
            {
                quote = next
            }
        }
        return items + [list[start...]]
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
            guard !"[]{}&*!|>%@`".contains(value.first ?? "a"), !value.hasPrefix("? "),
                !value.indices.contains(where: { value[$0] == ":" && isEnd(value, behind: $0) })
            else { return nil }
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
