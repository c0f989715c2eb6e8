import Glibc
import Logging
import ParleyHTTP
import ParleySettings

/// How many connections a worker may have, so that no call waits for one that its settings allow at once.
extension Settings {
    /// To the embedder, and as many to the vector store: each job in the worker may be at one call.
    var retrievalConnections: Int { retrieval.maxConnections ?? max(64, worker.prefetch) }

    /// To the model: calls in flight, and an eighth more for answers that are still read to their end, and probes.
    var modelConnections: Int { max(64, modelConcurrency + modelConcurrency / 8) }

    /// Calls in flight at once, to all agents' models.
    private var modelConcurrency: Int {
        var services: [Model] = []
        for agent in [standardAgent] + agents.values {
            for model in [agent.model] + agent.model.fallbacks
            where !services.contains(where: { $0.hasService(of: model) }) {
                services.append(model)
            }
        }
        return services.reduce(0) { $0 + $1.maxConcurrency }
    }
}

extension HTTPClientConfiguration {
    /// For the embedder and the vector store.
    static func retrieval(_ settings: Settings) -> HTTPClientConfiguration {
        // They are two hosts, or one.
        HTTPClientConfiguration(
            maxConnectionsPerHost: settings.retrievalConnections, maxConnections: 2 * settings.retrievalConnections,
            waiting: HTTPWaiting(service: "retrieval"))
    }

    /// For the model.
    static func model(_ settings: Settings) -> HTTPClientConfiguration {
        // Answers are short or come in pieces, and thousands are waited for.
        HTTPClientConfiguration(
            maxConnectionsPerHost: settings.modelConnections, maxConnections: settings.modelConnections,
            receiveBuffer: 4096, waiting: HTTPWaiting(service: "model"))
    }
}

/// Lets the process open as many descriptors as the system allows it, and warns when the settings can ask for more: a call
/// that gets no socket looks like a service that is away.
func raiseDescriptorLimit(for settings: Settings, logger: Logger) {
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(kind, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    guard setrlimit(kind, &limit) == 0 else { return }
    let wanted = 2 * settings.retrievalConnections + settings.modelConnections + 64
    guard limit.rlim_cur < rlim_t(wanted) else { return }
    logger.warning(
        """
        the process may open fewer files than its settings can ask for: raise its limit (ulimit -n, LimitNOFILE), or lower \
        retrieval.max_connections or model.max_concurrency
        """,
        metadata: ["limit": .stringConvertible(limit.rlim_cur), "wanted": .stringConvertible(wanted)])
}
