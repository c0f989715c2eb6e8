import ChatJobs
import Testing

@testable import Answering

@Suite struct FoundPassagesTests {
    private let agent = Agent(passageSource: nil, model: Unasked(), configuration: AgentConfiguration())
    private let source = Source(id: "a#1", score: 1, title: "", text: "text")

    private func question(_ tenant: String?) -> PassageFinder.Question {
        PassageFinder.Question(text: "q", tenant: tenant, topK: 4, isMust: false, isFirstTry: true)
    }

    @Test func tenantsShareOnlyWhatAllOfThemFind() {
        for hasTenants in [false, true] {
            let state = KnowledgeState("1", hasTenants: hasTenants)
            var passages = FoundPassages(capacity: 1 << 20)
            passages.keep([source], for: question("a"), agent, state, now: .zero)
            #expect(passages.sources(for: question("a"), agent, state, now: .zero)?.count == 1)
            #expect((passages.sources(for: question("b"), agent, state, now: .zero) == nil) == hasTenants)
            #expect((passages.sources(for: question(nil), agent, state, now: .zero) == nil) == hasTenants)
        }
    }

    @Test func nothingIsKeptForLongerThanAMinuteOrBeyondAChange() {
        let state = KnowledgeState("1")
        var passages = FoundPassages(capacity: 1 << 20)
        passages.keep([source], for: question(nil), agent, state, now: .zero)
        #expect(passages.sources(for: question(nil), agent, state, now: .seconds(59)) != nil)
        #expect(passages.sources(for: question(nil), agent, state, now: .seconds(60)) == nil)
        passages.keep([source], for: question(nil), agent, state, now: .zero)
        #expect(passages.sources(for: question(nil), agent, KnowledgeState("2"), now: .zero) == nil)
    }
}
