import Testing

@testable import Routing

@Suite struct TextFeaturesTests {
    /// Written by scripts/train-router, odd texts among them: what was learnt there must be found here.
    @Test func hashesAreThoseOfTheTrainer() throws {
        let golden = try lines(of: "Tests/RoutingTests/golden.jsonl")
        #expect(golden.count > 50)
        for line in golden {
            let text = try #require(line["text"]?.string)
            var hashes: [UInt32] = []
            let count = TextFeatures(text).forEachHash { hashes.append($0) }
            #expect(count == line["count"]?.int, "\(text)")
            #expect(hashes.first.map(Int.init) == line["first"]?.int, "\(text)")
            #expect(hashes.last.map(Int.init) == line["last"]?.int, "\(text)")
            #expect(hashes.reduce(0) { $0 + Int($1) } == line["sum"]?.int, "\(text)")
        }
    }

    @Test(arguments: [
        ("HELLO  there\t", "hello there"), ("ＬＴ２５０９　到了", "LT250 到了"), ("order 1234567", "order 890"), ("it’s", "it's"),
        ("a\u{200B}b\u{FEFF}", "ab"), ("e\u{301}", "e"), ("ÀÉ", "àé"),
    ])
    func whatLooksAlikeIsAlike(_ one: String, _ other: String) {
        #expect(TextFeatures(one).scalars == TextFeatures(other).scalars)
    }

    @Test func longTextsCostNoMoreThanTheirEnds() {
        let text = String(repeating: "x", count: 40_000) + " where is it"
        #expect(TextFeatures(text).scalars.count <= TextFeatures.mostScalars + 2)
        #expect(TextFeatures("").scalars == [0x20] && TextFeatures("\n \t").scalars == [0x20])
    }
}
