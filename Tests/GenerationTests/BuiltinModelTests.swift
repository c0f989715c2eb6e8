import ChatJobs
import Testing

@testable import Generation

@Suite struct EchoModelTests {
    @Test func answersWithTheQuestion() async throws {
        let answer = try await EchoModel().generate(
            GenerationRequest(query: "你好 world", passages: [passage("x")]), onDelta: nil)
        #expect(
            answer
                == Generation(
                    answer: "你好 world", model: "builtin:echo", usage: Usage(promptTokens: 4, completionTokens: 4)))
        #expect(await EchoModel().check() == nil)
    }

    @Test(arguments: [("how do I  return\nit? ", 5), (" lead", 1), ("one", 1), ("退货", 1), ("a b", 2)])
    func streamsWordByWord(_ query: String, _ count: Int) async throws {
        let deltas = Deltas()
        _ = try await EchoModel().generate(GenerationRequest(query: query), onDelta: deltas.handler)
        #expect(deltas.text == query)
        #expect(deltas.all.count == count)
    }

    @Test func aFailureOfTheTakerEndsTheCall() async {
        struct Gone: Error {}
        let revoked = await failure { () throws(JobFailure) in
            try await EchoModel().generate(
                GenerationRequest(query: "a b"), onDelta: { _ in throw JobFailure(.revoked, "taken back") })
        }
        #expect(revoked == JobFailure(.revoked, "taken back"))
        let gone = await failure { () throws(JobFailure) in
            try await EchoModel().generate(GenerationRequest(query: "a b"), onDelta: { _ in throw Gone() })
        }
        #expect(gone?.code == .internal)
    }

    private func failure(_ body: () async throws(JobFailure) -> Generation) async -> JobFailure? {
        await GenerationTests.failure(of: body)
    }
}

@Suite struct ExtractiveModelTests {
    private let returns = passage(
        """
        # Returning goods

        You can return most products within 30 days. Send the parcel back with the label from your account.
        Damaged parcels are returned free of charge. Our warehouse is in Leipzig.
        """, title: "Returns", score: 0.82, id: "returns.md#1")
    private let shipping = passage(
        "## Shipping\n\nOrders leave the warehouse the same day. Delivery within Germany takes two days, e.g. by DHL.",
        title: "Shipping", score: 0.55, id: "shipping.md#1")
    private let chinese = passage(
        "# 退货说明\n\n收到商品后七天内可以退货。退款会在三个工作日内原路退回！运费由谁承担？质量问题由我们承担运费。",
        title: "退货说明", score: 0.8, id: "tuihuo.md#1")

    private func answer(_ query: String, _ passages: [Source]) async throws -> Generation {
        try await ExtractiveModel().generate(GenerationRequest(query: query, passages: passages), onDelta: nil)
    }

    @Test func quotesTheSentenceThatAnswersAndCitesIt() async throws {
        let found = try await answer("How do I return a damaged parcel?", [returns, shipping])
        #expect(found.answer.contains("Damaged parcels are returned free of charge."))
        #expect(found.answer.hasSuffix("[1]"))
        #expect(!found.answer.contains("#"))
        #expect(!found.answer.contains("Leipzig"))
        #expect(found.sources == [returns])
        #expect(found.model == "builtin:extractive")
        #expect(found.usage.completionTokens > 0)
    }

    @Test func numbersAreThoseOfTheSourcesReturned() async throws {
        var first = returns
        first.score = 0.5
        let found = try await answer("how long does delivery within Germany take?", [first, shipping])
        #expect(found.answer == "Delivery within Germany takes two days, e.g. by DHL. [1]")
        #expect(found.sources == [shipping])
    }

    @Test func answersChineseQuestionsFromChinesePassages() async throws {
        let found = try await answer("请问几天内可以退货？", [chinese])
        #expect(found.answer.hasPrefix("收到商品后七天内可以退货。"))
        #expect(found.sources == [chinese])
        let fee = try await answer("质量问题的运费谁承担", [chinese])
        #expect(fee.answer.contains("质量问题由我们承担运费。"))
    }

    @Test(arguments: [
        ("What is the capital of France?", NothingFound.english),
        ("法国的首都是哪里？", NothingFound.chinese),
        ("What does 顺丰 mean?", NothingFound.english), ("iPhone 99 的屏幕多大", NothingFound.chinese),
    ])
    func saysSoWhenThereIsNothing(_ query: String, _ expected: String) async throws {
        for passages in [[], [returns, shipping, chinese]] {
            let found = try await answer(query, passages)
            #expect(found.answer == expected)
            #expect(found.sources.isEmpty)
        }
    }

    @Test func aLongQuestionAboutSomethingElseIsNotAnsweredFromTwoCommonWords() async throws {
        let query =
            "Which warehouse stores parcel bombs that villains smuggle through airports in spy movies, novels, comics, "
            + "operas, ballads, paintings, sculptures, legends, fables, poems, sonnets?"
        #expect(try await answer(query, [returns, shipping]).answer == NothingFound.english)
    }

    @Test func whatTheSearchTakesForTheSameIsFoundInSentences() async throws {
        let found = try await answer("when do I get my money back for the parcel?", [refunds, shipping])
        #expect(found.answer.contains("refund within five days"), "\(found.answer)")
        let chinese = try await answer("钱啥时候退给我", [self.chinese])
        #expect(chinese.answer.contains("退款会在三个工作日内原路退回！"), "\(chinese.answer)")
    }

    private let refunds = passage(
        "We like parcels of all colours. You get the refund within five days. Parcels are brown.", title: "Refunds",
        score: 0.5,
        id: "refunds.md#1")

    /// A wrong answer is worse than none.
    @Test func aQuestionOfWhichLittleIsKnownIsNotAnswered() async throws {
        let visa = passage(
            "We take Visa and Mastercard from any bank.", title: "Ways to pay", score: 0.3, id: "pay.md#1")
        #expect(try await answer("Which visa do I need for Vietnam?", [visa]).answer == NothingFound.english)
        #expect(try await answer("Which visa do I need for Vietnam?", [visa, shipping]).sources.isEmpty)
        #expect(try await answer("Do you take Visa cards from my bank?", [visa, shipping]).sources == [visa])
    }

    @Test func ofTwoDocumentsThatSayAsMuchNeitherIsQuoted() async throws {
        let one = passage("The label is blue here.", score: 0.3, id: "one.md#1")
        let two = passage("A label is on the lid.", score: 0.3, id: "two.md#1")
        #expect(try await answer("who prints the label of a lamp?", [one, two]).sources.isEmpty)
        var sure = one
        sure.text += " Who prints it? We print it on each lamp."
        #expect(try await answer("who prints the label of a lamp?", [sure, two]).sources == [sure])
    }

    @Test func overlappingPassagesAreNotQuotedTwice() async throws {
        let overlap = passage(
            "Damaged parcels are returned free of charge. Damaged parcels need a photo.", title: "Returns", score: 0.8,
            id: "returns.md#2")
        let found = try await answer("damaged parcel returned photo", [returns, overlap])
        #expect(
            found.answer.split(
                separator: "Damaged parcels are returned free of charge.", omittingEmptySubsequences: false
            ).count == 2)
        #expect(found.answer.contains("Damaged parcels need a photo."))
    }

    @Test func sentencesComeInTheOrderOfThePassage() async throws {
        let text = passage(
            "First open the battery cover. Unrelated words stand here. Then take the battery out and replace the battery."
        )
        let found = try await answer("replace battery cover", [text])
        #expect(
            found.answer
                == "First open the battery cover. Then take the battery out and replace the battery. [1]")
    }

    @Test func answersAreShort() async throws {
        let long = (0..<40).map {
            "The battery number \($0) of the lamp model lasts for many hours when it is treated well."
        }
        .joined(separator: " ")
        #expect(try await answer("battery lamp", [passage(long)]).answer.count < 420)
        let endless = passage(String(repeating: "battery lamp and ", count: 200))
        #expect(try await answer("battery lamp", [endless]).answer.count < 420)
        let chinese = passage(String(repeating: "电池续航时间很长，", count: 200))
        #expect(try await answer("电池续航", [chinese]).answer.count < 420)
    }

    @Test func anAnswerIsOfOneDocument() async throws {
        let other = passage("Returned parcels need a photo of the damage.", score: 0.3, id: "photos.md#1")
        let found = try await answer("damaged parcels returned photo", [returns, other])
        #expect(Set(found.sources.map(\.id)).count == 1, "\(found.answer)")
    }

    @Test func streamsSentenceBySentence() async throws {
        let deltas = Deltas()
        let overlap = passage("Damaged parcels need a photo.", score: 0.8, id: "returns.md#2")
        let found = try await ExtractiveModel().generate(
            GenerationRequest(query: "damaged parcels returned photo", passages: [returns, overlap]),
            onDelta: deltas.handler)
        #expect(deltas.all.count == 2)
        #expect(deltas.text == found.answer)
    }

    @Test func questionsWithoutATermAndOddTextsDoNoHarm() async throws {
        for query in ["?", "🙂", "what is it", "的", "。。。", String(repeating: "词语很多 words ", count: 2000)] {
            for text in [
                "", "#", "|", "||", "```", "1.", "- ", "\u{FEFF}", "。", "a.", String(repeating: "(", count: 5000),
                "| a |\n|---|\n| b |",
            ] {
                _ = try await answer(query, [passage(text, score: .nan), passage(text, score: -1)])
            }
        }
    }

    @Test func sentencesAreCutWhereTheyEnd() {
        func cut(_ text: String) -> [String] {
            var text = text
            return text.withUTF8 { bytes in
                SentenceSplitter(bytes, title: "The title").sentences.map { String(decoding: bytes[$0], as: UTF8.self) }
            }
        }
        #expect(
            cut("It costs 3.50 euros. Really (yes.) Fine!") == ["It costs 3.50 euros.", "Really (yes.)"]
                + ["Fine!"].filter { $0.utf8.count >= 6 })
        #expect(cut("Ask Mr. Miller, e.g. by phone. He knows.") == ["Ask Mr. Miller, e.g. by phone.", "He knows."])
        #expect(cut("他说：“可以退货。”我们同意！请联系客服") == ["他说：“可以退货。”", "我们同意！", "请联系客服"])
        #expect(
            cut("The title\nA line\nwrapped here.\n\nAlone\n\n- item one\n- item two\n1. item three") == [
                "A line\nwrapped here.", "item one", "item two", "item three",
            ])
        #expect(
            cut("Setext heading\n=====\nText here.\n---\n```\ncode code.\n```\nMore text.") == [
                "Text here.", "More text.",
            ])
        #expect(
            cut("| Device | Power |\n|---|---|\n| Phones | 20 W |\n| Tablets | 30 W |") == [
                "| Phones | 20 W |", "| Tablets | 30 W |",
            ])
    }
}
