import ParleyJSON

/// How a passage stands in a table.
enum PostgresPassage {
    static let columns = [
        "id", "document", "ordinal", "title", "heading", "text", "language", "tenant", "agent", "date", "tags",
    ]

    /// Of a table that is called `p`; the texts of an array are read as one.
    static let selected = columns.map { $0 == "tags" ? "array_to_string(p.tags, chr(31)) AS tags" : "p.\($0)" }
        .joined(separator: ", ")

    static func read(_ row: ArraySlice<String?>) -> Passage? {
        let row = Array(row)
        guard row.count == columns.count, let id = row[0], let document = row[1],
            let ordinal = row[2].flatMap({ Int($0) })
        else { return nil }
        var attributes = Attributes(tenant: row[7], agent: row[8])
        attributes.date = row[9].flatMap { UInt32($0) }.flatMap { CalendarDate(number: $0) }
        attributes.tags = (row[10] ?? "").split(separator: "\u{1F}").map(String.init)
        return Passage(
            id: id, documentID: document, ordinal: ordinal, title: row[3] ?? "", heading: row[4], text: row[5] ?? "",
            language: row[6], attributes: attributes)
    }
}

/// PostgreSQL's text form of arrays, which any value can stand in.
enum PostgresArray {
    static func text(_ values: [String?]) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for value in values {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            guard let value else {
                bytes += "NULL".utf8
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// pgvector reads what JSON calls an array of numbers.
    static func vector(_ vector: Embedding) -> String {
        var writer = JSONWriter()
        vector.write(to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    static func tags(_ tags: [String]) -> String { tags.joined(separator: "\u{1F}") }
}
