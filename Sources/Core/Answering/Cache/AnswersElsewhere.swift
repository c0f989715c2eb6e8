import ChatJobs
import ParleyPrimitives

/// The questions whose answers other workers make. They are looked for until they are there, or that worker gives up or dies: one
/// round trip for all of them. Who waits holds no place at the model, and is given the pieces of the answer as they come.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class AnswersElsewhere {
    private let flights: Flights
    private let cache: AnswerCache
    private let clock: any PipelineClock
    /// By the tokens of their leads.
    private var waits: [UInt64: Wait] = [:]
    /// Somebody looks.
    var isLookedAfter = false

    /// How often it is looked.
    static let lookAfter = Duration.milliseconds(100)

    private struct Wait {
        let since: Duration
        var heard = HeardPieces()
    }

    /// What has come of waiting.
    enum Event {
        case found(AnswerCache.Found, Flight)
        /// It is to be made here, after all.
        case ownTurn(Flight)
        /// It was to be made here, and nobody waits for it any more.
        case unwanted(AnswerKey)
        case said(SaidPieces, Flight)
    }

    init(flights: Flights, cache: AnswerCache, clock: any PipelineClock) {
        self.flights = flights
        self.cache = cache
        self.clock = clock
    }

    var isEmpty: Bool { waits.isEmpty }

    func add(_ flight: Flight) { waits[flight.lead.token] = Wait(since: clock.now) }

    func look() async -> [Event] {
        waits = waits.filter { flights[$0.key] != nil }
        let waiting = waits.keys.sorted().compactMap { flights[$0] }
        var heard: [AnswerKey: HeardPieces] = [:]
        for flight in waiting where flight.wantsPieces {
            if let key = flight.key { heard[key] = waits[flight.lead.token]?.heard }
        }
        let standings = await cache.inStore(waiting.compactMap(\.key), heard: heard)
        return waiting.compactMap { flight in flight.key.flatMap { event(flight, $0, standings[$0]) } }
    }

    private func event(_ flight: Flight, _ key: AnswerKey, _ standing: AnswerCache.Standing?) -> Event? {
        let token = flight.lead.token
        guard flights[token] != nil, let wait = waits[token] else {
            waits[token] = nil
            return standing?.maker == .thisWorker ? .unwanted(key) : nil
        }
        if standing?.maker == .another, clock.now - wait.since < flight.route.agent.configuration.modelTimeout {
            return standing?.pieces.map { .said($0, flight) }
        }
        waits[token] = nil
        if let found = standing?.found, found.isFresh { return .found(found, flight) }
        flight.isMaker = standing?.maker == .thisWorker
        flight.callBegins()
        return .ownTurn(flight)
    }

    /// Gives pieces to those who want some.
    func pass(_ pieces: SaidPieces, to flight: Flight) async {
        guard var heard = waits[flight.lead.token]?.heard, flights[flight.lead.token] != nil else { return }
        if heard.call != pieces.call {
            flight.callBegins()
            heard = HeardPieces(call: pieces.call)
        }
        heard.bytes += pieces.text.utf8.count
        waits[flight.lead.token]?.heard = heard
        flight.isRelayed = true
        await flight.pass(pieces.text)
    }
}
