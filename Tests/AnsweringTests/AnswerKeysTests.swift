import ChatJobs
import Testing

@testable import Answering

/// Whatever decides an answer is in its key; nothing else is.
@Suite struct AnswerKeysTests {
    private func keys(_ scope: CacheScope = .tenant) -> AnswerKeys { AnswerKeys(scope: scope) }

    private func agents(identity: String = "i") -> Agents {
        var configuration = AgentConfiguration()
        configuration.identity = Array(identity.utf8)
        return Agents(
            Agent(passageSource: nil, model: Unasked(), configuration: configuration),
            named: [Agent(name: "presale", passageSource: nil, model: Unasked(), configuration: configuration)])
    }

    private func job(_ change: (inout Job) -> Void = { _ in }) throws -> Job {
        var job = Job(id: try #require(JobID("a")), query: "How do I return a parcel?")
        job.tenant = "shop"
        job.userID = "u1"
        change(&job)
        return job
    }

    private func key(
        _ keys: AnswerKeys? = nil, _ agents: Agents? = nil, knowledge: String? = "1", hasTenants: Bool = false,
        _ change: (inout Job) -> Void = { _ in }
    ) throws -> AnswerKey? {
        let job = try job(change)
        return (keys ?? self.keys()).key(
            of: job, (agents ?? self.agents()).route(of: job),
            knowledge: knowledge.map { KnowledgeState($0, hasTenants: hasTenants) })
    }

    private static let changes: [(what: String, change: @Sendable (inout Job) -> Void)] = [
        ("query", { $0.query = "How do I return a parcel" }),
        ("its case", { $0.query = "how do I return a parcel?" }),
        ("rewritten_query", { $0.rewrittenQuery = "parcel return" }),
        ("history", { $0.history = [Turn(role: .user, content: "Hello")] }),
        ("history's roles", { $0.history = [Turn(role: .assistant, content: "Hello")] }),
        ("tenant", { $0.tenant = "other" }),
        ("no tenant", { $0.tenant = nil }),
        ("a tenant without a name", { $0.tenant = "" }),
        ("agent", { $0.agent = "presale" }),
        ("model", { $0.options.model = "m" }),
        ("temperature", { $0.options.temperature = 0.3 }),
        ("seed", { $0.options.seed = 1 }),
        ("max_tokens", { $0.options.maxTokens = 10 }),
        ("top_k", { $0.options.topK = 5 }),
        ("retrieve", { $0.options.retrieve = .always }),
        ("retrieve never", { $0.options.retrieve = .never }),
    ]

    @Test(arguments: changes.indices)
    func anotherMemberIsAnotherKey(index: Int) throws {
        let plain = try #require(try key())
        #expect(try key(keys(), nil, Self.changes[index].change) != plain, "\(Self.changes[index].what)")
    }

    @Test func allOfThemDiffer() throws {
        let all = try Self.changes.map { try key(keys(), nil, $0.change) }
        #expect(Set(all).count == Self.changes.count)
    }

    @Test func whatDecidesNothingIsNotInIt() throws {
        let plain = try #require(try key())
        #expect(try key { $0.id = JobID("b") ?? $0.id } == plain)
        #expect(try key { $0.stream = true } == plain)
        #expect(try key { $0.deadline = Timestamp(milliseconds: 1) } == plain)
        #expect(try key { $0.notBefore = Timestamp(milliseconds: 1) } == plain)
        #expect(try key { $0.metadata = Array("{}".utf8) } == plain)
        #expect(try key { $0.userID = "u2" } == plain)
        #expect(try key { $0.options.cache = .refresh } == plain)
        #expect(try key { $0.agent = "nobody" } == plain, "the default agent answers it")
        #expect(try key { $0.query = "  How do\n I return\u{3000}a parcel? " } == plain)
        #expect(try key { $0.query = "How do I return a parcel？" } == plain)
    }

    @Test func knowledgeAndSettingsAreInIt() throws {
        let plain = try #require(try key())
        #expect(try key(knowledge: "2") != plain)
        #expect(try key(keys(), agents(identity: "another prompt")) != plain)
        #expect(try key { $0.options.topK = 4 } == plain, "the default said aloud")
        let without = try #require(try key(knowledge: "1") { $0.options.retrieve = .never })
        #expect(try key(knowledge: "2") { $0.options.retrieve = .never } == without)
    }

    @Test func noAnswerIsSharedThatRestsOnWhatIsNotKnown() throws {
        #expect(try key(knowledge: nil) == nil)
        #expect(try key(knowledge: nil) { $0.options.retrieve = .never } != nil)
        #expect(try key { $0.options.cache = .bypass } == nil)
    }

    @Test func scopesSayWhoShares() throws {
        #expect(try key(keys(.user)) != key(keys(.user)) { $0.userID = "u2" })
        #expect(try key(keys(.user)) != key(keys(.user)) { $0.tenant = "other" })
        #expect(try key(keys(.all)) == key(keys(.all)) { $0.tenant = "other" })
        #expect(
            try key(keys(.user)) {
                $0.tenant = "a"
                $0.userID = nil
            }
                != key(keys(.user)) {
                    $0.tenant = nil
                    $0.userID = "a"
                })
        // What was found in a tenant's passages is no other's, whoever else shares.
        let other: (inout Job) -> Void = { $0.tenant = "other" }
        #expect(try key(keys(.all), hasTenants: true) != key(keys(.all), nil, hasTenants: true, other))
        #expect(try key(keys(.all), hasTenants: true) { $0.userID = "u2" } == key(keys(.all), hasTenants: true))
        #expect(try #require(try key(keys(.all), hasTenants: true)).text.hasPrefix("shop:"))
        let apart = AnswerKeys(scope: .all, separatesTenants: true)
        #expect(try key(apart) != key(apart, nil, other))
        let without: (inout Job) -> Void = { $0.options.retrieve = .never }
        #expect(
            try key(apart, nil, hasTenants: true, without)
                == key(apart, hasTenants: true) {
                    other(&$0)
                    without(&$0)
                })
        // What they begin with is what `parley forget` looks for.
        #expect(try #require(try key()).text.hasPrefix("shop:"))
        #expect(try #require(try key(keys(.user))).text.hasPrefix("shop:u1:"))
        #expect(try #require(try key { $0.tenant = "a:b" }).text.hasPrefix("a%3Ab:"))
    }
}
