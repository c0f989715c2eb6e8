import ParleyPrimitives

/// The gates in front of the agents' models: one for each model, whichever agents share it.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class Gates {
    private var gates: [Dependency: ModelGate] = [:]
    private let clock: any PipelineClock
    /// `priority.max_wait`.
    private let maxWait: Duration
    private let executor: any TaskExecutor
    /// `tenants.<name>.weight`
    var weights: [String: Int] = [:]
    /// Runs on the executor: has ``holdIsOver(_:)`` called.
    private let wake: @Sendable (Dependency) async -> Void

    init(
        maxWait: Duration, clock: any PipelineClock, executor: any TaskExecutor,
        wake: @escaping @Sendable (Dependency) async -> Void
    ) {
        self.maxWait = maxWait
        self.clock = clock
        self.executor = executor
        self.wake = wake
    }

    /// The one in front of a model.
    subscript(choice: ModelChoice) -> ModelGate {
        let service = choice.service
        if let gate = gates[service] { return gate }
        let gate = ModelGate(
            choice, maxWait: maxWait, weights: weights, clock: clock
        ) { [clock, executor, wake] hold in
            Task.detached(executorPreference: executor) {
                if hold > .zero { await clock.sleep(for: hold) }
                await wake(service)
            }
        }
        gates[service] = gate
        return gate
    }

    /// A gate may let go on whom it has held back for a while.
    func holdIsOver(_ service: Dependency) { gates[service]?.holdIsOver() }
}
