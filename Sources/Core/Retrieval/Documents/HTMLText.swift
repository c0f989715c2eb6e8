/// The text of an HTML page, as Markdown: headings, paragraphs, lists, tables and code stay what they are, navigation and scripts go.
/// Reads what browsers read, broken pages too, and nothing that a page loads.
struct HTMLText {
    private(set) var title: String?
    private(set) var language: String?
    private var output = ""
    /// The text since the last block.
    private var line = ""
    private var prefix = ""
    private var isPreformatted = false
    private var row: [String]?
    private var rows = 0
    private var lists: [Int?] = []

    var text: String { output }

    init(_ html: String) {
        let bytes = Array(html.utf8)
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "<"), let tag = Tag(bytes, at: at) else {
                let end = bytes[(at + 1)...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
                add(Self.decoded(bytes[at..<end]))
                at = end
                continue
            }
            at = tag.end
            if !tag.isEnd, Self.raw.contains(tag.name) {
                let end = Self.end(of: tag.name, bytes, from: at)
                if tag.name == "title", title == nil { title = Self.folded(Self.decoded(bytes[at..<end])) }
                at = end
            } else {
                read(tag)
            }
        }
        endBlock()
        output = String(trimmed(output))
        if title?.isEmpty == true { title = nil }
    }

    /// What is passed over whole, up to its end.
    private static let raw: Set<String> = [
        "script", "style", "title", "template", "noscript", "svg", "nav", "footer", "iframe", "object", "select",
        "textarea",
    ]
    private static let blocks: Set<String> = [
        "p", "div", "section", "article", "main", "header", "aside", "ul", "ol", "dl", "dt", "dd", "table",
        "blockquote", "pre",
        "figure", "figcaption", "address", "details", "summary", "form", "fieldset", "body", "html", "hr", "center",
    ]

    private mutating func read(_ tag: Tag) {
        switch tag.name {
        case "html": if !tag.isEnd { language = tag.language ?? language }
        case "h1", "h2", "h3", "h4", "h5", "h6":
            endBlock()
            if !tag.isEnd { prefix = String(repeating: "#", count: Int(tag.name.suffix(1)) ?? 1) + " " }
        case "br": if isPreformatted { line += "\n" } else { line += row == nil ? "\\\n" : " " }
        case "li":
            endBlock()
            guard !tag.isEnd else { return }
            let depth = max(0, lists.count - 1)
            var mark = "- "
            if let number = lists.last ?? nil {
                mark = "\(number). "
                lists[lists.count - 1] = number + 1
            }
            prefix = String(repeating: "  ", count: depth) + mark
        case "ul", "ol":
            endBlock()
            if tag.isEnd { _ = lists.popLast() } else { lists.append(tag.name == "ol" ? 1 : nil) }
        case "tr":
            endBlock()
            endRow()
            if !tag.isEnd { row = [] }
        case "td", "th":
            if row == nil, !tag.isEnd {
                endBlock()
                row = []
            }
            endCell(closing: tag.isEnd)
        case "table":
            endBlock()
            endRow()
            rows = 0
        case "pre":
            endBlock()
            isPreformatted = !tag.isEnd
        default: if Self.blocks.contains(tag.name) { endBlock() }
        }
    }

    private mutating func add(_ text: String) {
        guard !isPreformatted else {
            line += text
            return
        }
        let folded = Self.folded(text)
        guard !folded.isEmpty else {
            if !text.isEmpty, !line.isEmpty, line.last?.isWhitespace == false { line += " " }
            return
        }
        if text.first?.isWhitespace == true, !line.isEmpty, line.last?.isWhitespace == false { line += " " }
        line += folded
        if text.last?.isWhitespace == true { line += " " }
    }

    private mutating func endBlock() {
        guard row == nil else {
            if !line.isEmpty { line += " " }
            return
        }
        var block = isPreformatted ? line : String(trimmed(line))
        line = ""
        while block.hasSuffix("\\") { block.removeLast() }
        if isPreformatted, block.contains(where: { !$0.isWhitespace }) {
            block = "```\n\(block.drop(while: \.isNewline))\n```"
        } else if block.first == "#" || SoftLines.marker(block) != nil {
            // Text that looks like a mark.
            block = "\\" + block
        }
        guard block.contains(where: { !$0.isWhitespace }) else { return }
        let isItem = prefix.contains("- ") || prefix.contains(". ")
        output += output.isEmpty ? "" : isItem && output.last != "\n" && lastIsItem ? "\n" : "\n\n"
        output += prefix + block
        lastIsItem = isItem
        prefix = ""
    }

    private var lastIsItem = false

    private mutating func endCell(closing: Bool) {
        guard row != nil else { return }
        let cell = trimmed(line).replacing("|", with: "/")
        if closing || !cell.isEmpty { row?.append(String(cell)) }
        line = ""
    }

    private mutating func endRow() {
        guard row != nil else { return }
        endCell(closing: false)
        let cells = row ?? []
        row = nil
        guard cells.contains(where: { !$0.isEmpty }) else { return }
        output += (output.isEmpty ? "" : rows == 0 ? "\n\n" : "\n") + "| " + cells.joined(separator: " | ") + " |"
        if rows == 0 { output += "\n|" + cells.map { _ in " --- |" }.joined() }
        rows += 1
        lastIsItem = false
    }

    // MARK: - Characters

    private static func end(of name: String, _ bytes: [UInt8], from start: Int) -> Int {
        var at = start
        while let next = bytes[at...].firstIndex(of: UInt8(ascii: "<")) {
            if let tag = Tag(bytes, at: next), tag.isEnd, tag.name == name { return next }
            at = next + 1
        }
        return bytes.count
    }

    private static func folded(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static let entities: [String: String] = [
        "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": " ", "ndash": "–", "mdash": "—",
        "hellip": "…",
        "euro": "€", "pound": "£", "yen": "¥", "cent": "¢", "copy": "©", "reg": "®", "trade": "™", "deg": "°",
        "times": "×",
        "auml": "ä", "ouml": "ö", "uuml": "ü", "Auml": "Ä", "Ouml": "Ö", "Uuml": "Ü", "szlig": "ß", "eacute": "é",
        "egrave": "è", "agrave": "à", "ccedil": "ç", "ntilde": "ñ", "aacute": "á", "iacute": "í", "oacute": "ó",
        "uacute": "ú",
        "laquo": "«", "raquo": "»", "lsquo": "‘", "rsquo": "’", "ldquo": "“", "rdquo": "”", "bdquo": "„", "middot": "·",
        "bull": "•", "rarr": "→", "larr": "←", "shy": "", "zwnj": "", "zwj": "",
    ]

    /// With `&amp;` and its like for what they mean; one that is not known stays.
    private static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.contains("&") else { return text }
        var result = ""
        var rest = text[...]
        while let mark = rest.firstIndex(of: "&") {
            result += rest[..<mark]
            rest = rest[mark...]
            let name = rest.dropFirst().prefix(32).prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "#") }
            let isClosed = rest[name.endIndex...].first == ";"
            if isClosed, let meant = meaning(of: name) {
                result += meant
                rest = rest[rest.index(after: name.endIndex)...]
            } else {
                result += "&"
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }

    private static func meaning(of name: Substring) -> String? {
        guard name.first == "#" else { return entities[String(name)] }
        let digits = name.dropFirst()
        let code = digits.first == "x" || digits.first == "X" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        return code.flatMap(Unicode.Scalar.init).map { $0.value < 0x20 ? " " : String($0) }
    }
}

/// `<name …>`, `</name>`, or a comment, which has no name.
private struct Tag {
    var name = ""
    var isEnd = false
    /// Of its attribute `lang`.
    var language: String?
    /// Behind it.
    var end: Int

    /// Nil where no tag begins: "a < b".
    init?(_ bytes: [UInt8], at start: Int) {
        let next = start + 1
        guard next < bytes.count else { return nil }
        if bytes[next] == UInt8(ascii: "!") || bytes[next] == UInt8(ascii: "?") {
            let isComment = bytes[next...].starts(with: Array("!--".utf8))
            end =
                isComment
                ? Self.endOfComment(bytes, next + 3)
                : (bytes[next...].firstIndex(of: UInt8(ascii: ">")) ?? bytes.count - 1) + 1
            return
        }
        var at = next
        if bytes[at] == UInt8(ascii: "/") {
            isEnd = true
            at += 1
        }
        let nameStart = at
        while at < bytes.count, Self.isOfName(bytes[at]) { at += 1 }
        guard at > nameStart else { return nil }
        name = String(decoding: bytes[nameStart..<at], as: UTF8.self).lowercased()
        // A > within quotation marks belongs to a value.
        var quote: UInt8?
        let attributesStart = at
        while at < bytes.count {
            let byte = bytes[at]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: ">") {
                break
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            }
            at += 1
        }
        if name == "html" { language = Self.language(in: bytes[attributesStart..<at]) }
        end = min(at + 1, bytes.count)
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
    }

    private static func endOfComment(_ bytes: [UInt8], _ start: Int) -> Int {
        var at = start
        while at + 2 < bytes.count {
            if bytes[at] == 0x2D, bytes[at + 1] == 0x2D, bytes[at + 2] == UInt8(ascii: ">") { return at + 3 }
            at += 1
        }
        return bytes.count
    }

    private static func language(in attributes: ArraySlice<UInt8>) -> String? {
        let text = String(decoding: attributes, as: UTF8.self)
        guard let range = text.lowercased().firstRange(of: "lang=") else { return nil }
        let offset = text.lowercased().distance(from: text.startIndex, to: range.upperBound)
        let value = text.dropFirst(offset).drop { $0 == "\"" || $0 == "'" }
        let name = value.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
        return name.isEmpty ? nil : String(name)
    }
}
