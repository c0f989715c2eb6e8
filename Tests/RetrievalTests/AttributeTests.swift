import Glibc
import Testing

@testable import Retrieval

/// Where documents say what they are.
@Suite struct AttributeTests {
    private func read(_ files: [(String, String)], _ named: String = "") throws -> DocumentReader.Found {
        let folder = try TemporaryFolder()
        for (name, text) in files { try folder.write(name, text) }
        return try DocumentReader().find([folder.path + named], knownRoots: [])
    }

    private func one(_ text: String, _ name: String = "x.md") throws -> Document? {
        try read([(name, text)]).documents.first
    }

    private func reason(_ text: String, _ name: String = "x.md") throws -> String? {
        let found = try read([(name, text)])
        #expect(found.documents.isEmpty)
        return found.skipped.first(where: \.isUnreadable)?.reason
    }

    @Test func frontMatterSaysThemAndTheTitle() throws {
        let document = try #require(
            try one(
                """
                ---
                title: "Returns: how"
                Tenant: shop-eu
                agent: aftersale
                lang: en-GB
                tags: [VIP, "new york"] # both
                # a remark
                "date": 2026-01-31
                other: {a: [1, 2]}
                more:
                  deep:
                  - x
                ---
                # Another title

                Text.
                """))
        #expect(document.title == "Returns: how" && document.language == "en-GB")
        #expect(
            document.attributes
                == Attributes(
                    tenant: "shop-eu", agent: "aftersale", tags: ["new york", "vip"], date: CalendarDate("2026-01-31")))
        #expect(document.text == "# Another title\n\nText.")
        #expect(try one("---\r\ntags:\r\n- a\r\n- b\r\n...\r\nText")?.attributes.tags == ["a", "b"])
        for list in [#"[a, "b, c"]"#, "[a, 'b, c']", #"[ "a" , 'c', b ]"#, #"["a,b", "c"]"#] {
            #expect(try one("---\ntags: \(list)\n---\nText")?.attributes.tags == ["a", "b", "c"], "\(list)")
        }
        #expect(
            try one("---\ntags: ['it''s, so', \"\\\"x\\\", y\"]\n---\nText")?.attributes.tags == [
                #""x""#, "it's", "so", "y",
            ])
        #expect(
            try one("---\nagent: 'it''s' # so\ntenant: \"a #\\\"b\"\n---\nText")?.attributes
                == Attributes(tenant: "a #\"b", agent: "it's"))
        #expect(try one("\u{FEFF}\n \n---\ntenant: a\n---\nText")?.attributes.tenant == "a")
        #expect(try one("---\ntenant: a\ntenant_name: A\n---\nText")?.attributes.tenant == "a")
        #expect(try one("+++\ntitle = \"a\"\n+++\nNote: text\n\n---\nText")?.title == "x")
        #expect(try one("---\ntenant: 42\nlanguage: no\n---\nText")?.attributes.tenant == "42")
        #expect(try one("---\nagent: ~\n---\nText")?.attributes == Attributes())
        for beginning in ["--- # a remark\n", "\u{200B}---\n", "\u{FFFE}---\u{FE0F}\n", "\u{EF}\u{BB}\u{BF}---\n"] {
            #expect(try one(beginning + "tenant: a\n---\nText")?.attributes.tenant == "a")
        }
        #expect(try one("---\nonly a rule\n---\n\nText")?.text.hasPrefix("---\nonly") == true)
        #expect(try one("---\nText without an end")?.text.hasPrefix("---") == true)
    }

    /// Whose it is must not be guessed.
    @Test(arguments: [
        ("---\ntenant: [a, b]\n---\nText", "tenant has 2 values"),
        ("---\ntenant: []\n---\nText", "tenant has 0 values"),
        ("---\ntenant:\n---\nText", "tenant is empty"), ("---\ntenant: \"\"\n---\nText", "tenant is empty"),
        ("---\ntenant: {a: b}\n---\nText", "neither a text nor a list"),
        ("---\ntenant: a\n  b\n---\nText", "neither a text nor a list"),
        ("---\ntenant: >\n  a\n---\nText", "neither a text nor a list"),
        ("---\ntenant: *a\n---\nText", "neither a text nor a list"),
        ("---\ntenant: !!str a\n---\nText", "neither a text nor a list"),
        ("---\ntenant: \"\\x61\"\n---\nText", "neither a text nor a list"),
        ("---\ntenant: \"a\" b\n---\nText", "neither a text nor a list"),
        ("---\nbase: &a\n  tenant: a\n<<: *a\n---\nText", "base has a tenant within it"),
        ("---\nbase: &a\n  b: a\n<<: *a\n---\nText", "\"<<: *a\" is no key"),
        ("---\ntitle: x\n  - y\n{tenant: a}\n---\nText", "is no key"),
        ("---\n{tenant: a}\n---\nText", "speaks of a tenant"),
        ("---\n? tenant\n: a\n---\nText", "speaks of a tenant"), ("---\ntitle: x\ntenant=a\n---\nText", "is no key"),
        ("---\ntenant_id: a\n---\nText", "tenant_id is no attribute"),
        ("+++\ntenant = \"a\"\n+++\nText", "speaks of a tenant"),
        ("---\ntenant: a\nTenant: b\n---\nText", "a document has one tenant"),
        ("---\ntenant: a\ntenant: b\n---\nText", "a document has one tenant"),
        ("-----\ntenant: a\n-----\nText", "begins with ----- and speaks of a tenant"),
        ("---json\n{\"tenant\": \"a\"}\n---\nText", "begins with ---json and"),
        ("--- {tenant: a}\n---\nText", "speaks of"),
        ("{\n\"tenant\": \"a\"\n}\nText", "begins with { and"),
        ("\u{2014}\ntenant: a\n---\nText", "begins with \u{2014} and"),
        ("+++\n[extra]\nmeta.tenant = \"a\"\n+++\nText", "begins with +++ and speaks"),
        ("+++\n[tenant]\nname = \"a\"\n+++\nText", "begins with +++ and speaks"),
        ("---\ntitle: x\n---\n---\ntenant: a\n---\nText", "speaks of a tenant"),
        ("---\n" + String(repeating: "a: b\n", count: 300) + "tenant: a\n---\nText", "speaks of a tenant"),
        ("---\ntitle: x\n\ttenant: a\n---\nText", "title has a tenant within it"),
        ("---\n\ttenant: a\ntitle: x\n---\nText", "is no key"),
        ("---\ntenant: null\n---\nText", "tenant is null"), ("---\ntenant: ~\n---\nText", "tenant is ~"),
        ("---\nvisibility: {tenant: a}\n---\nText", "visibility has a tenant within it"),
        ("---\nvisibility: {\"ten\\x61nt\":\"a\"}\n---\nText", "visibility has a tenant within it"),
        ("---\nmeta:\n  tenant: a\n---\nText", "meta has a tenant within it"),
        ("---\nmeta:\n- tenant:\n  - a\n---\nText", "meta has a tenant within it"),
        ("---\nmeta:\n  - tenant:\ta\n---\nText", "meta has a tenant within it"),
        ("---\nmeta:\n  ? tenant\n  : a\n---\nText", "meta has a tenant within it"),
        ("---\n\"ten\\u0061nt\": a\n---\nText", "is no attribute"),
        ("---\nten\u{200B}ant: a\n---\nText", "is no attribute"),
        ("---\nmeta.tenant: a\n---\nText", "meta.tenant is no attribute"),
        ("---\n\u{FF54}enant: a\n---\nText", "is no attribute"),
        ("---\ntenant: a\n\nText", "speaks of a tenant"), ("---\ndate: soon\n---\nText", "date is soon"),
        ("---\ntags: [{a: b}]\n---\nText", "neither a text nor a list"), ("---\ntags:\n- a: b\n---\nText", "neither"),
    ])
    func whatCannotBeTakenLeavesTheDocumentOut(_ text: String, _ expected: String) throws {
        let reason = try #require(try reason(text))
        #expect(reason.contains(expected), "\(reason)")
    }

    /// It is a word as others are, where it is not a name that something is given to.
    @Test(arguments: [
        "---\ntitle: How a tenant moves out\nrank: lieutenant\n---\nText", "---\ntopics:\n- tenant\n- rent\n---\nText",
        "---\nnote: \"tenant: who rents\" # a\nlieutenant: x\nurl: http://a.b?tenant=1\n---\nText",
        "---\n\nA tenant is who rents. The lieutenant: none.\n", "-----\nWhat a tenant pays.\n\n---\n\ntenant: a\n",
        "+++\ntitle = \"On a tenant\"\n+++\nText", "{{ page }}\n\ntenant: a",
        "# A\n\n```yaml\n---\ntenant: a\n---\n```\n",
        "---\ntitle: x\n---\nText\n\n---\n\ntenant: a\n",
    ])
    func aWordInATextIsNoTenant(_ text: String) throws { #expect(try one(text)?.attributes == Attributes()) }

    @Test func plainTextDoesNotPassOverAFrontMatterOfATenant() throws {
        let reason = try #require(try reason("---\ntenant: a\n---\nText", "x.txt"))
        #expect(reason.contains("call it x.md"))
        #expect(try one("---\ntitle: a\n---\nText", "x.txt") != nil)
    }

    @Test func aRowThatDoesNotSayWhoseItIsIsNobodys() throws {
        let found = try read([("x.csv", "id,text,tenant\n1,One.,a\n3,Three.\n")])
        #expect(found.documents.map(\.attributes.tenant) == ["a"])
        #expect(found.skipped.map { $0.path.split(separator: "/").last } == ["x.csv:3"])
        #expect(found.skipped.map(\.isUnreadable) == [true])
        #expect(found.skipped[0].reason.contains("has 2 cells"))
        let reason = try #require(try reason("id,text,\u{200B}tenant\n1,One.,a\n", "x.csv"))
        #expect(reason.contains("is no attribute"))
        let empty = try read([("x.csv", "id,text,tenant\n1,One.,\n2,Two.,a\n")])
        #expect(empty.documents.map(\.id) == ["2"] && empty.skipped.map(\.isUnreadable) == [true])
        #expect(empty.skipped[0].reason.contains("empty cell for the tenant"))
        // Of other columns, it is nothing to say.
        #expect(try one("id,text,agent\n1,One.,\n", "x.csv")?.attributes == Attributes())
    }

    @Test func aNameThatIsNotUTF8IsUnreadable() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.md", "Text.")
        let name = Array("\(folder.path)/caf".utf8CString.dropLast()) + [CChar(bitPattern: 0xE9), 0x2E, 0x6D, 0x64, 0]
        #expect(mkdir(name, 0o755) == 0)
        let found = try DocumentReader().find([folder.path], knownRoots: [])
        #expect(found.documents.map(\.id) == ["a.md"])
        #expect(
            found.skipped.map(\.path) == ["\(folder.path)/caf\u{FFFD}.md"] && found.skipped[0].isUnreadable)
        #expect(found.skipped.first?.reason.contains("not UTF-8") == true)
    }

    @Test func linesOfJSONSayThem() throws {
        let found = try read([
            (
                "x.jsonl",
                """
                {"id": 1, "text": "One.", "tenant": "a", "agent": "sale", "lang": "en", "tags": ["B", "a"], "date": "2026-01-31"}
                {"id": 2, "text": "Two.", "tenant": null, "tags": "x, y"}
                {"id": 3, "text": "Three.", "tenant": ["a", "b"]}
                {"id": 4, "text": "Four.", "tenant": {"name": "a"}}
                {"id": 5, "text": "Five.", "tenant": ""}
                {"id": 6, "text": "---\\ntenant: b\\n---\\nSix.", "tenant": "a"}
                {"id": 7, "text": "---\\ntenant: b\\n---\\nSeven."}
                {"id": 8, "text": "Eight.", "tenant": "a", "tenant": "b"}
                {"id": 9, "text": "Nine.", "metadata": {"of": [{"tenant": "a"}]}}
                """
            )
        ])
        #expect(found.documents.map(\.id) == ["1", "2", "7"])
        let attributes = found.documents.map(\.attributes)
        #expect(
            attributes[0]
                == Attributes(tenant: "a", agent: "sale", tags: ["a", "b"], date: CalendarDate("2026-01-31")))
        #expect(found.documents[0].language == "en")
        #expect(attributes[1] == Attributes(tags: ["x", "y"]) && attributes[2].tenant == "b")
        #expect(found.documents[2].text == "Seven.")
        #expect(found.skipped.filter(\.isUnreadable).count == 6)
    }

    @Test func foldersWithAKeyAndAValueSayThem() throws {
        let files = [
            ("tenant=shop-eu/lang=de/agent=care/a.md", "Text."),
            ("tenant=shop-eu/lang=de/b.md", "---\nlang: en\n---\nText."),
            ("de/tenant/c.md", "Text."), ("tag=a/tag=b/d.txt", "Text."), ("key=value/e.md", "Text."),
        ]
        let documents = try read(files).documents
        #expect(
            documents.map(\.id) == [
                "de/tenant/c.md", "key=value/e.md", "tag=a/tag=b/d.txt",
                "tenant=shop-eu/lang=de/agent=care/a.md", "tenant=shop-eu/lang=de/b.md",
            ])
        #expect(documents[0].attributes == Attributes() && documents[0].language == nil)
        #expect(documents[1].attributes == Attributes())
        #expect(documents[2].attributes == Attributes(tags: ["a", "b"]))
        #expect(
            documents[3].attributes == Attributes(tenant: "shop-eu", agent: "care") && documents[3].language == "de")
        #expect(documents[4].attributes == Attributes(tenant: "shop-eu") && documents[4].language == "en")
        // Also when the folder itself is what is named.
        let named = try read(files, "/tenant=shop-eu/lang=de/agent=care")
        #expect(named.documents.map(\.attributes.tenant) == ["shop-eu"])
    }

    @Test(arguments: [
        ("tenant=a/tenant=b/x.md", "Text."), ("tenant=a/x.md", "---\ntenant: b\n---\nText."), ("tenant=/x.md", "Text."),
        ("tenant=a/x.jsonl", "{\"id\": 1, \"text\": \"t\", \"tenant\": \"b\"}"),
    ])
    func twoTenantsAreNone(_ name: String, _ text: String) throws { #expect(try reason(text, name) != nil) }

    @Test func aLinkDoesNotGiveATenantsDocumentToEverybody() throws {
        let folder = try TemporaryFolder()
        try folder.write("tenant=a/secret.md", "Text.")
        try folder.write("tenant=b/x.md", "Text.")
        #expect(symlink("tenant=a/secret.md", "\(folder.path)/public.md") == 0)
        #expect(symlink("../tenant=a/secret.md", "\(folder.path)/tenant=b/theirs.md") == 0)
        let found = try DocumentReader().find([folder.path], knownRoots: [])
        #expect(found.documents.map(\.id) == ["public.md", "tenant=a/secret.md", "tenant=b/x.md"])
        #expect(found.documents.map(\.attributes.tenant) == ["a", "a", "b"])
        #expect(found.skipped.map(\.isUnreadable) == [true])
    }

    @Test func anotherTenantIsAChange() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/x.md", "Text.")
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let ingestor = Ingestor(embedder: LexicalEmbedder(), store: store)
        #expect(try await ingestor.ingest(paths: [folder.path + "/docs"]).added == 1)
        let before = await store.version()
        try folder.write("docs/x.md", "---\ntenant: a\n---\nText.")
        #expect(try await ingestor.ingest(paths: [folder.path + "/docs"]).changed == 1)
        try await eventually { await store.version() != before }
        #expect(await store.hasTenants())
    }
}

@Suite struct TextEncodingTests {
    @Test func textsAreReadAsTheyWereWritten() throws {
        let text = "退货：十五天内。Ü 👩‍👧"
        let utf16 = Array(text.utf16)
        #expect(try TextEncoding.text(of: [0xEF, 0xBB, 0xBF] + text.utf8) == text)
        #expect(try TextEncoding.text(of: [0xFF, 0xFE] + utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }) == text)
        #expect(try TextEncoding.text(of: [0xFE, 0xFF] + utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }) == text)
        for text in ["退货：\n十五天内。", "Größe: 3 m\r\n", "a b\tc 👩‍👧", " "] {
            let units = Array(text.utf16)
            #expect(try TextEncoding.text(of: units.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }) == text)
            #expect(try TextEncoding.text(of: units.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }) == text)
        }
        // A byte 0 alone makes no UTF-16.
        for bytes in [[0x61, 0], [0x61, 0x20, 0, 0x62], Array("a b c\0".utf8), [0, 0, 0, 0x20]] as [[UInt8]] {
            #expect(try TextEncoding.text(of: bytes) == String(decoding: bytes, as: UTF8.self))
        }
        // 退货：十五天内。in GBK, and a character that only GB 18030 has (㐀).
        let gbk: [UInt8] = [
            0xCD, 0xCB, 0xBB, 0xF5, 0xA3, 0xBA, 0xCA, 0xAE, 0xCE, 0xE5, 0xCC, 0xEC, 0xC4, 0xDA, 0xA1, 0xA3,
        ]
        #expect(try TextEncoding.text(of: gbk + Array(" OK".utf8)) == "退货：十五天内。 OK")
        #expect(try TextEncoding.text(of: gbk + gbk + [0x81, 0x39, 0xEE, 0x39]) == "退货：十五天内。退货：十五天内。㐀")
        #expect(try TextEncoding.text(of: []) == "")
    }

    @Test(
        arguments: [
            [0x23, 0xFF, 0xFE], Array("caf".utf8) + [0xE9],
            Array("Gr".utf8) + [0xFC, 0xDF] + Array("e aus M".utf8) + [0xFC] + Array("nchen".utf8),
            [0xFF, 0xFE, 0x41], [0xFF, 0xFE, 0x00, 0xD8], [0xEF, 0xBB, 0xBF, 0xFF], [0xCD],
        ] as [[UInt8]])
    func whatIsNoneOfThemIsNotGuessed(_ bytes: [UInt8]) {
        #expect(throws: TextEncoding.Mistake.self) { _ = try TextEncoding.text(of: bytes) }
    }
}
