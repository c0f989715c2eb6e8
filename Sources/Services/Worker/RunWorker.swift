import Admin
import Logging
import ParleySettings
import Retrieval
import ServiceLifecycle
import Telemetry

/// Runs a worker until SIGTERM or SIGINT, then drains it.
///
/// - Throws: ``SettingsError`` when a part refuses its settings or the index does not fit the embedder; ``AdminError``
///   when `admin.listen` cannot be bound. Servers that cannot be reached are not errors: a worker waits for them.
package func runWorker(_ settings: Settings, registry: MetricsRegistry, logger: Logger) async throws {
    // First, since whoever changes secrets signals the workers that are just starting as well.
    let signals = await SecretReload.signals(for: settings)
    describeMetrics(in: registry)
    raiseDescriptorLimit(for: settings, logger: logger)
    let assembly = try Assembly(settings, logger: logger)
    for agent in assembly.agents where agent.ownsStore { try await look(at: agent, logger) }
    let worker = WorkerService(assembly, logger: logger)
    let admin = AdminServer(
        listen: assembly.admin, token: settings.adminToken, registry: registry, readiness: { await worker.readiness() },
        logger: logger)
    let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
            services: [
                .init(service: admin, successTerminationBehavior: .ignore),
                .init(
                    service: SecretReload(
                        signals: signals, assembly: assembly, admin: admin, outbox: worker.outbox, logger: logger),
                    successTerminationBehavior: .ignore),
                .init(service: worker, successTerminationBehavior: .gracefullyShutdownGroup),
            ],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
}

/// Says what an agent's vector store holds.
///
/// - Throws: ``SettingsError`` when its settings can never do.
private func look(at agent: AgentParts, _ logger: Logger) async throws(SettingsError) {
    do throws(RetrievalError) {
        if let index = try await agent.retriever.check() {
            logger.info("index", metadata: ["passages": "\(index.passages)", "vectors": "\(agent.store.location)"])
        } else {
            logger.notice(
                "no index yet: jobs are answered without retrieval", metadata: ["vectors": "\(agent.store.location)"])
        }
    } catch {
        // Garbage is an illness that passes, too, and a refusal is about the text that was tried.
        let key = error.part == .embedder ? "embeddings.url" : agent.key("vectors.url")
        guard error.isTransient || error.isRefusal || error.code == .invalidResponse else {
            throw SettingsError(problems: ["\(key): \(error.explanation)"])
        }
        logger.warning("the vector store cannot be asked yet", metadata: ["reason": "\(error.message)"])
    }
}
