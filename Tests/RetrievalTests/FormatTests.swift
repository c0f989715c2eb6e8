import Glibc
import Testing

@testable import Retrieval

@Suite struct MarkdownBlockTests {
    private func kinds(_ text: String) -> [String] {
        MarkdownBlock.parse(text).map { block in
            switch block.kind {
            case .heading(let level, let title): "h\(level) \(title)"
            case .paragraph: "p \(block.text)"
            case .table: "t \(block.text)"
            case .code: "c \(block.text)"
            }
        }
    }

    @Test func headingsHaveTwoForms() {
        #expect(
            kinds("One\n===\nText\n\nTwo\nlines\n---\n  ### Three ##\nText") == [
                "h1 One", "p Text", "h2 Two lines", "h3 Three", "p Text",
            ])
        #expect(kinds("- item\n---\n\n***\n\n> quoted\n===") == ["p - item", "p > quoted ==="])
        #expect(kinds("#no heading\n\n    # code") == ["p #no heading", "p     # code"])
        #expect(Document.markdownTitle(of: "Text\n\nTitle\n=====\n") == "Title")
    }

    @Test(arguments: [
        "```\n# a\n```", "~~~ sh\n# a\n```\n~~~", "````\n```\n# a\n````", "   ```\n# a\n   ```",
        "- ```sh\n  # a\n  ```",
        "1. ~~~\n   # a\n   ~~~", "> ```\n> # a\n> ```", "```never closed\n# a\n\n# b",
    ])
    func fencesHaveManyForms(_ text: String) { #expect(kinds(text) == ["c \(text)"]) }

    @Test func whatLooksLikeAFenceIsNone() {
        #expect(kinds("```word``` and\n\n# Heading") == ["p ```word``` and", "h1 Heading"])
    }

    @Test func linesThatEndForNoReasonAreJoined() {
        #expect(kinds("One\ntwo\\\nthree  \nfour\n five") == ["p One two\nthree\nfour five"])
        #expect(kinds("- one\n  more\n- two\n1) three") == ["p - one more\n- two\n1) three"])
        #expect(kinds("中文一\n中文二\nEnglish") == ["p 中文一中文二 English"])
        #expect(kinds("Text\n| a | b |\n|---|---|\n| 1 | 2 |") == ["p Text", "t | a | b |\n|---|---|\n| 1 | 2 |"])
    }

    @Test func plainTextHasNoMarks() {
        let wrapped =
            "A line that is about as long as paper is wide,\nand another one that goes on with it. # no\nshort\nend"
        #expect(
            MarkdownBlock.parsePlain("# no heading\nshort\n\n\(wrapped)\u{C}page").map(\.text) == [
                "# no heading\nshort",
                "A line that is about as long as paper is wide, and another one that goes on with it. # no short\nend",
                "page",
            ])
    }

    @Test func aTableThatIsCutKeepsItsColumnsNames() {
        let rows = (1...30).map { "| item \($0) | \($0) euros |" }
        let text = "# T\n\nPrices:\n\n| What | Costs |\n|---|---|\n" + rows.joined(separator: "\n") + "\n\nAfter."
        let passages = Chunker(maxTokens: 60, overlapTokens: 10).passages(of: Document(id: "t", title: "T", text: text))
        #expect(passages.count > 3)
        for passage in passages where passage.text.contains("| item") {
            #expect(passage.text.contains("| What | Costs |\n|---|---|\n| item"))
            #expect(TokenEstimate.milliTokens(passage.text) <= 62_000)
        }
        for row in rows { #expect(passages.count { $0.text.contains(row) } == 1) }
        // One whose names alone would fill a passage has none in the others.
        let wide = "| \(String(repeating: "name ", count: 60)) | b |\n|---|---|\n" + rows.joined(separator: "\n")
        let cut = Chunker(maxTokens: 60).passages(of: Document(id: "t", title: "T", text: wide))
        #expect(cut.contains { $0.text.hasPrefix("| item") })
    }
}

@Suite struct HTMLTextTests {
    @Test(arguments: [
        ("<p>a<p>b", "a\n\nb"), ("a < b & c &lt; &#x4e2d;&unknown; &amp;amp;", "a < b & c < 中&unknown; &amp;"),
        ("<ul><li>a<li><p>b</p></ul>c", "- a\n- b\n\nc"), ("<script>x<p>y</script>z", "z"), ("<!-- <p>a</p> -->b", "b"),
        ("<p># a</p><p>- b</p>", "\\# a\n\n\\- b"), ("x<br>y<br/>", "x\\\ny"),
        ("<table><td>a<td>b</table>", "| a | b |\n| --- | --- |"),
        ("<h2>A <b>b</b></h2>c", "## A b\n\nc"), ("<p title='<p>x'>a</p", "a"), ("<script>never closed", ""),
        ("<", "<"),
        ("<title>T</title><nav>n</nav>a", "a"), ("<pre>\n a\n  b</pre>", "```\n a\n  b\n```"),
    ])
    func pagesAreReadAsMarkdown(_ html: String, _ expected: String) { #expect(HTMLText(html).text == expected) }

    @Test func anythingIsReadWithoutATrap() {
        var random = Seeded(state: 3)
        let parts = [
            "<", ">", "</", "<p", "<table>", "<tr>", "<td>", "<li>", "<ol>", "</ol>", "<pre>", "&", "&#", "&#x", ";",
            "\"", "'", "a", " ",
            "\n", "<!--", "-->", "<script>", "</script>", "<h1>", "</h1>", "lang=", "<html ", "中", "<br>", "|",
        ]
        for _ in 0..<3000 {
            let html = (0..<Int.random(in: 0..<40, using: &random)).map { _ in parts.randomElement(using: &random) ?? ""
            }.joined()
            let page = HTMLText(html)
            _ = Chunker().passages(of: Document(id: "x", title: page.title ?? "x", text: page.text))
        }
    }
}

@Suite struct SeparatedValuesTests {
    @Test func quotesAndLinesAreReadAsTheyAreWritten() {
        let table = SeparatedValues("a,b\r\n\"x, \"\"y\"\"\",\"1\n2\"\n\n , \n3,;\n")
        #expect(
            table.rows == [
                .init(line: 1, cells: ["a", "b"]), .init(line: 2, cells: ["x, \"y\"", "1\n2"]),
                .init(line: 6, cells: ["3", ";"]),
            ])
        #expect(SeparatedValues("a;b\n1;2,5").rows.last?.cells == ["1", "2,5"])
        #expect(SeparatedValues("a\tb\n1\t2").rows.last?.cells == ["1", "2"])
        #expect(SeparatedValues("a,b\n\"1,2\n3").openQuote == 2)
        #expect(SeparatedValues("").rows.isEmpty)
    }

    @Test func aRowIsADocument() throws {
        let folder = try TemporaryFolder()
        try folder.write("f.csv", "id,Title,text,Tenant,price\n1,T,\"Text.\",a,3\n,U,More.,b,\n3,V,x,a,4,5\n")
        let found = try DocumentReader().find([folder.path], knownRoots: [])
        #expect(found.documents.map(\.id) == ["1", "f.csv:3"] && found.documents.map(\.title) == ["T", "U"])
        #expect(found.documents.map(\.text) == ["Text.\nprice: 3", "More."])
        #expect(found.documents.map(\.attributes.tenant) == ["a", "b"])
        #expect(found.skipped.map(\.path) == ["\(folder.path)/f.csv:4"] && found.skipped[0].isUnreadable)
    }

    /// The second would be lost, and nobody would hear of it.
    @Test func aRowWhoseIdAnotherFileHasIsUnreadable() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.csv", "id,text\n1,One.\n2,Two.\n2,Two.\n")
        try folder.write("b.csv", "id,text\n1,Another.\n2,Two.\n3,Three.\n")
        try folder.write("c.jsonl", #"{"id": 3, "text": "Four."}"#)
        let found = try DocumentReader().find([folder.path], knownRoots: [])
        #expect(found.documents.map(\.text) == ["One.", "Two.", "Three."])
        // Nothing is lost of a row that says the same.
        #expect(
            found.skipped.map { "\($0.path.split(separator: "/").last ?? "") \($0.isUnreadable)" }
                == ["a.csv:4 false", "b.csv:2 true", "b.csv:3 false", "c.jsonl:1 true"])
        #expect(found.skipped[1].reason.contains("the id 1, which \(folder.path)/a.csv:2 has already"))
    }
}

/// Programs that read what we cannot.
@Suite struct ConverterTests {
    /// A program of that name which does what `script` says.
    private func converter(_ folder: TemporaryFolder, _ script: String) throws -> Converter {
        try folder.write("reader", "#!/bin/sh\n\(script)\n")
        chmod("\(folder.path)/reader", 0o755)
        return Converter(program: "reader", arguments: [], package: "readers", path: folder.path)
    }

    private func failure(_ converter: Converter) -> String {
        do throws(Converter.Failure) {
            return "no failure but " + (try converter.text(of: Array("x".utf8)))
        } catch {
            return error.message
        }
    }

    @Test func whatItSaysOfTheBytesIsTheText() throws {
        let folder = try TemporaryFolder()
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        #expect(try converter(folder, "cat").text(of: long).utf8.count == long.count)
        #expect(try converter(folder, "wc -c; echo words >&2").text(of: Array("abc".utf8)).contains("3"))
    }

    @Test func oneThatIsMissingIsNamed() {
        let missing = Converter(program: "no-such-reader", arguments: [], package: "readers", path: "/usr/bin")
        #expect(failure(missing) == "needs the program no-such-reader, which is not there: install readers")
    }

    @Test func oneThatFailsIsQuoted() throws {
        let folder = try TemporaryFolder()
        #expect(
            failure(try converter(folder, "echo 'Bad \u{1B}[31mfile' >&2; exit 3"))
                == "reader could not read it (status 3: Bad [31mfile)")
        #expect(failure(try converter(folder, "kill -9 $$")) == "reader could not read it (signal 9)")
        #expect(failure(try converter(folder, "printf '\\377'")) == "reader gave no valid UTF-8")
    }

    @Test func oneThatHangsOrNeverEndsIsEnded() throws {
        let folder = try TemporaryFolder()
        var hanging = try converter(folder, "sleep 1000 & sleep 1000")
        hanging.timeout = .milliseconds(300)
        #expect(failure(hanging).contains("took longer than"))
        var endless = try converter(folder, "yes")
        endless.mostOutput = 1 << 20
        #expect(failure(endless) == "reader makes more than 1048576 bytes of it")
    }

    @Test func itHasNoNetworkAndNoneOfOurSecrets() throws {
        let folder = try TemporaryFolder()
        setenv("PARLEY_TEST_SECRET", "hunter2", 1)
        defer { unsetenv("PARLEY_TEST_SECRET") }
        #expect(try !converter(folder, "env").text(of: []).contains("hunter2"))
        guard system("unshare -r -n true 2>/dev/null || unshare -n true 2>/dev/null") == 0 else { return }
        // Of interfaces there is only the loopback.
        let interfaces = try converter(folder, "tail -n +3 /proc/net/dev").text(of: [])
        #expect(interfaces.split(separator: "\n").allSatisfy { $0.contains("lo:") })
    }

    @Test func aFileThatCannotBeConvertedStaysInTheIndex() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "# A\n\nText.")
        try folder.write("docs/b.pdf", "no PDF")
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let ingestor = Ingestor(embedder: LexicalEmbedder(), store: store)
        let summary = try await ingestor.ingest(paths: [folder.path + "/docs"])
        #expect(summary.added == 1 && summary.unreadable.count == 1)
        let reason = summary.unreadable.first?.reason ?? ""
        #expect(reason.hasPrefix("pdftotext could not read it") || reason.hasPrefix("needs the program pdftotext"))
    }
}
