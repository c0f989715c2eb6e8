import Testing

@testable import Answering

/// What those are given who have had the beginning of an answer from another call.
@Suite struct StreamedTextTests {
    private func text(after pieces: [String]) -> StreamedText {
        var text = StreamedText()
        for piece in pieces { _ = text.take(piece) }
        return text
    }

    @Test func theFirstCallsPiecesArePassedOnAsTheyAre() {
        var text = StreamedText()
        #expect(["a", "", "bc"].map { text.take($0) } == ["a", "", "bc"])
        #expect(text.had == "abc" && text.said == "abc" && !text.isBroken)
        #expect(text.rest(of: "abc") == "" && text.rest(of: "abcd") == "d" && text.rest(of: "ab") == nil)
    }

    @Test(arguments: 1...12) func anotherCallThatSaysTheSameGoesOnWhereTheFirstBrokeOff(size: Int) {
        let answer = "Zurück: 退货 in 7 days."
        let bytes = Array(answer.unicodeScalars)
        let pieces = stride(from: 0, to: bytes.count, by: size).map { start in
            var piece = ""
            piece.unicodeScalars.append(contentsOf: bytes[start..<min(start + size, bytes.count)])
            return piece
        }
        for cut in 0...bytes.count {
            var had = ""
            had.unicodeScalars.append(contentsOf: bytes[..<cut])
            var text = text(after: [had])
            text.beginAnew()
            #expect(text.had == had)
            let more = pieces.map { text.take($0) }.joined()
            #expect(had + more == answer && text.had == answer && !text.isBroken)
            #expect(text.rest(of: answer) == "")
        }
    }

    @Test func anotherCallThatSaysSomethingElseIsNotHeard() {
        var text = text(after: ["one ", "two"])
        text.beginAnew()
        #expect(["one", " 2", "", " three"].map { text.take($0) } == ["", "", "", ""])
        #expect(text.isBroken && text.had == "one two" && text.said == "one 2 three")
        #expect(text.rest(of: "one 2 three") == nil)
        #expect(text.rest(of: "one two three") == " three", "another has it")
    }

    @Test func aThirdCallMayGoOnAgain() {
        var text = text(after: ["one "])
        text.beginAnew()
        _ = text.take("uno")
        text.beginAnew()
        #expect(!text.isBroken && text.had == "one ")
        #expect(["on", "e two"].map { text.take($0) } == ["", "two"])
        text.beginAnew()
        #expect(text.had == "one two" && text.said == "")
    }

    /// The same letters in other bytes are other text: pieces are joined byte for byte.
    @Test func bytesAreCompared() {
        var text = text(after: ["\u{E9}"])
        text.beginAnew()
        #expect(text.take("e\u{301}") == "")
        #expect(text.isBroken)
    }
}
