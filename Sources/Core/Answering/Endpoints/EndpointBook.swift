/// What is known of the endpoints of one model: which is to be asked next, and which is left alone. A value; ``EndpointPool``
/// performs.
///
/// - One at which nobody is, or that wants a pause, is out at once: others are there, and to ask them costs nothing.
/// - One that answers with nothing of use is asked only when no other will do, for a while; after ``threshold`` such answers in a
///   row it is out. But the last that is in is never put out for that: whether the model as a whole is ill, its breaker says.
/// - Whoever is out comes back by a probe, and the paused when the pause is over: with one call, until that is answered.
struct EndpointBook: Sendable {
    /// What a call has shown of its endpoint.
    enum Verdict: Sendable, Equatable {
        case answered
        /// It answered, about this prompt or in the wrong words.
        case useful
        /// Nothing of use came.
        case ill
        /// Nothing came in time, which says nothing of the server where the time was short.
        case late
        /// Nobody is there, or nobody may ask.
        case absent(retryAfter: Duration?)
        case paused(for: Duration?)
        /// The call was given up, or its time was too short to tell.
        case nothing
    }

    struct Endpoint: Sendable {
        let weight: Int
        fileprivate(set) var inFlight = 0
        fileprivate(set) var out: Out?
        /// Not to be asked before, while others will do; when it is out, not to be probed before.
        fileprivate var restsUntil = Duration.zero
        /// It was out, and has answered nothing since.
        fileprivate var isOnTrial = false
        fileprivate var isProbed = false
        /// Calls in a row that came to nothing.
        fileprivate var failures = 0
        /// How often it was put out, or probed in vain, since it last answered.
        fileprivate var losses = 0
        /// When something was last heard of it, while calls are under way.
        fileprivate var quietSince = Duration.zero
    }

    enum Out: Sendable, Equatable { case absent, ill, paused }

    /// Answers of no use in a row that are no coincidence.
    static let threshold = 3
    /// An endpoint may have so much more than its share of the calls, since it may know how they begin.
    static let overload = 1.25
    static let longestRest = Duration.seconds(60)
    static let longestAbsence = Duration.seconds(8)
    static let longestPause = Duration.seconds(600)
    /// Nothing heard for so long, and for four usual calls, looks like a server that hangs.
    static let patience = Duration.seconds(5)

    private(set) var endpoints: [Endpoint]
    /// How long a call takes that is answered: a moving average.
    private(set) var usual: Duration?
    /// The model's time-out.
    private let timeout: Duration

    init(weights: [Int], timeout: Duration) {
        endpoints = weights.map { Endpoint(weight: max(1, $0)) }
        self.timeout = timeout
    }

    func isUp(_ place: Int) -> Bool { endpoints[place].out == nil }
    /// Another one is there.
    func hasOther(than place: Int) -> Bool { endpoints.indices.contains { $0 != place && isUp($0) } }

    // MARK: - Calls

    /// Takes a place in the next call's endpoint.
    ///
    /// - Parameter order: which are preferred, the first most.
    /// - Returns: nil when all but `tried` are out.
    mutating func begin(_ order: [Int], without tried: Set<Int>, now: Duration) -> Int? {
        for place in endpoints.indices where endpoints[place].out == .paused && endpoints[place].restsUntil <= now {
            comesBack(place)
        }
        let up = order.filter { isUp($0) && !tried.contains($0) }
        guard let place = chosen(among: up.filter { isWell($0, now) }) ?? chosen(among: up) else { return nil }
        if endpoints[place].inFlight == 0 { endpoints[place].quietSince = now }
        endpoints[place].inFlight += 1
        return place
    }

    private func isWell(_ place: Int, _ now: Duration) -> Bool {
        let endpoint = endpoints[place]
        if endpoint.isOnTrial { return endpoint.inFlight == 0 }
        guard endpoint.restsUntil <= now else { return false }
        return endpoint.inFlight == 0 || now - endpoint.quietSince <= max(Self.patience, (usual ?? .zero) * 4)
    }

    /// The first with room: none has more than ``overload`` times its share of what is under way.
    private func chosen(among places: [Int]) -> Int? {
        let calls = places.reduce(1) { $0 + endpoints[$1].inFlight }
        let weights = places.reduce(0) { $0 + endpoints[$1].weight }
        return places.first { place in
            let share = Double(calls * endpoints[place].weight) / Double(weights)
            return endpoints[place].inFlight < Int((Self.overload * share).rounded(.up))
        }
    }

    /// A call has ended, `length` after it began.
    mutating func end(_ place: Int, _ verdict: Verdict, after length: Duration, now: Duration) {
        endpoints[place].inFlight -= 1
        // Whoever is out comes back by a probe, not by an answer that was under way.
        guard isUp(place) else { return }
        switch verdict {
        case .answered:
            usual = usual.map { $0 + (length - $0) / 8 } ?? length
            isWellAgain(place, now)
        case .useful: isWellAgain(place, now)
        case .ill: isIll(place, now)
        case .late: if length >= usual.map({ $0 * 4 }) ?? timeout / 4 { isIll(place, now) }
        case .absent(let wish):
            putOut(place, .absent, for: max(wish ?? .zero, rest(place, Self.longestAbsence)), now)
        case .paused(let wish):
            putOut(place, .paused, for: wish ?? rest(place, Self.longestRest), now)
        case .nothing: break
        }
    }

    private mutating func isWellAgain(_ place: Int, _ now: Duration) {
        endpoints[place].failures = 0
        endpoints[place].losses = 0
        endpoints[place].isOnTrial = false
        endpoints[place].restsUntil = now
        endpoints[place].quietSince = now
    }

    private mutating func isIll(_ place: Int, _ now: Duration) {
        endpoints[place].failures += 1
        let rest = min(Self.longestRest, .seconds(1) * (1 << min(endpoints[place].failures, 6)))
        if endpoints[place].failures >= Self.threshold || endpoints[place].isOnTrial, hasOther(than: place) {
            putOut(place, .ill, for: rest, now)
        } else {
            endpoints[place].restsUntil = now + rest
        }
    }

    private func rest(_ place: Int, _ longest: Duration) -> Duration {
        min(longest, .seconds(1) * (1 << min(endpoints[place].losses, 6)))
    }

    private mutating func putOut(_ place: Int, _ out: Out, for time: Duration, _ now: Duration) {
        endpoints[place].out = out
        endpoints[place].losses += 1
        endpoints[place].isOnTrial = false
        endpoints[place].restsUntil = now + min(time, Self.longestPause)
    }

    private mutating func comesBack(_ place: Int) {
        endpoints[place].out = nil
        endpoints[place].isOnTrial = true
        endpoints[place].restsUntil = .zero
    }

    // MARK: - Probes

    /// Those that are to be probed now; each is until ``probed(_:isThere:now:)``.
    mutating func dueProbes(now: Duration) -> [Int] {
        let due = endpoints.indices.filter {
            !isUp($0) && endpoints[$0].out != .paused && !endpoints[$0].isProbed && endpoints[$0].restsUntil <= now
        }
        for place in due { endpoints[place].isProbed = true }
        return due
    }

    mutating func probed(_ place: Int, isThere: Bool, now: Duration) {
        endpoints[place].isProbed = false
        guard let out = endpoints[place].out, out != .paused else { return }
        if isThere { return comesBack(place) }
        endpoints[place].restsUntil = now + rest(place, Self.longestAbsence)
        endpoints[place].losses += 1
    }

    /// When the first of those that are out may be asked again; nil when one is in.
    func firstReturn(now: Duration) -> Duration? {
        guard endpoints.allSatisfy({ $0.out != nil }) else { return nil }
        return endpoints.map { max(.zero, $0.restsUntil - now) }.min()
    }

    /// All of them want a pause, and no more than that.
    var isPaused: Bool { endpoints.allSatisfy { $0.out == .paused } }
}
