import ChatJobs
import ParleyPrimitives

/// Has those who wait in other workers hear what this one's calls say: all of it, from when one of them wants pieces. Until then
/// it is only asked whether anybody does, once for all calls.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class Followers {
    private let flights: Flights
    private let store: any AnswerStore
    private let clock: any PipelineClock
    private let executor: any TaskExecutor
    private let hooks: Hooks
    /// By the tokens of their leads.
    private var speakers: [UInt64: Speaker] = [:]
    private var isLooking = false

    /// Of a longer answer others have the rest when it is whole.
    private static let mostBytes = 1 << 20

    /// How tasks of their own come back to the executor: each has the function of its name called.
    struct Hooks: Sendable {
        let look: @Sendable () async -> Void
        let tell: @Sendable (_ lead: UInt64) async -> Void
    }

    private struct Speaker {
        let key: AnswerKey
        /// Names the call; nil while nobody else wants to hear it.
        var call: UInt64?
        /// So many bytes of what it said are in the store.
        var told = 0
        var isTelling = false
    }

    init(
        flights: Flights, store: any AnswerStore, clock: any PipelineClock, executor: any TaskExecutor, hooks: Hooks
    ) {
        self.flights = flights
        self.store = store
        self.clock = clock
        self.executor = executor
        self.hooks = hooks
    }

    /// A flight has said something more.
    func spoke(_ flight: Flight) {
        guard flight.isMaker, let key = flight.key else { return }
        let token = flight.lead.token
        if speakers[token] == nil { speakers[token] = Speaker(key: key) }
        tellMore(token)
        guard !isLooking else { return }
        isLooking = true
        Task.detached(executorPreference: executor) { [hooks] in await hooks.look() }
    }

    /// Looks who is to be heard, until nobody speaks any more.
    func look() async {
        while !speakers.isEmpty {
            await clock.sleep(for: AnswersElsewhere.lookAfter)
            for token in speakers.keys.sorted() where flights[token] == nil { end(token) }
            let unheard = speakers.keys.sorted().filter { speakers[$0]?.call == nil }
            guard !unheard.isEmpty else { continue }
            let followed = await store.followed(among: unheard.compactMap { speakers[$0]?.key })
            for token in unheard where speakers[token].map({ $0.call == nil && followed.contains($0.key) }) ?? false {
                speakers[token]?.call = UInt64(clock.random() * 0x1p53)
                tellMore(token)
            }
        }
        isLooking = false
    }

    private func tellMore(_ token: UInt64) {
        guard let speaker = speakers[token], speaker.call != nil, !speaker.isTelling else { return }
        speakers[token]?.isTelling = true
        Task.detached(executorPreference: executor) { [hooks] in await hooks.tell(token) }
    }

    /// One piece after the other: what is said while one is on its way is the next.
    func tell(_ token: UInt64) async {
        while let said = flights[token]?.text.said, let speaker = speakers[token], let call = speaker.call,
            said.utf8.count > speaker.told, said.utf8.count <= Self.mostBytes
        {
            speakers[token]?.told = said.utf8.count
            let text = String(decoding: said.utf8.dropFirst(speaker.told), as: UTF8.self)
            let isThere = await store.say(
                SaidPieces(call: call, text: text), as: speaker.key, isFirst: speaker.told == 0)
            guard !isThere else { continue }
            // It is all said once more when somebody still wants to hear it.
            speakers[token]?.call = nil
            speakers[token]?.told = 0
        }
        speakers[token]?.isTelling = false
        if flights[token] == nil { end(token) }
    }

    private func end(_ token: UInt64) {
        guard let speaker = speakers[token], !speaker.isTelling else { return }
        speakers[token] = nil
        guard speaker.call != nil else { return }
        Task.detached(executorPreference: executor) { [store] in await store.hush(speaker.key) }
    }
}
