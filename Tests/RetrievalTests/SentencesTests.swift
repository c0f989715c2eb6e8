import Testing

@testable import Retrieval

@Suite struct SentencesTests {
    @Test(arguments: [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ("Chargers, e.g. USB-C ones, cost 4.50 each. Fine.", ["Chargers, e.g. USB-C ones, cost 4.50 each. ", "Fine."]),
        (
            "Ask Dr. Smith or J. Doe. He said \"Stop.\" Then left.",
            ["Ask Dr. Smith or J. Doe. ", "He said \"Stop.\" ", "Then left."]
        ),
        (
            "Parcels, letters, etc. are small. Boxes etc. Then more.",
            ["Parcels, letters, etc. are small. ", "Boxes etc. ", "Then more."]
        ),
        ("1. Go to My orders.\n2. Tap Return.", ["1. Go to My orders.\n", "2. Tap Return."]),
        ("See shop.example.com for v2.1 now... really? Yes", ["See shop.example.com for v2.1 now... really? ", "Yes"]),
        ("今天下单。明天到！“真的吗？”是的；好", ["今天下单。", "明天到！", "“真的吗？”", "是的；", "好"]),
        ("运费 4.5 元。退货免费", ["运费 4.5 元。", "退货免费"]),
        ("line one\nline two\n\nline three", ["line one\n", "line two\n\n", "line three"]),
        ("", []),
    ])
    func sentencesEndWhereTheyShould(_ text: String, _ expected: [String]) {
        #expect(Sentences.split(text[...]).map(String.init) == expected)
    }

    @Test func sentencesTogetherAreTheText() {
        var random = Seeded(state: 7)
        let alphabet = Array("ab. !?。！；\n,'\"”)中国1👩‍👩‍👧é ")
        for _ in 0..<500 {
            let text = String(
                (0..<Int.random(in: 0..<60, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
            #expect(Sentences.split(text[...]).joined() == text)
        }
    }
}
