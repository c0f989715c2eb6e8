import ChatJobs
import Testing

@testable import Retrieval

@Suite struct EvaluationTests {
    private func question(_ line: String) throws -> EvaluationQuestion {
        try EvaluationQuestion(line: Array(line.utf8))
    }

    private func mistake(in line: String) -> String {
        do throws(EvaluationQuestion.Mistake) {
            _ = try EvaluationQuestion(line: Array(line.utf8))
            return ""
        } catch { return error.message }
    }

    @Test func aLineIsAQuestionAndWhereItsAnswerStands() throws {
        let line = try question(
            #"{"id":"q-1","query":"how?","article":"a/b.md","lang":"en","agent":"sale","history":[{"role":"user","content":"hi"}]}"#
        )
        #expect(line.query == "how?" && line.articles == ["a/b.md"] && line.language == "en" && line.agent == "sale")
        #expect(line.history == [Turn(role: .user, content: "hi")])
        #expect(try question(#"{"query":"q","article":["a.md","b.md"]}"#).articles == ["a.md", "b.md"])
        #expect(try question(#"{"query":"q","article":"a.md","language":"zh"}"#).language == "zh")
    }

    @Test(arguments: [#"null"#, #""""#, #""none""#, "[]"])
    func nothingAnswersWhereTheArticleIsNone(_ article: String) throws {
        #expect(try question(#"{"query":"q","article":\#(article)}"#).articles.isEmpty)
    }

    @Test(arguments: [
        ("{", "JSON"), ("[1]", "object"), (#"{"article":"a.md"}"#, "query"),
        (#"{"query":" ","article":"a.md"}"#, "query"),
        (#"{"query":7,"article":"a.md"}"#, "query"), (#"{"query":"q"}"#, "article"),
        (#"{"query":"q","article":7}"#, "article"), (#"{"query":"q","article":["a.md",7]}"#, "article"),
        (#"{"query":"q","article":"a.md","lang":1}"#, "lang"), (#"{"query":"q","article":"a.md","agent":[]}"#, "agent"),
        (#"{"query":"q","article":"a.md","history":{}}"#, "history"),
        (#"{"query":"q","article":"a.md","history":[{"role":"god","content":""}]}"#, "history"),
    ])
    func aMistakeNamesTheMember(_ line: String, _ member: String) {
        #expect(mistake(in: line).contains(member))
    }

    @Test func theFolderThatWasIngestedMayBeAnother() throws {
        let line = try question(#"{"query":"q","article":"en/returns.md"}"#)
        #expect(line.isAnswered(by: "en/returns.md") && line.isAnswered(by: "knowledge/en/returns.md"))
        #expect(line.isAnswered(by: "returns.md"))
        #expect(!line.isAnswered(by: "zh/returns.md") && !line.isAnswered(by: "turns.md"))
    }

    @Test func sharesAreOfTheQuestionsThatHaveAnAnswer() throws {
        var evaluation = Evaluation()
        let others = ["x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x"]
        let cases: [(String, [String])] = [
            (#"{"query":"1","article":"a","lang":"en","agent":"sale"}"#, ["a", "b"]),
            (#"{"query":"2","article":"a","lang":"en","agent":"sale"}"#, ["x", "x", "x", "a", "a"]),
            (#"{"query":"3","article":"a","lang":"zh"}"#, ["x", "x", "x", "x", "a"]),
            (#"{"query":"4","article":"a","lang":"zh"}"#, others + ["a"]),
            (#"{"query":"5","article":null,"lang":"zh"}"#, []), (#"{"query":"6","article":null}"#, ["a"]),
        ]
        for (line, found) in cases { evaluation.add(try question(line), found: found) }
        let all = evaluation.all
        #expect(all.questions == 6 && all.answerable == 4 && all.unanswerable == 2)
        #expect(all.hitAt1 == 0.25 && all.hitAt4 == 0.5 && all.hitAt10 == 0.75)
        #expect(all.meanReciprocalRank.map { abs($0 - (1 + 0.25 + 0.2) / 4) < 1e-9 } == true)
        #expect(all.nothingFound == 0.5)
        #expect(evaluation.byLanguage.keys.sorted() == ["en", "zh"] && evaluation.byAgent.keys.sorted() == ["sale"])
        #expect(evaluation.byLanguage["zh"]?.nothingFound == 1 && evaluation.byAgent["sale"]?.hitAt1 == 0.5)
        #expect(evaluation.byAgent["sale"]?.nothingFound == nil && Evaluation().all.hitAt1 == nil)
    }
}
