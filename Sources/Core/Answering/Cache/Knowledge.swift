/// Which states of the vector stores questions are answered from, and when that was looked at last. No answer that rests on
/// another state is given again.
struct Knowledge {
    private struct Seen {
        var state: KnowledgeState?
        var looked: Duration
        var isLooking = false
    }

    private var seen: [Dependency: Seen] = [:]

    /// Looked at again when it is older, and relied on until then.
    private static let lookAfter = Duration.seconds(1)
    /// When it is older, nothing is shared before it has been looked at.
    private static let trustFor = Duration.seconds(3)

    /// Nil when it is not known.
    func state(of agent: Agent) -> KnowledgeState? {
        agent.passageSource == nil ? KnowledgeState("none") : seen[agent.vectors]?.state
    }

    /// How well the state of an agent's store is known.
    enum Age { case fresh, old, unknown }

    func age(of agent: Agent, now: Duration) -> Age {
        guard agent.passageSource != nil else { return .fresh }
        guard let seen = seen[agent.vectors], now - seen.looked < Self.trustFor else { return .unknown }
        return now - seen.looked < Self.lookAfter || seen.isLooking ? .fresh : .old
    }

    mutating func looks(at agent: Agent) { seen[agent.vectors]?.isLooking = true }

    mutating func found(_ state: KnowledgeState?, at agent: Agent, now: Duration) {
        seen[agent.vectors] = Seen(state: state, looked: now)
    }
}
