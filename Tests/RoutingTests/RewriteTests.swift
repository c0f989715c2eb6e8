import ChatJobs
import Testing

@testable import Routing

@Suite struct RewriteTests {
    private func turns(_ questions: String...) -> [Turn] {
        questions.flatMap { [Turn(role: .user, content: $0), Turn(role: .assistant, content: "An answer.")] }
    }

    @Test func theLastQuestionIsPutInFrontOfAFollowUp() {
        let history = turns("What does a gift box cost?", "How long does delivery to Berlin take?")
        #expect(
            Rewrite.appended(query: "and to Paris?", history: history)
                == "How long does delivery to Berlin take? and to Paris?")
        #expect(Rewrite.appended(query: "那国外呢", history: turns("运费怎么算")) == "运费怎么算 那国外呢")
    }

    @Test func questionsThatStandAloneStayAsTheyAre() {
        let history = turns("What does a gift box cost?")
        #expect(Rewrite.appended(query: "How do I return a pair of shoes that do not fit?", history: history) == nil)
        #expect(Rewrite.appended(query: "收到的包裹破损了应该怎么申请退款", history: history) == nil)
        #expect(Rewrite.appended(query: "and to Paris?", history: []) == nil)
        let noQuestions = [Turn(role: .assistant, content: "Hello!"), Turn(role: .system, content: "Be kind.")]
        #expect(Rewrite.appended(query: "and to Paris?", history: noQuestions) == nil)
    }

    @Test func aFollowUpOfAFollowUpReachesTheQuestion() {
        let history = turns("How long does delivery to Berlin take?", "and to Paris?")
        #expect(
            Rewrite.appended(query: "what about express", history: history)
                == "How long does delivery to Berlin take? and to Paris? what about express")
    }

    @Test func turnsThatAreNoQuestionsAreSkipped() throws {
        let router = try Router.builtin.get()
        let history = turns("How long does delivery to Berlin take?", "thanks!", "  ")
        #expect(
            router.searchText(query: "and to Paris?", history: history)
                == "How long does delivery to Berlin take? and to Paris?")
    }

    @Test func aLongQuestionIsCutAtASentence() {
        let story = String(repeating: "I bought a lamp for my mother and she likes it a lot. ", count: 20)
        let rewritten = Rewrite.appended(query: "and for a fan?", history: turns(story + "How long is the warranty?"))
        #expect(rewritten?.hasPrefix("I bought a lamp") == true)
        #expect(rewritten?.hasSuffix("How long is the warranty? and for a fan?") == true)
        #expect((rewritten?.count ?? .max) <= Rewrite.limit + 15)
        let words = String(repeating: "lamp ", count: 200)
        #expect(Rewrite.end(of: words, within: 12) == "lamp lamp")
        #expect(Rewrite.end(of: String(repeating: "灯", count: 500), within: 100).count == 100)
    }

    @Test func aMegabyteOfHistoryIsNotPutInFront() {
        let flood = String(repeating: "word ", count: 200_000) + "? How long is the warranty?"
        #expect(
            Rewrite.appended(query: "and for a fan?", history: turns(flood))
                == "How long is the warranty? and for a fan?")
        #expect(!FollowUp.isLikely("and " + flood))
    }

    @Test func theSameQuestionAgainIsNotPutInFrontOfItself() {
        #expect(Rewrite.appended(query: "and to Paris?", history: turns("and to Paris?")) == nil)
    }

    @Test(arguments: [
        "and on Sundays?", "what about red", "how long does it take", "is that free?",
        "Thanks, and how do I apply for it",
        "ok but what if it's sold out", "那呢", "多少钱", "这个可以退吗", "好的，那费用呢", "要是没人在呢", "why?",
    ])
    func followUpsAreSeen(_ text: String) { #expect(FollowUp.isLikely(text)) }

    @Test(arguments: [
        "How long does standard delivery to Shenzhen take?", "Can I use two vouchers in one order?", "", "?!",
        "My kettle stopped heating after five months, what can I do about the warranty?", "我想把上周买的蓝色毛毯退掉怎么办理退货",
        "优惠券过期了以后可以申请补发一张新的吗",
    ])
    func questionsOfTheirOwnAreNot(_ text: String) { #expect(!FollowUp.isLikely(text)) }
}
