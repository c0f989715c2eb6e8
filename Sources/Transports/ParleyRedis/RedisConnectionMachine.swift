/// Where a client's connection stands, and what is to be done about it: facts in, actions out, without a socket or a clock.
///
///     idle → opening → greeting → ready → resting → opening …        from everywhere: closed
///
/// An attempt that fails leads to the next address, and to rest when all have failed. A fact that comes too late, because
/// its attempt is over, changes nothing.
struct RedisConnectionMachine<Connection> {
    typealias Instant = ContinuousClock.Instant
    typealias Endpoint = RedisConfiguration.Endpoint

    enum State {
        case idle
        /// A thread resolves, connects, and shakes hands where TLS is wanted.
        case opening(attempt: Int)
        /// Connected; the server has yet to say that it will do.
        case greeting(Connection, Endpoint)
        /// A demoted server has become a replica: the connection is kept for the replies that are still to come.
        case ready(Connection, Endpoint, isDemoted: Bool)
        case resting(attempt: Int)
        case closed
    }

    enum Action {
        case open(Endpoint, attempt: Int)
        case greet(Connection)
        /// Those who wait for replies on it are told why they will not come.
        case close(Connection, because: RedisError)
        case rest(Duration, attempt: Int)
        case report(Report)
        /// Whoever waits is told: nil is success.
        case settle(Waiter, RedisError?)
    }

    /// For the log, metrics and health checks.
    enum Report: Equatable {
        case connected(Endpoint, outage: Duration?)
        case addressFailed(RedisError)
        case noConnection(RedisError, nextIn: Duration, isNews: Bool)
        case lost(RedisError)
    }

    enum Waiter: Equatable {
        /// For the next attempt, whatever becomes of it.
        case attempt
        /// For a success.
        case readiness
    }

    let configuration: RedisConfiguration
    private let jitter: () -> Double
    private(set) var state = State.idle { didSet { serving = servingConnection } }
    /// The connection, when commands can be sent on it. Kept beside the state, since every command asks for it.
    private(set) var serving: Connection?
    private var attempts = 0
    /// Which of the endpoints is tried, or is served from; counts on and on.
    private var turn = 0
    /// Why each endpoint failed since the last rest.
    private var round: [RedisError] = []
    /// Rounds failed in a row, and short-lived connections: the exponent of the back-off.
    private var failures = 0
    private var outageSince: Instant?
    /// Of the last round; told to whoever asks while there is no connection.
    private var lastFailure: RedisError?

    /// - Parameter jitter: draws the part of a rest's ceiling that is rested.
    init(_ configuration: RedisConfiguration, jitter: @escaping () -> Double = { .random(in: 0.5...1) }) {
        self.configuration = configuration
        self.jitter = jitter
    }

    // MARK: - What is known

    /// The connection, at any stage.
    var connection: Connection? {
        switch state {
        case .greeting(let connection, _), .ready(let connection, _, _): connection
        case .idle, .opening, .resting, .closed: nil
        }
    }

    private var servingConnection: Connection? {
        guard case .ready(let connection, _, isDemoted: false) = state else { return nil }
        return connection
    }

    var isClosed: Bool { if case .closed = state { true } else { false } }

    /// What messages call the server that is connected, or the endpoint that is being tried.
    var place: String {
        switch state {
        case .greeting(_, let server), .ready(_, let server, _): configuration.redacted(server)
        case .idle, .opening, .resting, .closed:
            configuration.sentinelMaster == nil
                ? configuration.redacted(endpoint) : "the Sentinel \(endpoint) or the primary that it names"
        }
    }

    /// Why no command can be sent.
    var refusal: RedisError {
        if isClosed { return closedError }
        let reason = lastFailure.map { ": \($0.message)" } ?? ""
        return RedisError(.notConnected, "not connected to \(configuration.redacted)\(reason)")
    }

    private var closedError: RedisError {
        RedisError(.notConnected, "the client for \(configuration.redacted) is closed")
    }

    private var endpoint: Endpoint {
        let endpoints = configuration.endpoints
        return endpoints.isEmpty ? Endpoint(host: "", port: 0) : endpoints[turn % endpoints.count]
    }

    // MARK: - Facts

    /// A connection is wanted.
    mutating func wanted() -> [Action] {
        guard case .idle = state else { return [] }
        return open()
    }

    mutating func opened(_ connection: Connection, at server: Endpoint, attempt: Int) -> [Action] {
        guard case .opening(attempt) = state else {
            // The attempt expired, or the client was closed, while the thread was busy.
            return [.close(connection, because: closedError)]
        }
        state = .greeting(connection, server)
        return [.greet(connection)]
    }

    mutating func openingFailed(_ error: RedisError, attempt: Int, now: Instant) -> [Action] {
        guard case .opening(attempt) = state else { return [] }
        return addressFailed(error, now)
    }

    /// The thread has not come back in time. hiredis bounds the connect, nothing bounds the resolver: this does.
    mutating func openingExpired(attempt: Int, now: Instant) -> [Action] {
        let error = RedisError(
            .unreachable,
            """
            cannot reach \(place): no connection within \(configuration.connectTimeout); check the address, the name \
            server and firewalls
            """)
        return openingFailed(error, attempt: attempt, now: now)
    }

    /// All replies to the greeting are there.
    mutating func greeted(_ replies: [RedisValue], now: Instant) -> [Action] {
        guard case .greeting(let connection, let server) = state else { return [] }
        if let problem = RedisGreeting(configuration).problem(in: replies, of: place) {
            return [.close(connection, because: problem)] + addressFailed(problem, now)
        }
        state = .ready(connection, server, isDemoted: false)
        let outage = outageSince.map { now - $0 }
        outageSince = nil
        lastFailure = nil
        round = []
        return [.report(.connected(server, outage: outage)), .settle(.attempt, nil), .settle(.readiness, nil)]
    }

    /// A caller's command has its reply. On every command's way.
    mutating func answered(_ reply: RedisValue) {
        if case .error(let text) = reply {
            guard RedisRefusal.tellsOfDemotion(text), case .ready(let connection, let server, _) = state else { return }
            state = .ready(connection, server, isDemoted: true)
        } else if failures > 0, serving != nil {
            // The server is of use.
            failures = 0
        }
    }

    /// Nobody waits for a reply on the connection.
    mutating func drained(now: Instant) -> [Action] {
        guard case .ready(_, _, isDemoted: true) = state else { return [] }
        failures = max(failures, 4)
        return lost(
            RedisError(.connectionLost, "the server has become a read-only replica; looking for the primary"), now: now)
    }

    /// The connection is over.
    /// - Parameter heard: the replies to the greeting so far.
    mutating func lost(_ error: RedisError, heard: [RedisValue] = [], now: Instant) -> [Action] {
        switch state {
        case .idle, .opening, .resting, .closed: return []
        case .greeting(let connection, _):
            let why = error.code == .connectionLost ? hangUp(error, heard) : error
            return [.close(connection, because: error)] + addressFailed(why, now)
        case .ready(let connection, _, _):
            outageSince = now
            failures += 1
            let (rest, _) = rest()
            return [.close(connection, because: error), rest, .report(.lost(error))]
        }
    }

    /// Some servers say why before they hang up (too many clients, protected mode).
    private func hangUp(_ error: RedisError, _ heard: [RedisValue]) -> RedisError {
        if let problem = RedisGreeting(configuration).problem(in: heard, of: place) { return problem }
        // With TLS 1.3 a client learns only now that it should have shown a certificate.
        let hint =
            configuration.tls && configuration.certificateFile == nil
            ? "; perhaps it wants a client's certificate (redis.cert_file, redis.key_file)" : ""
        return RedisError(.unreachable, "\(place) hung up at the greeting: \(error.message)\(hint)")
    }

    mutating func rested(attempt: Int) -> [Action] {
        guard case .resting(attempt) = state else { return [] }
        return open()
    }

    /// The client is not wanted any more.
    mutating func closed() -> [Action] {
        guard !isClosed else { return [] }
        let connection = connection
        state = .closed
        let end = RedisError(.connectionLost, "the Redis client was closed before the reply came")
        return (connection.map { [.close($0, because: end)] } ?? [])
            + [.settle(.attempt, closedError), .settle(.readiness, closedError)]
    }

    // MARK: - Attempts

    private mutating func open() -> [Action] {
        attempts += 1
        state = .opening(attempt: attempts)
        return [.open(endpoint, attempt: attempts)]
    }

    private mutating func addressFailed(_ failure: RedisError, _ now: Instant) -> [Action] {
        turn += 1
        round.append(failure)
        guard round.count >= configuration.endpoints.count else {
            return [.report(.addressFailed(failure))] + open()
        }
        let error = roundFailure
        round = []
        failures += 1
        // Wrong credentials do not right themselves within milliseconds, and servers log and count such attempts.
        if error.code == .authenticationFailed || error.code == .invalidConfiguration { failures = max(failures, 8) }
        let isNews = outageSince == nil || failures == 8 || lastFailure?.code != error.code
        if outageSince == nil { outageSince = now }
        lastFailure = error
        let (rest, wait) = rest()
        return [rest, .report(.noConnection(error, nextIn: wait, isNews: isNews)), .settle(.attempt, error)]
    }

    /// Why no endpoint would do. What a human must set right outweighs what may pass.
    private var roundFailure: RedisError {
        let kinds = [RedisError.Code.authenticationFailed, .invalidConfiguration]
        let grave = round.first { kinds.contains($0.code) }
        guard round.count > 1, let first = grave ?? round.first else {
            return round.first ?? RedisError(.invalidConfiguration, "there is no address to connect to")
        }
        let reasons = round.map(\.message).joined(separator: "; ")
        return RedisError(first.code, "no primary among \(configuration.redacted): \(reasons)")
    }

    /// Between half and the whole of 50 ms · 2ⁿ, at most 5 s. The jitter spreads the clients of a server that comes back.
    private mutating func rest() -> (Action, Duration) {
        let ceiling = min(.seconds(5), .milliseconds(50) * (1 << min(max(failures - 1, 0), 10)))
        let wait = ceiling * jitter()
        attempts += 1
        state = .resting(attempt: attempts)
        return (.rest(wait, attempt: attempts), wait)
    }
}

extension RedisConnectionMachine.Action: Equatable where Connection: Equatable {}
