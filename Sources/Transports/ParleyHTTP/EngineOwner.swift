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
    /// Transfer `id` is in engine `id % engines.count`.
    let engines: [TransferEngine]
    private let loop: IOLoop

    /// Connections to one host in one engine. An engine itself takes some 35 KB: libcurl's table of sockets.
    private static let connections = 128

    init(loop: IOLoop, configuration: HTTPClientConfiguration, logger: Logger) {
        self.loop = loop
        let hosts = max(1, configuration.maxConnectionsPerHost)
        let count = hosts.ceilingDivided(by: Self.connections)
        engines = (0..<count).map { number in
            func share(of limit: Int) -> Int { limit / count + (number < limit % count ? 1 : 0) }
            var part = configuration
            part.maxConnectionsPerHost = share(of: hosts)
            part.maxConnections = max(part.maxConnectionsPerHost, share(of: configuration.maxConnections))
            return TransferEngine(loop: loop, configuration: part, ids: (number, count), logger: logger)
        }
    }

    /// The first that has a connection to spare, so that few are kept open; when there is none, the one with the fewest
    /// requests.
    var freest: TransferEngine {
        var best = engines[0]
        for engine in engines {
            if engine.inFlight < engine.configuration.maxConnectionsPerHost { return engine }
            if engine.inFlight < best.inFlight { best = engine }
        }
        return best
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
