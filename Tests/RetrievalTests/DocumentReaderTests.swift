import Glibc
import Testing

@testable import Retrieval

@Suite struct DocumentReaderTests {
    @Test func foldersAreWalkedInOrderWithPathsAsIDs() throws {
        let folder = try TemporaryFolder()
        try folder.write("zh/b.md", "# 退货\n\n十五天。")
        try folder.write("en/sub/a.txt", "Plain text")
        try folder.write("en/z.md", "no heading")
        try folder.write(".hidden/x.md", "# Hidden")
        try folder.write("en/.x.md", "# Hidden")
        let (documents, skipped) = try DocumentReader().read([folder.path])
        #expect(documents.map(\.id) == ["en/sub/a.txt", "en/z.md", "zh/b.md"])
        #expect(documents.map(\.title) == ["a", "z", "退货"])
        #expect(skipped.isEmpty)
    }

    @Test func aFileGivenByItselfHasItsNameAsID() throws {
        let folder = try TemporaryFolder()
        try folder.write("deep/returns.md", "# Returns\n\nText.")
        #expect(try DocumentReader().read(["\(folder.path)/deep/returns.md"]).documents.map(\.id) == ["returns.md"])
    }

    @Test func whatCannotBeReadIsSkippedWithAReason() throws {
        let folder = try TemporaryFolder()
        try folder.write("bad.md", [0x23, 0x20, 0xFF, 0xFE])
        try folder.write("empty.md", " \n")
        try folder.write("image.png", "x")
        try folder.write("good.md", "# Good\n\nText.")
        let (documents, skipped) = try DocumentReader().read([folder.path, "\(folder.path)/good.md"])
        #expect(documents.map(\.id) == ["good.md"])
        #expect(skipped.count == 4)
        #expect(skipped.contains { $0.path.hasSuffix("bad.md") && $0.reason.hasPrefix("is not valid UTF-8") })
        #expect(skipped.contains { $0.path.hasSuffix("empty.md") && $0.reason == "is empty" })
        #expect(skipped.contains { $0.path.hasSuffix("image.png") })
        #expect(skipped.contains { $0.reason.contains("has the id good.md") })
    }

    @Test func jsonLinesHoldADocumentALine() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "docs.jsonl",
            """
            {"id": "a", "title": "First", "text": "One.", "language": "en"}

            {"id": 7, "content": "# Seven\\n\\nTwo."}
            {"text": "no id"}
            {"id": "x"}
            not json
            {"id": "a", "text": "again"}
            """)
        let origin = Document.Origin(root: folder.path, file: "docs.jsonl")
        let (documents, skipped) = try DocumentReader().read(["\(folder.path)/docs.jsonl"])
        #expect(
            documents == [
                Document(id: "a", title: "First", text: "One.", language: "en", origin: origin),
                Document(id: "7", title: "Seven", text: "# Seven\n\nTwo.", origin: origin),
            ])
        #expect(skipped.map { $0.path.split(separator: ":").last } == ["4", "5", "6", "7"])
    }

    @Test func linksLeadNowhereElse() throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "# A\n\nText.")
        try folder.write("docs/sub/b.md", "# B\n\nText.")
        try folder.write("secret/key.md", "# Secret\n\nText.")
        let docs = folder.path + "/docs"
        for (target, name) in [
            ("../secret/key.md", "stolen.md"), ("../secret", "all"), ("/etc", "etc"), ("..", "loop"), (".", "sub/self"),
            ("nothing", "dangling.md"), ("a.md", "same.md"), ("sub", "link"),
        ] {
            #expect(symlink(target, "\(docs)/\(name)") == 0)
        }
        #expect(mkfifo(docs + "/pipe.md", 0o600) == 0)
        let (documents, skipped) = try DocumentReader().read([docs])
        #expect(documents.map(\.id) == ["a.md", "same.md", "sub/b.md"])
        let reasons = Dictionary(skipped.map { (String($0.path.dropFirst(docs.count + 1)), $0.reason) }) { $1 }
        #expect(Set(reasons.keys) == ["stolen.md", "all", "etc", "loop", "sub/self", "dangling.md", "link", "pipe.md"])
        #expect(
            reasons["stolen.md"]?.contains("out of the folder") == true
                && reasons["dangling.md"]?.contains("nothing") == true)
        // What is named itself is meant.
        #expect(
            try DocumentReader().read([docs + "/stolen.md", docs + "/all"]).documents.map(\.id) == [
                "stolen.md", "key.md",
            ])
    }

    /// A folder may become a link between the look at it and the reading of what is in it.
    @Test func aFileIsReadFromTheFolderAlone() throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "in")
        try folder.write("docs-and-more/key.md", "out")
        #expect(symlink("../docs-and-more", folder.path + "/docs/sub") == 0)
        let root = try #require(Files.resolved(folder.path + "/docs"))
        func read(_ path: String) throws(RetrievalError) -> [UInt8] {
            try Files.read(folder.path + path, limit: 100, followsLinks: false, within: root)
        }
        #expect(try read("/docs/a.md") == Array("in".utf8))
        #expect { try read("/docs/sub/key.md") } throws: { "\($0)".contains("leads out of the folder") }
        #expect { try read("/docs-and-more/key.md") } throws: { "\($0)".contains("leads out of the folder") }
    }

    @Test func aPathThatDoesNotExistIsAnError() {
        #expect(throws: RetrievalError.self) { try DocumentReader().read(["/nowhere/at/all"]) }
    }
}
