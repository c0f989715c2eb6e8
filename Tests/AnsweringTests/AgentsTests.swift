import ChatJobs
import Routing
import Testing

@testable import Answering

/// Which agent a question goes to, whether it has passages, and what they are looked for with.
@Suite struct AgentsTests {
    private func agent(_ name: String?, _ change: (inout AgentConfiguration) -> Void = { _ in }) -> Agent {
        var configuration = AgentConfiguration()
        configuration.appendsFollowedUp = true
        change(&configuration)
        return Agent(name: name, passageSource: NoPassages(), model: Unasked(), configuration: configuration)
    }

    private func agents(routed: Bool = true, standard: Agent? = nil) throws -> Agents {
        Agents(
            standard ?? agent(nil), named: [agent("presale") { $0.topK = 7 }, agent("logistics")],
            router: routed ? try Router.builtin.get() : nil)
    }

    private func job(_ query: String, _ change: (inout Job) -> Void = { _ in }) throws -> Job {
        var job = Job(id: try #require(JobID("a")), query: query)
        change(&job)
        return job
    }

    private static let shipping = "My parcel has not arrived yet, where is it and when will the courier deliver it?"

    @Test func aJobsOwnAgentGoesFirst() throws {
        let route = try agents().route(of: job(Self.shipping) { $0.agent = "presale" })
        #expect(route.agent.name == "presale")
        #expect(route.topK == 7)
    }

    @Test func theRouterDecidesForJobsThatNameNone() throws {
        #expect(try agents().route(of: job(Self.shipping)).agent.name == "logistics")
    }

    @Test func withoutARouterTheDefaultAgentAnswers() throws {
        let route = try agents(routed: false).route(of: job(Self.shipping))
        #expect(route.agent.name == nil)
        #expect(route.retrieve == .auto)
    }

    @Test func anAgentThatIsNotConfiguredIsTheDefaultOne() throws {
        // What the router would say does not count: the job has named one.
        #expect(try agents().route(of: job(Self.shipping) { $0.agent = "billing" }).agent.name == nil)
        let alone = Agents(agent(nil), router: try Router.builtin.get())
        #expect(try alone.route(of: job(Self.shipping)).agent.name == nil)
    }

    @Test func whatNeedsNoPassagesGetsNone() throws {
        let thanks = try agents().route(of: job("Thank you so much, have a nice day!"))
        #expect(thanks.retrieve == .never)
        #expect(thanks.isSpared)
        #expect(thanks.agent.name == nil)
        #expect(try agents().route(of: job(Self.shipping)).retrieve == .auto)
    }

    @Test(arguments: ["job-1", "question 17", "x", "?", "Thanks, and what of order 4711?"])
    func whatHasANumberOrIsNoWordHasPassagesLookedFor(query: String) throws {
        #expect(try agents().route(of: job(query)).retrieve == .auto)
    }

    @Test func whoSaysWhetherToRetrieveIsObeyed() throws {
        let thanks = "Thank you so much, have a nice day!"
        #expect(try agents().route(of: job(thanks) { $0.options.retrieve = .always }).retrieve == .always)
        let never = try agents().route(of: job(Self.shipping) { $0.options.retrieve = .never })
        #expect(never.retrieve == .never)
        #expect(!never.isSpared)
        let always = agent(nil) { $0.retrieve = .always }
        #expect(try agents(standard: always).route(of: job(thanks)).retrieve == .always)
    }

    @Test func aFollowUpIsSearchedForWithWhatItFollowsUp() throws {
        let history = [
            Turn(role: .user, content: "How long does delivery to France take?"),
            Turn(role: .assistant, content: "Three to five days."),
        ]
        let followUp = try job("And to Germany?") { $0.history = history }
        let route = try agents().route(of: followUp)
        #expect(route.rewrittenQuery == "How long does delivery to France take? And to Germany?")
        #expect(route.agent.name == "logistics")
        let off = agent(nil) { $0.appendsFollowedUp = false }
        #expect(Agents(off).route(of: followUp).rewrittenQuery == nil)
        #expect(Agents(agent(nil)).route(of: followUp).rewrittenQuery != nil, "it takes no router")
    }

    @Test func aProducersRewrittenQueryGoesFirst() throws {
        let job = try job("And that one?") {
            $0.rewrittenQuery = "When will the courier deliver my parcel?"
            $0.history = [Turn(role: .user, content: "Which laptop do you recommend for a student?")]
        }
        let route = try agents().route(of: job)
        #expect(route.rewrittenQuery == "When will the courier deliver my parcel?")
        #expect(route.agent.name == "logistics")
    }
}

/// A model that is not asked.
struct Unasked: AnswerModel {
    var isLocal: Bool { true }
    func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer { throw JobFailure(.internal, "nobody asks") }
    func probe() async -> Bool { true }
}

struct NoPassages: PassageSource {
    var isLocal: Bool { true }
    func isReady() async -> Bool { true }
    func state() async -> KnowledgeState? { KnowledgeState("1") }
    func passages(
        for questions: [PassageQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Source], PassageFailure>] { questions.map { _ in .success([]) } }
    func probe(_ dependency: Dependency) async -> Bool { true }
}
