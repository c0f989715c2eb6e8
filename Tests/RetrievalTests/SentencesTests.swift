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

/// Texts that are longer than a model reads.
@Suite struct SentenceCutTests {
    @Test func whatFitsIsLeftAlone() {
        #expect(Sentences.beginning(of: "Short. Text.  ", milliTokens: 100_000) == "Short. Text.  ")
    }

    @Test func aTextIsCutAtASentenceElseAtAWordElseAnywhere() {
        let three = "The first sentence is here. The second one is, too. The third is not."
        #expect(
            Sentences.beginning(of: three, milliTokens: TokenEstimate.milliTokens(three) - 1)
                == "The first sentence is here. The second one is, too.")
        let long = String(repeating: "word ", count: 100)
        let words = Sentences.beginning(of: long, milliTokens: 5000)
        #expect(words == String(repeating: "word ", count: 3) + "word")
        #expect(Sentences.beginning(of: String(repeating: "x", count: 100), milliTokens: 2450).count == 10)
        #expect(Sentences.beginning(of: "退货流程。" + String(repeating: "长", count: 100), milliTokens: 6300) == "退货流程。")
        #expect(Sentences.beginning(of: "👩‍👩‍👧‍👦", milliTokens: 1) == "")
    }

    @Test func whatIsCutIsNeverLongerThanItMayBe() {
        var random = Seeded(state: 5)
        for _ in 0..<200 {
            let text = String(
                (0..<Int.random(in: 0...300, using: &random)).map { _ in
                    "ab c. 长？\n".randomElement(using: &random) ?? "x"
                })
            let limit = Int.random(in: 0...60_000, using: &random)
            let cut = Sentences.beginning(of: text, milliTokens: limit)
            #expect(text.hasPrefix(cut) && TokenEstimate.milliTokens(cut) <= limit)
        }
    }
}

/// Where sentences end in other languages than English.
@Suite struct SentencesOfLanguagesTests {
    @Test(arguments: [
        (
            "Am 3. März ist es z. B. so. Die 2. Mahnung kommt.",
            ["Am 3. März ist es z. B. so. ", "Die 2. Mahnung kommt."]
        ),
        ("Bis zum 24. Dezember usw. Danach 4,50 Euro.", ["Bis zum 24. Dezember usw. ", "Danach 4,50 Euro."]),
        (
            "Das gilt seit 2024. Danach nicht. Kosten: 1.000,50 Euro.",
            ["Das gilt seit 2024. ", "Danach nicht. ", "Kosten: 1.000,50 Euro."]
        ),
        ("We sold 12. Then more came.", ["We sold 12. ", "Then more came."]),
        ("七天内可以退货.运费由买家承担!有问题吗?请联系", ["七天内可以退货.", "运费由买家承担!", "有问题吗?", "请联系"]),
        ("型号iPhone 15.2不支持。版本3.5可以.", ["型号iPhone 15.2不支持。", "版本3.5可以."]),
        ("هل يمكن؟نعم. شكرًا۔ نعم", ["هل يمكن؟", "نعم. ", "شكرًا۔ ", "نعم"]),
        ("शुल्क 4.50 है। क्या? हाँ॥", ["शुल्क 4.50 है। ", "क्या? ", "हाँ॥"]),
    ])
    func sentencesEndWhereTheyShould(_ text: String, _ expected: [String]) {
        #expect(Sentences.split(text[...]).map(String.init) == expected)
    }
}
