import Answering

/// The ports, asked whether what is behind them is back.
struct DependencyProbes: HealthMonitor.Probe {
    let results: any ResultStore
    let outbox: any Outbox
    let model: any AnswerModel
    let passageSource: (any PassageSource)?

    func untilAvailable(_ dependency: Dependency) async {
        switch dependency.kind {
        case .redis: await results.untilAvailable()
        case .rabbitMQ: await outbox.untilAvailable()
        case .embeddings, .vectors, .model: break
        }
    }

    func isThere(_ dependency: Dependency) async -> Bool {
        switch dependency.kind {
        case .model: await model.probe()
        case .embeddings, .vectors: await passageSource?.probe(dependency) ?? true
        case .redis, .rabbitMQ: true
        }
    }
}
