import Testing

@testable import Retrieval

@Suite struct PassageSelectionTests {
    private func match(_ document: String, _ ordinal: Int, _ text: String, heading: String? = nil, _ score: Float = 0.5)
        -> Match
    {
        Match(
            passage: Passage(documentID: document, ordinal: ordinal, title: "T", heading: heading, text: text),
            score: score)
    }

    private func texts(_ topK: Int, _ matches: [Match]) -> [String] {
        PassageSelection.best(topK, of: matches).map { "\($0.passage.id) \($0.passage.text)" }
    }

    @Test func neighboursBecomeOnePassageAndSayNothingTwice() {
        let first = match("a", 2, "One is here. Two is there.")
        let second = match("a", 3, "Two is there. Three is nowhere.", 0.7)
        let other = match("b", 1, "Other.")
        #expect(
            texts(4, [first, other, second]) == ["a#2 One is here. Two is there. Three is nowhere.", "b#1 Other."])
        #expect(
            texts(4, [second, other, first]) == ["a#2 One is here. Two is there. Three is nowhere.", "b#1 Other."])
        #expect(PassageSelection.best(4, of: [first, second]).first?.score == 0.7)
        // One that was found late does not come in by its neighbour unless there is room anyway.
        #expect(texts(1, [first, other, second]) == ["a#2 One is here. Two is there."])
    }

    @Test func whatIsNotNextToEachOtherStaysApart() {
        #expect(texts(4, [match("a", 1, "One."), match("a", 3, "Three.")]) == ["a#1 One.", "a#3 Three."])
        #expect(texts(4, [match("a", 1, "One."), match("b", 2, "Two.")]).count == 2)
        // Until what is between them is found.
        #expect(
            texts(4, [match("a", 1, "One."), match("a", 2, "Two."), match("a", 3, "Three.")]) == [
                "a#1 One.\n\nTwo.\n\nThree."
            ])
    }

    @Test func aSectionThatBeginsInBetweenIsNamed() {
        let first = match("a", 1, "One.", heading: "T › S")
        #expect(texts(4, [first, match("a", 2, "Two.", heading: "T › U › V")]) == ["a#1 One.\n\nU › V\n\nTwo."])
        #expect(texts(4, [first, match("a", 2, "Two.", heading: "T › S")]) == ["a#1 One.\n\nTwo."])
    }

    @Test func aJoinedPassageIsNoLongerThanTwo() {
        let long = String(repeating: "Words and words. ", count: 50)
        let matches = (1...4).map { match("a", $0, "\($0) \(long)\($0)") }
        #expect(texts(4, matches).count == 2)
    }

    @Test func placesThatAreFreedAreFilled() {
        let matches = [match("a", 1, "One."), match("a", 2, "Two."), match("b", 1, "B."), match("c", 1, "C.")]
        #expect(texts(2, matches) == ["a#1 One.\n\nTwo.", "b#1 B."])
    }

    @Test func ofTwoThatSayTheSameTheBetterOneStays() {
        let text =
            "You may return goods within 30 days of the day on which you have received them: in their box, unworn."
        let set =
            "You may return goods\nwithin **30 days** of the day on which you have received them, in their box, Unworn!"
        #expect(
            texts(4, [match("a", 1, text), match("b", 1, text), match("c", 1, "C.")]) == ["a#1 \(text)", "c#1 C."])
        #expect(texts(4, [match("a", 1, text), match("b", 1, set)]).count == 1)
        #expect(!PassageSelection.areAlike(match("a", 1, text).passage, match("a", 2, text).passage))
        // One word that differs is another statement.
        for changed in [text.replacing("30", with: "14"), text.replacing("may", with: "may not"), text + " Not."] {
            #expect(texts(4, [match("a", 1, text), match("b", 1, changed)]).count == 2)
        }
        #expect(texts(4, [match("a", 1, ""), match("b", 1, "!")]).count == 2)
    }
}
