import Glibc
import Testing

@testable import Retrieval

/// Documents of every format and script, and the passages that they are cut into: `Golden/NAME` and `Golden/NAME.golden`.
///
/// With `PARLEY_GOLDEN=FOLDER` the passages are written there, to be looked through and kept.
@Suite struct GoldenTests {
    static let names = [
        "english.md", "german.md", "chinese.md", "gb18030.md", "japanese.md", "arabic.txt", "hindi.txt", "thai.txt",
        "russian.txt", "utf16.txt", "page.html", "faq.csv", "lines.jsonl", "paper.pdf",
    ]

    private static func isReadable(_ name: String) -> Bool {
        !name.hasSuffix(".pdf") || isThere("pdftotext")
    }

    private static func isThere(_ program: String) -> Bool {
        FileStamp(path: "/usr/bin/\(program)") != nil || environment("CI") == "true"
    }

    private static let folder = "\(#filePath.split(separator: "/").dropLast().map { "/\($0)" }.joined())/Golden"

    /// What pandoc writes differs a little from version to version.
    @Test(.enabled(if: isThere("pandoc"))) func wordDocumentsHaveHeadingsListsAndTables() throws {
        let found = try DocumentReader().find(["\(Self.folder)/word.docx"], knownRoots: [])
        #expect(found.skipped.isEmpty)
        let document = try #require(found.documents.first)
        #expect(document.title == "Returning goods")
        let passages = Chunker(maxTokens: 60).passages(of: document)
        let table = try #require(passages.first { $0.text.contains("| Shoes | 30 | not worn outside, in their box |") })
        #expect(table.heading == "Returning goods › What may be returned")
        #expect(passages.contains { $0.text.contains("Print the label. It is valid for a week.") })
        #expect(passages.allSatisfy { !$0.text.contains("&nbsp;") })
    }

    @Test(arguments: names.filter(isReadable))
    func passagesAreAsTheyWere(_ name: String) throws {
        let found = try DocumentReader().find(["\(Self.folder)/\(name)"], knownRoots: [])
        var text = ""
        for document in found.documents {
            for passage in Chunker(maxTokens: name.hasSuffix(".txt") ? 24 : 36, overlapTokens: 12).passages(
                of: document)
            {
                let attributes = passage.attributes
                let said = [
                    passage.language.map { "language=\($0)" }, attributes.tenant.map { "tenant=\($0)" },
                    attributes.agent.map { "agent=\($0)" }, attributes.date.map { "date=\($0)" },
                    attributes.tags.isEmpty ? nil : "tags=\(attributes.tags.joined(separator: ","))",
                ].compactMap(\.self).joined(separator: " ")
                text += "== \(passage.id) [\(passage.heading)]\(said.isEmpty ? "" : " " + said)\n\(passage.text)\n"
            }
        }
        for skipped in found.skipped {
            text += "-- \(skipped.path.split(separator: "/").last ?? ""): \(skipped.reason)\n"
        }
        if let recorded = environment("PARLEY_GOLDEN") {
            try Files.write(Array(text.utf8), to: "\(recorded)/\(name).golden")
        }
        let expected = String(decoding: try Files.read("\(Self.folder)/\(name).golden", limit: 1 << 20), as: UTF8.self)
        #expect(text == expected, "\(name)")
    }
}
