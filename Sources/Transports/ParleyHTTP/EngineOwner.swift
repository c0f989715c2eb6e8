import IOLoop
import Logging

/// The engines of a client, and who closes them when it is dropped without ``HTTPClient/close()``.
///
/// Several, because libcurl goes through all connections to a host, twice for each request, and with hundreds of calls of
/// a slow model in flight they are no longer in the processor's cache when it does.
///
/// A client may go away on any thread, and only the loop may touch libcurl. (An `isolated deinit` of the client would
/// do; Swift 6.3 cannot compile the importers of an actor that has one and an executor of its own in release mode.)
final class EngineOwner {
    /// Made as they are needed: transfer `id` is in engine `id % most`.
    private(set) var engines: [TransferEngine] = []
    let most: Int
    private let configuration: HTTPClientConfiguration
    private let tally: WaitingTally
    private let loop: IOLoop
    private let logger: Logger
    private var isClosed = false

    /// Connections to one host in one engine. An engine itself takes some 35 KB: libcurl's table of sockets.
    private static let connections = 128

    init(loop: IOLoop, configuration: HTTPClientConfiguration, logger: Logger) {
        self.loop = loop
        self.configuration = configuration
        self.logger = logger
        tally = WaitingTally(configuration.waiting)
        most = max(1, configuration.maxConnectionsPerHost).ceilingDivided(by: Self.connections)
    }

    /// The first that has a connection to spare, so that few are kept open; when there is none, the one with the fewest
    /// requests.
    var freest: TransferEngine {
        if let free = engines.first(where: { $0.inFlight < $0.configuration.maxConnectionsPerHost }) { return free }
        guard engines.count == most, let best = engines.min(by: { $0.inFlight < $1.inFlight }) else {
            return addEngine()
        }
        return best
    }

    private func addEngine() -> TransferEngine {
        let number = engines.count
        func share(of limit: Int) -> Int { limit / most + (number < limit % most ? 1 : 0) }
        var part = configuration
        part.maxConnectionsPerHost = share(of: max(1, configuration.maxConnectionsPerHost))
        part.maxConnections = max(part.maxConnectionsPerHost, share(of: configuration.maxConnections))
        let engine = TransferEngine(
            loop: loop, configuration: part, ids: (number, most), tally: tally, logger: logger)
        if isClosed { engine.close() }
        engines.append(engine)
        return engine
    }

    func close() {
        isClosed = true
        for engine in engines { engine.close() }
    }

    deinit {
        guard engines.contains(where: { !$0.closed }) else { return }
        let left = Remains(engines: engines)
        let loop = self.loop
        Task { await Sweeper(loop: loop).close(left) }
    }

    /// Proof of @unchecked Sendable: the engines are used on their loop only.
    private struct Remains: @unchecked Sendable {
        let engines: [TransferEngine]
    }

    private actor Sweeper {
        let loop: IOLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

        init(loop: IOLoop) { self.loop = loop }

        func close(_ left: Remains) { for engine in left.engines { engine.close() } }
    }
}
