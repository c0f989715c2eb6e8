import ChatJobs
import Testing

@testable import Routing

@Suite struct RouterTests {
    private let router: Router

    init() throws { router = try Router.builtin.get() }

    @Test func scoresAreThoseOfTheTrainer() throws {
        for line in try lines(of: "Tests/RoutingTests/golden.jsonl") {
            let text = try #require(line["text"]?.string)
            let scores = router.scores(of: text)
            let need = try #require(line["need"]?.double)
            #expect(abs(scores.need - need) < 1e-9, "\(text)")
            let agents = (line["agents"]?.elements ?? []).compactMap(\.double)
            #expect(agents.count == scores.agents.count)
            for (one, other) in zip(agents, scores.agents) { #expect(abs(one - other) < 1e-9, "\(text)") }
        }
    }

    @Test(arguments: ["hello", "Thanks a lot!", "谢谢", "你好", "ok", "好的", "Good morning!", "bye", "再见", "THANK YOU"])
    func smallTalkNeedsNoPassages(_ text: String) {
        #expect(router.decision(query: text) == .init(agent: nil, needsPassages: false))
    }

    @Test(arguments: [
        ("How do I return a damaged parcel?", "aftersale"), ("Where is my parcel?", "logistics"),
        ("怎么申请退货", "aftersale"),
        ("快递什么时候送到", "logistics"), ("Which size should I take?", "presale"), ("优惠券怎么用", "presale"),
        ("hello, how long is the delivery to Nanjing?", "logistics"),
    ])
    func questionsGoToTheirAgentWithPassages(_ text: String, _ agent: String) {
        let decision = router.decision(query: text)
        #expect(decision.needsPassages)
        #expect(decision.agent == agent)
    }

    @Test func followUpsGoToTheAgentOfWhatTheyFollowUp() {
        let history = [
            Turn(role: .user, content: "My parcel has not moved for days, where is it?"),
            Turn(role: .assistant, content: "It is in Jiaxing."),
            Turn(role: .user, content: "thanks"), Turn(role: .assistant, content: "You are welcome."),
        ]
        let decision = router.decision(query: "and until when?", history: history)
        #expect(decision == .init(agent: "logistics", needsPassages: true))
    }

    @Test func atMostTwoInAHundredOfTheSamplesQuestionsLoseTheirPassages() throws {
        let sample = try lines(of: "config/sample/questions.jsonl")
        let decisions = sample.map { router.decision(query: $0["query"]?.string ?? "") }
        #expect(decisions.count { !$0.needsPassages } * 100 <= sample.count * 2)
        let right = zip(sample, decisions).count { $0["agent"]?.string == $1.agent }
        #expect(right * 100 >= sample.count * 70, "\(right) of \(sample.count)")
    }

    @Test func noneOfTheSamplesQuestionsWasLearnt() throws {
        let learnt = Set(
            try lines(of: "config/routing/questions.jsonl").map { TextFeatures($0["text"]?.string ?? "").scalars })
        #expect(learnt.count >= 1200)
        for question in try lines(of: "config/sample/questions.jsonl") {
            #expect(!learnt.contains(TextFeatures(question["query"]?.string ?? "").scalars))
        }
    }

    @Test func anythingCanBeAsked() {
        for text in ["", "\0", "🤷‍♀️", String(repeating: "啊", count: 30_000), "\u{1F1E8}\u{1F1F3}"] {
            _ = router.decision(query: text, history: [Turn(role: .user, content: text)])
        }
    }
}
