import Answering
import ChatJobs
import Logging

/// What the pipeline knows of the services it needs.
struct ServiceHealth {
    /// Those that are away, with what was last heard of them.
    var away: [Dependency: String] = [:]
    var breakers: [Dependency: Breaker] = [:]
    /// When each was last found to be back, and how often in a row it was lost again soon after.
    var returns: [Dependency: (at: Duration, flaps: Int)] = [:]
    var isIntakePaused = false
    var isAdjustingIntake = false
}

/// An outage is not an error of any job: while a service is away no jobs are taken, those in work wait for it or go back
/// to the broker's delay queues, and somebody looks whether it has come back.
extension Pipeline {
    /// The services that are away, with the reason. Empty when jobs are being taken.
    package var servicesAway: [Dependency: String] { health.away }

    /// Performs `step` until it succeeds, waiting while its service is away; false when the worker is abandoned first.
    func insist(_ step: () async throws(Outage) -> Void) async -> Bool {
        while true {
            do throws(Outage) {
                try await step()
                return true
            } catch {
                if Task.isCancelled { return false }
                await waitOut(error)
            }
        }
    }

    func waitOut(_ outage: Outage) async {
        lost(outage.dependency, outage.reason)
        await untilAvailable(outage.dependency)
    }

    private func untilAvailable(_ service: Dependency) async {
        switch service.kind {
        case .redis: await results.untilAvailable()
        case .rabbitMQ: await outbox.untilAvailable()
        case .embeddings, .vectors, .model: break
        }
    }

    // MARK: - Away and back

    /// A service that is lost again so soon after its return was not really back.
    private static let steady = Duration.seconds(10)
    private static let longestFlap = Duration.seconds(5)

    @inline(never)
    private func lost(_ service: Dependency, _ reason: String, pause: Duration? = nil) {
        guard health.away.updateValue(reason, forKey: service) == nil else { return }
        let flaps = health.returns[service].map { clock.now - $0.at < Self.steady ? $0.flaps + 1 : 0 } ?? 0
        health.returns[service] = (clock.now, flaps)
        metrics.away(service, true)
        logger.log(
            level: flaps == 0 ? .warning : .debug, "a service is away: no more jobs are taken until it is back",
            metadata: ["service": "\(service)", "reason": "\(reason)"])
        adjustIntake()
        start { await $0.watch(service, pause) }
    }

    /// In one step with its breaker: a call that fails at once must find the service either away or back, or nobody
    /// would look after it any more.
    private func found(_ service: Dependency, afterPause: Bool) {
        guard health.away.removeValue(forKey: service) != nil else { return }
        health.breakers[service]?.recovered()
        let flaps = health.returns[service]?.flaps ?? 0
        health.returns[service] = (clock.now, flaps)
        metrics.away(service, false)
        logger.log(
            level: flaps == 0 ? .notice : .debug, "a service is back", metadata: ["service": "\(service)"])
        if service == .model {
            if !afterPause { scheduler.restart() }
            wakeModelWaiters()
        }
        adjustIntake()
    }

    /// Looks after a service that is away until it is back.
    private func watch(_ service: Dependency, _ pause: Duration?) async {
        switch service.kind {
        case .redis, .rabbitMQ:
            // One that can be reached and refuses all the same would come and go several times a second.
            let flaps = health.returns[service]?.flaps ?? 0
            if flaps > 0 { await clock.sleep(for: min(Self.longestFlap, .milliseconds(250) * (1 << min(flaps, 10)))) }
            await untilAvailable(service)
        case .embeddings, .vectors, .model: await probe(service, pause)
        }
        if !Task.isCancelled { found(service, afterPause: pause != nil) }
    }

    /// Returns when the service has answered a probe, or when the pause that it asked for is over.
    private func probe(_ service: Dependency, _ pause: Duration?) async {
        if let pause { return await clock.sleep(for: pause) }
        while !Task.isCancelled {
            let rest = health.breakers[service, default: newBreaker].rest
            // Spread, so that the workers of a service do not all knock at once.
            await clock.sleep(for: rest * (0.75 + clock.random() / 2))
            if Task.isCancelled { return }
            let isThere = service == .model ? await model.probe() : await passageSource?.probe(service) ?? true
            if isThere { return }
            health.breakers[service, default: newBreaker].probeFailed()
        }
    }

    /// Makes the intake do as the services' state says; the calls follow one another.
    private func adjustIntake() {
        guard !health.isAdjustingIntake else { return }
        health.isAdjustingIntake = true
        start { pipeline in
            while pipeline.health.isIntakePaused == pipeline.health.away.isEmpty {
                let pausing = !pipeline.health.away.isEmpty
                pipeline.health.isIntakePaused = pausing
                if pausing { await pipeline.intake.pause() } else { await pipeline.intake.resume() }
            }
            pipeline.health.isAdjustingIntake = false
        }
    }

    // MARK: - What calls say of a service

    private var newBreaker: Breaker { Breaker(threshold: configuration.breakerThreshold) }

    /// Whether the service's breaker is closed: then a failure counts against the job.
    func isTrusted(_ service: Dependency) -> Bool { health.breakers[service]?.state ?? .closed == .closed }

    func isOpen(_ service: Dependency) -> Bool { health.breakers[service]?.state == .open }

    /// The service has done its work.
    func worked(_ service: Dependency) {
        // The common case costs a look-up.
        guard health.breakers[service] != nil else { return }
        health.breakers[service]?.succeeded()
    }

    /// The service was not there, or has answered with nothing of use.
    func failed(_ service: Dependency, _ reason: String, isOutage: Bool = true) {
        if health.breakers[service, default: newBreaker].failed(isOutage: isOutage) {
            lost(service, reason)
            if service == .model { withdrawModelWaiters(.away) }
        }
    }

    /// The model wants to be left alone for a while.
    func slowDown(_ failure: JobFailure) {
        guard !isOpen(.model) else { return }
        // Whatever it asks for, it is asked again before long.
        let pause = min(failure.retryAfter ?? .seconds(1), max(configuration.retry.max, .seconds(60)))
        scheduler.narrow()
        health.breakers[.model, default: newBreaker].open()
        lost(.model, failure.message, pause: pause)
        // A short pause is waited out here; for a long one the broker is the better place.
        if pause > .seconds(5) { withdrawModelWaiters(.away) }
    }
}
