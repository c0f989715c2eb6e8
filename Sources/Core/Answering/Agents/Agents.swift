import ChatJobs
import Routing

/// The agents of a worker, and who tells which of them a question is for.
package struct Agents: Sendable {
    /// For jobs that are no other's.
    let standard: Agent
    /// By name.
    let named: [String: Agent]
    /// `routing.model`; nil: jobs that name no agent go to the default one, and `auto` retrieves.
    let router: Router?

    package init(_ standard: Agent, named: [Agent] = [], router: Router? = nil) {
        self.standard = standard
        self.named = Dictionary(named.map { ($0.name ?? "", $0) }) { first, _ in first }
        self.router = router
    }

    /// The default one first, the others by their names.
    package var all: [Agent] { [standard] + named.values.sorted { $0.name ?? "" < $1.name ?? "" } }

    /// Nothing that answers need is asked of a service.
    var isLocal: Bool { standard.isLocal && named.values.allSatisfy(\.isLocal) }

    /// Decides on a job: the agent that it names, else the router's, else the default one.
    func route(of job: Job) -> Route {
        let decision = isRouted(job) ? decision(on: job) : nil
        let agent = (job.agent ?? decision?.agent).flatMap { named[$0] } ?? standard
        let mode = job.options.retrieve ?? agent.configuration.retrieve
        let isSpared = mode == .auto && decision?.needsPassages == false && !Self.isSpecific(job.query)
        let retrieve = isSpared ? JobOptions.Retrieve.never : mode
        return Route(
            agent: agent, retrieve: retrieve, isSpared: isSpared,
            topK: job.options.topK ?? agent.configuration.topK,
            rewrittenQuery: job.rewrittenQuery
                ?? (retrieve == .never ? nil : appended(job, by: agent)),
            isToBeRewritten: agent.rewriter != nil && agent.passageSource != nil && retrieve != .never
                && job.rewrittenQuery == nil && !job.history.isEmpty)
    }

    /// Numbers, and what is no word at all, are no idle talk: in doubt passages are looked for.
    private static func isSpecific(_ query: String) -> Bool {
        query.contains(where: \.isNumber) || query.count(where: \.isLetter) < 2
    }

    /// Whether anything hangs on the router's word.
    private func isRouted(_ job: Job) -> Bool {
        guard router != nil else { return false }
        if job.agent == nil, !named.isEmpty { return true }
        let agent = job.agent.flatMap { named[$0] } ?? standard
        return agent.passageSource != nil && (job.options.retrieve ?? agent.configuration.retrieve) == .auto
    }

    private func decision(on job: Job) -> Router.Decision? {
        // A question that was made to stand alone does.
        if let rewritten = job.rewrittenQuery { return router?.decision(query: rewritten) }
        return router?.decision(query: job.query, history: job.history)
    }

    private func appended(_ job: Job, by agent: Agent) -> String? {
        guard agent.configuration.appendsFollowedUp, agent.passageSource != nil, !job.history.isEmpty else {
            return nil
        }
        guard let router else { return Rewrite.appended(query: job.query, history: job.history) }
        return router.searchText(query: job.query, history: job.history)
    }
}

/// The way of a question: decided once, before anything is asked of a service.
package struct Route: Sendable {
    package let agent: Agent
    /// `never`, too, when the question needs no passages.
    let retrieve: JobOptions.Retrieve
    /// Passages would have been looked for, were it not for the router.
    let isSpared: Bool
    let topK: Int
    /// What passages are looked for with, when it is not the question as it is.
    package fileprivate(set) var rewrittenQuery: String?
    /// The model is asked first to make the question stand alone; ``rewrittenQuery`` serves when it does not.
    fileprivate(set) var isToBeRewritten: Bool

    /// - Parameter text: what the model made of the question; nil when it made nothing of use.
    func rewritten(_ text: String?) -> Route {
        var route = self
        route.isToBeRewritten = false
        route.rewrittenQuery = text ?? rewrittenQuery
        return route
    }
}
