import Testing

@testable import Retrieval

@Suite struct LexicalTests {
    private func similarity(_ a: String, _ b: String) -> Float {
        let a = LexicalEmbedder.vector(of: a)
        let b = LexicalEmbedder.vector(of: b)
        return a.withUnsafeBufferPointer { a in b.withUnsafeBufferPointer { dotProduct(a, $0) } }
    }

    @Test func vectorsHaveUnitLength() {
        for text in ["How do I return a damaged parcel?", "包裹破损了怎么退货", "Größe und Écharpe", "日本語のテキスト"] {
            #expect(abs(similarity(text, text) - 1) < 1e-5)
        }
        #expect(LexicalEmbedder.vector(of: " …!? ").allSatisfy { $0 == 0 })
    }

    /// Indexes travel between machines: if this fails, raise ``LexicalEmbedder/version``.
    @Test func vectorsAreTheSameEverywhere() {
        var hash: UInt64 = 1
        for value in LexicalEmbedder.vector(of: "Returned parcels 退货 cost ¥10") {
            hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01B3
        }
        #expect(hash == 1_448_797_848_977_576_624)
    }

    @Test func textsOnOneSubjectAreNearerThanTextsOnTwo() {
        #expect(
            similarity("How do I return a parcel?", "Returning parcels is free.")
                > 3 * abs(similarity("How do I return a parcel?", "Gift cards expire after two years.")))
        #expect(similarity("怎么退货", "退货办法和期限") > 3 * abs(similarity("怎么退货", "礼品卡两年后过期")))
    }

    @Test(arguments: [
        ("return", "returns"), ("return", "returned"), ("return", "returning"), ("delivery", "deliveries"),
        ("charge", "charging"), ("box", "boxes"), ("stop", "stopped"), ("card", "cards"),
    ])
    func inflectedWordsShareTheirStem(_ a: String, _ b: String) {
        var first = a.unicodeScalars.map(\.value)
        var second = b.unicodeScalars.map(\.value)
        #expect(Array(EnglishStem.of(&first)) == Array(EnglishStem.of(&second)))
    }

    @Test func caseWidthAndApostrophesDoNotMatter() {
        #expect(TextTerms.of("Don’t PAY ４５") == TextTerms.of("don't pay 45"))
    }

    @Test func wordsAreFoundByWhatIsRareInThem() {
        let index = TermIndex(["the parcel is late", "the parcel is broken", "the voucher is late", "礼品卡两年后过期"])
        let found = index.search("is my broken parcel", topK: 2)
        #expect(found.map(\.index) == [1, 0])
        #expect(found.allSatisfy { $0.score > 0 && $0.score <= 1 })
        #expect(index.search("礼品卡什么时候过期", topK: 4).map(\.index) == [3])
        #expect(index.search("zebra", topK: 4).isEmpty)
        #expect(index.search("", topK: 4).isEmpty)
        #expect(TermIndex([]).search("anything", topK: 4).isEmpty)
    }

    @Test func anyTextHasTerms() {
        var random = Seeded(state: 3)
        for _ in 0..<500 {
            let scalars = (0..<40).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &random)) }
            _ = LexicalEmbedder.vector(of: String(String.UnicodeScalarView(scalars)))
        }
        _ = TextTerms.of(String(repeating: "x", count: 100_000))
    }
}
