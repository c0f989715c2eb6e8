import Answering

/// The ports, asked whether what is behind them is back.
struct DependencyProbes: HealthMonitor.Probe {
    let results: any ResultStore
    let outbox: any Outbox
    let agents: [Agent]

    func untilAvailable(_ dependency: Dependency) async {
        switch dependency.kind {
        case .redis: await results.untilAvailable()
        case .rabbitMQ: await outbox.untilAvailable()
        case .embeddings, .vectors, .model: break
        }
    }

    func isThere(_ dependency: Dependency) async -> Bool {
        switch dependency.kind {
        case .model:
            await agents.lazy.flatMap(\.choices).first { $0.service == dependency }?.model.probe() ?? true
        case .embeddings: await agents.lazy.compactMap(\.passageSource).first?.probe(.embeddings) ?? true
        case .vectors: await agents.first { $0.vectors == dependency }?.passageSource?.probe(.vectors) ?? true
        case .redis, .rabbitMQ: true
        }
    }
}
