import Testing

@testable import Retrieval

@Suite struct ChunkerTests {
    private func document(_ text: String, title: String = "Guide") -> Document {
        Document(id: "guide.md", title: title, text: text)
    }

    @Test func aShortDocumentIsOnePassageUnderItsTitle() {
        let passages = Chunker().passages(of: document("# Guide\n\nAll is well."))
        #expect(passages == [Passage(documentID: "guide.md", ordinal: 1, title: "Guide", text: "All is well.")])
        #expect(passages.first?.id == "guide.md#1")
        #expect(passages.first?.embeddedText == "Guide\nAll is well.")
    }

    @Test func passagesAreCutAtHeadingsFirstAndCarryTheirTrail() {
        let filler = String(repeating: "Some words about this matter stand here. ", count: 8)
        let text = "# Guide\n\nIntro.\n\n## One\n\n\(filler)\n\n### Deep\n\n\(filler)\n\n## Two\n\n\(filler)"
        let passages = Chunker(maxTokens: 120, overlapTokens: 30).passages(of: document(text))
        #expect(passages.map(\.heading) == ["Guide", "Guide › One › Deep", "Guide › Two"])
        #expect(passages[0].text.hasPrefix("Intro.\n\n## One\n\nSome words"))
        #expect(passages[1].text.hasPrefix("Some words"))
        #expect(!passages[1].text.contains("###"))
    }

    @Test func smallSectionsShareAPassage() {
        let passages = Chunker().passages(
            of: document("# Guide\n\n## A\n\nFirst.\n\n## B\n\nSecond.\n\n## C\n\nThird."))
        #expect(passages.map(\.text) == ["First.\n\n## B\n\nSecond.\n\n## C\n\nThird."])
        #expect(passages.map(\.heading) == ["Guide › A"])
    }

    @Test(arguments: [("The parcel number %d arrived at noon. ", 900), ("第%d个包裹已经在中午送到了客户手中。", 350)])
    func longSectionsAreCutBetweenSentencesAndOverlap(_ pattern: String, _ characters: Int) {
        let sentences = (100..<200).map { pattern.replacing("%d", with: "\($0)") }
        let passages = Chunker().passages(of: document("# Guide\n\n" + sentences.joined()))
        #expect(passages.count > 3)
        for passage in passages {
            #expect(TokenEstimate.milliTokens(passage.text) <= 220_000)
            #expect(".。".contains(passage.text.last ?? " "))
        }
        for passage in passages.dropLast() {
            #expect((characters * 7 / 10...characters * 13 / 10).contains(passage.text.count))
        }
        for (one, next) in zip(passages, passages.dropFirst()) {
            let first = Sentences.split(next.text[...]).first.map { trimmed($0) } ?? ""
            #expect(one.text.contains(first), "the next passage begins with the end of the one before")
            #expect(!next.text.hasPrefix(one.text.prefix(40)))
        }
        // Nothing is lost.
        for number in 100..<200 { #expect(passages.contains { $0.text.contains("\(number)") }) }
    }

    @Test func codeFencesStayWholeWhenTheyFit() {
        let code = "```sh\n" + (0..<12).map { "run step-\($0)  --with=value. Next\n" }.joined() + "```"
        let text =
            "# Guide\n\n" + String(repeating: "Words before the code stand here. ", count: 14) + "\n\n\(code)\n\nAfter."
        let passages = Chunker(maxTokens: 160, overlapTokens: 20).passages(of: document(text))
        #expect(passages.contains { $0.text.contains(code) })
    }

    @Test func aHeadingInsideCodeIsNoHeading() {
        let passages = Chunker().passages(of: document("# Guide\n\n```\n# not a heading\n```\n"))
        #expect(passages.map(\.text) == ["```\n# not a heading\n```"])
        #expect(Document.markdownTitle(of: "```\n# no\n```\n\n# Yes #\n") == "Yes")
    }

    @Test func unbrokenTextIsCutHardButNeverInsideACharacter() {
        let family = "👩‍👩‍👧‍👦"
        let passages = Chunker(maxTokens: 20).passages(of: document(String(repeating: family, count: 200)))
        #expect(passages.count > 10)
        for passage in passages { #expect(passage.text.allSatisfy { String($0) == family }) }
        let long = Chunker().passages(of: document(String(repeating: "x", count: 100_000)))
        #expect(long.map(\.text).joined().count == 100_000)
    }

    @Test func chineseSectionsAreCutLikeEnglishOnes() {
        let filler = String(repeating: "商品有问题时请在四十八小时内联系客服。", count: 6)
        let passages = Chunker(maxTokens: 110).passages(
            of: document("# 退货\n\n## 期限\n\n\(filler)\n\n## 运费\n\n\(filler)", title: "退货"))
        #expect(passages.map(\.heading) == ["退货 › 期限", "退货 › 运费"])
        #expect(passages.map(\.text) == [filler, filler])
    }

    @Test func anyTextGivesPassagesWithinTheLimit() {
        var random = Seeded(state: 11)
        let parts = [
            "# H", "## Sub", "\n", "\n\n", "```", "word ", "中文", "。", ". ", "- item\n", "👩‍👧", "\u{0}", "#", "~~~\n",
        ]
        for _ in 0..<300 {
            let text = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                parts.randomElement(using: &random) ?? ""
            }.joined()
            let passages = Chunker(maxTokens: 24, overlapTokens: 8).passages(of: document(text))
            #expect(passages.map(\.ordinal) == Array(1..<(passages.count + 1)))
            for passage in passages { #expect(!passage.text.isEmpty) }
        }
    }
}
