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
        let index = Self.index(["the parcel is late", "the parcel is broken", "the voucher is late", "礼品卡两年后过期"])
        let found = index.search("is my broken parcel", topK: 2)
        #expect(found.map(\.index) == [1, 0])
        #expect(found.allSatisfy { $0.score > 0 && $0.score <= 1 })
        #expect(index.search("礼品卡什么时候过期", topK: 4).map(\.index) == [3])
        #expect(index.search("zebra", topK: 4).isEmpty)
        #expect(index.search("", topK: 4).isEmpty)
        #expect(Self.index([]).search("anything", topK: 4).isEmpty)
    }

    private static func index(_ texts: [String]) -> TermIndex {
        TermIndex(texts.map { ([], Array($0.utf8)[...]) })
    }

    @Test func whatMeansTheSameIsFoundBehindTheWordItself() {
        let index = Self.index(["a reimbursement", "we reimburse you", "a refund", "nothing of the kind"])
        let found = index.search("refund", topK: 4)
        #expect(found.first?.index == 2 && Set(found.map(\.index)) == [0, 1, 2], "\(found)")
        #expect(Self.index(["运费标准", "会员等级"]).search("邮费", topK: 4).map(\.index) == [0])
    }

    @Test func phrasesCallForWhatArticlesSay() {
        let index = Self.index(["a refund", "the parcel", "退款到账", "会员等级"])
        #expect(index.search("when do I get my money back?", topK: 1).map(\.index) == [0])
        #expect(index.search("钱还没回来", topK: 1).map(\.index) == [2])
        #expect(index.search("the money is on my back", topK: 4).isEmpty, "not with more between")
    }

    @Test func aLineOfSynonymsIsReadAsItSays() {
        let words = Synonyms("one two more_than\nasked so_much > said here")
        func called(_ question: String) -> [UInt32] {
            var units: [UInt32] = []
            PlainTerms.forEach(in: Array(question.utf8)[...]) { term, _ in if !term.isPair { units.append(term.hash) } }
            var found: [UInt32] = []
            words.called(by: units) { term, _ in found.append(term.hash) }
            return found.sorted()
        }
        func hashes(_ text: String) -> [UInt32] {
            var hashes: [UInt32] = []
            PlainTerms.forEach(in: Array(text.utf8)[...]) { term, _ in hashes.append(term.hash) }
            return hashes.sorted()
        }
        #expect(called("is it two") == hashes("one two"))
        #expect(called("more or than") == hashes("one two") && called("more or less than").isEmpty)
        #expect(called("he asked") == hashes("said here"))
        #expect(called("he said it is here").isEmpty, "what is behind the mark calls for nothing")
        #expect(called("so") == [] && called("").isEmpty)
    }

    @Test func whatIsWrittenAlikeIsFoundBehindTheWordItself() {
        let index = Self.index(["your membreship level", "the parcel", "membership levels"])
        #expect(index.search("membership", topK: 4).map(\.index) == [2, 0])
        #expect(Self.index(["wireless charger"]).search("chargr", topK: 1).map(\.index) == [0])
    }

    @Test func wordsThatEveryTextHasProveNothing() {
        let index = Self.index(["how do I pay", "the card of the shop"])
        #expect(index.search("how is the zebra", topK: 4).isEmpty)
        #expect(index.search("how", topK: 4).map(\.index) == [0])
        let found = index.search("how is the card", topK: 4)
        #expect(found.map(\.index) == [1])
    }

    @Test func aTitleSaysMoreThanTheText() {
        func bytes(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }
        let index = TermIndex([
            (bytes("Payment"), bytes("vouchers and other things")),
            (bytes("Vouchers"), bytes("payment and other things")),
        ])
        #expect(index.search("vouchers", topK: 2).map(\.index) == [1, 0])
    }

    @Test func whatAQuestionSaysOfATitleIsTold() {
        func bytes(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }
        let index = TermIndex([
            (bytes("Gift cards › Values"), bytes("fifty")), (bytes("Gift cards › Lost"), bytes("a lost thing")),
            (bytes("退货办法"), bytes("期限")), (bytes("Coupons"), bytes("nothing")), (bytes(""), bytes("gift")),
            (bytes("的"), bytes("gift")),
        ])
        func shares(_ question: String) -> [Int: Float] {
            Dictionary(index.search(question, topK: 9).map { ($0.index, $0.title) }) { one, _ in one }
        }
        #expect(shares("the gift") == [0: 0.5, 1: 0.5, 4: 0, 5: 0])
        #expect(shares("gift cards for values")[1] == 1)
        #expect(shares("怎么退货") == [2: 1.0 / 3])
        #expect(shares("a voucher")[3] == 0.5, "what stands in for it counts half")
    }

    @Test func manyPassagesAreFoundAsFewAre() {
        var texts = (0..<3000).map { "common word \($0 % 7) number\($0)" }
        texts[1234] += " 特别 unique"
        let index = Self.index(texts)
        #expect(index.search("unique", topK: 3).map(\.index) == [1234])
        #expect(index.search("特别", topK: 3).map(\.index) == [1234])
        #expect(index.search("number777", topK: 1).first?.index == 777)
        #expect(index.search("common", topK: 5000).count == 3000)
    }

    @Test func anyTextHasTerms() {
        var random = Seeded(state: 3)
        for _ in 0..<500 {
            let scalars = (0..<40).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &random)) }
            let text = String(String.UnicodeScalarView(scalars))
            _ = LexicalEmbedder.vector(of: text)
            _ = Self.index([text]).search(text, topK: 1)
        }
        _ = TextTerms.of(String(repeating: "x", count: 100_000))
        _ = Self.index([String(repeating: "x", count: 100_000)]).search(String(repeating: "x ", count: 10_000), topK: 1)
        _ = TermIndex([([0xFF, 0xC0, 0x80] as ArraySlice<UInt8>, [0xE4, 0xB8] as ArraySlice<UInt8>)]).search(
            "\u{0}", topK: 1)
    }
}
