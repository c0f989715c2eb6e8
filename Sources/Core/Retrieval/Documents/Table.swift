/// Comma-separated values (RFC 4180), also with semicolons or tabs: whichever the first line has most of outside quotation marks.
struct SeparatedValues {
    struct Row: Equatable {
        /// The line that it begins in, from 1.
        var line: Int
        var cells: [String]
    }

    private(set) var rows: [Row] = []
    /// The line in which a quotation begins that does not end.
    private(set) var openQuote: Int?

    init(_ text: String) {
        let separator = Self.separator(of: text)
        var row: [String] = []
        var cell = ""
        var isQuoted = false
        var line = 1
        var begin = 1
        func end(_ rows: inout [Row]) {
            row.append(cell)
            cell = ""
            if row.contains(where: { $0.contains { !$0.isWhitespace } }) { rows.append(Row(line: begin, cells: row)) }
            row = []
        }
        var rest = text[...]
        var quoteLine = 0
        while let next = rest.popFirst() {
            if next.isNewline { line += 1 }
            if isQuoted {
                guard next == "\"" else {
                    cell.append(next)
                    continue
                }
                if rest.first == "\"" {
                    cell.append("\"")
                    rest.removeFirst()
                } else {
                    isQuoted = false
                }
            } else if next == "\"", cell.allSatisfy(\.isWhitespace) {
                isQuoted = true
                quoteLine = line
                cell = ""
            } else if next == separator {
                row.append(cell)
                cell = ""
            } else if next.isNewline {
                end(&rows)
                begin = line
            } else {
                cell.append(next)
            }
        }
        end(&rows)
        if isQuoted { openQuote = quoteLine }
    }

    private static func separator(of text: String) -> Character {
        var counts: [Character: Int] = [",": 0, ";": 0, "\t": 0]
        var isQuoted = false
        for character in text {
            if character == "\"" { isQuoted.toggle() }
            if character.isNewline, !isQuoted { break }
            if !isQuoted { counts[character]? += 1 }
        }
        return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? ","
    }
}

extension DocumentParser {
    /// A row is a document. The first one names the columns: `id`, `title`, `text` or `content`, those of attributes; all others
    /// are lines `name: value` of its text.
    func rows(_ text: String) -> [Parsed] {
        let table = SeparatedValues(text)
        if let line = table.openQuote {
            return [.unreadable(place: "\(path):\(line)", reason: "has a quotation mark \" that is never closed")]
        }
        guard let header = table.rows.first else { return [] }
        let names = header.cells.map { String(trimmed($0)) }
        return table.rows.dropFirst().map { row(of: $0, names) }
    }

    private func row(of row: SeparatedValues.Row, _ names: [String]) -> Parsed {
        let place = "\(path):\(row.line)"
        // Of too few the file was perhaps cut short, and the cell that is missing says whose the row is.
        guard row.cells.count == names.count else {
            return .unreadable(
                place: place, reason: "has \(row.cells.count) cells, and the first row names \(names.count) columns")
        }
        var list = AttributeList()
        var own: [String: String] = [:]
        var lines: [String] = []
        for (name, cell) in zip(names, row.cells) {
            let cell = String(trimmed(cell))
            if cell.isEmpty {
                // Everybody's, or one whose owner was forgotten?
                guard AttributeList.name(name) != "tenant" else {
                    return .unreadable(
                        place: place,
                        reason:
                            "has an empty cell for the tenant: name one, or keep what is everybody's in a file without that column"
                    )
                }
                continue
            }
            if AttributeList.name(name) != nil {
                do throws(AttributeList.Mistake) { try list.set(name, [cell]) } catch {
                    return .unreadable(place: place, reason: error.message)
                }
            } else if ["id", "title", "text", "content"].contains(name.lowercased()) {
                own[name.lowercased()] = cell
            } else {
                lines.append(name.isEmpty ? cell : "\(name): \(cell)")
            }
        }
        if let text = own["text"] ?? own["content"] { lines.insert(text, at: 0) }
        let first = row.cells.first.map { String(trimmed($0).prefix(120)) } ?? ""
        return document(
            id: own["id"] ?? "\(id):\(row.line)", title: own["title"] ?? (first.isEmpty ? stem : first),
            text: lines.joined(separator: "\n"), list, syntax: .plain, place: place)
    }
}
