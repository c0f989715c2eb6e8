import ChatJobs

/// One search for questions of a window and one agent: shared work, which outlives whoever gives up waiting for it.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class WindowSearch {
    typealias Passages = Result<[Source], JobFailure>

    let agent: Agent
    /// The tokens of the flights' leads.
    private(set) var leads: [UInt64] = []
    private(set) var questions: [PassageFinder.Question] = []
    /// Of each flight, in order; nil until the search has ended.
    private(set) var passages: [Passages]?
    /// Of the knowledge when it began; nil when that is not known.
    var state: KnowledgeState?

    private init(_ agent: Agent) { self.agent = agent }

    func end(_ passages: [Passages]) { self.passages = passages }

    private func add(_ flight: Flight) {
        flight.search = (self, leads.count)
        leads.append(flight.lead.token)
        questions.append(PassageFinder.Question(flight))
    }

    /// One that has ended already: its passages are known.
    convenience init(of flight: Flight, finding sources: [Source]) {
        self.init(flight.route.agent)
        add(flight)
        end([.success(sources)])
    }

    /// A search takes longer the more questions share it: so many go side by side before any is shared. A full window is
    /// still a few calls, and a few questions that came together do not wait for each other.
    private static let mostAtOnce = 4

    /// The window's searches, apart for each agent: a person who waits does not wait for the others' search; and who wants no
    /// passages waits for none.
    static func forming(_ flights: [Flight]) -> [WindowSearch] {
        var searches: [WindowSearch] = []
        var groups: [Group: (places: [Int], questions: Int)] = [:]
        for flight in flights where isFor(flight) {
            let agent = flight.route.agent
            let group = Group(agent: ObjectIdentifier(agent), isUrgent: flight.lead.rank.isUrgent)
            var (places, questions) = groups[group] ?? ([], 0)
            if places.count < mostAtOnce {
                places.append(searches.count)
                searches.append(WindowSearch(agent))
            }
            searches[places[questions % places.count]].add(flight)
            questions += 1
            groups[group] = (places, questions)
        }
        return searches
    }

    /// Whether it is looked for passages.
    static func isFor(_ flight: Flight) -> Bool {
        flight.route.retrieve != .never
            && (flight.route.agent.passageSource != nil || flight.route.retrieve == .always)
    }

    private struct Group: Hashable {
        let agent: ObjectIdentifier
        let isUrgent: Bool
    }
}
