import Adapters
import Admin
import Answering
import ChatJobs
import IOLoop
import Logging
import Metrics
import ParleyGzip
import ParleyRabbitMQ
import ParleyRedis
import ParleySettings
import Pipeline
import ServiceLifecycle
import Topology

/// One worker: consumes jobs until the service group shuts it down, then drains.
///
/// Everything that speaks to a socket shares one I/O loop with the pipeline, so that a job changes threads only where
/// there is something to compute. Consuming and publishing use separate connections: a broker that blocks publishers
/// still takes acknowledgements.
package struct WorkerService: ServiceLifecycle.Service, CustomStringConvertible {
    /// Service lifecycle logs a service as it describes itself: not with all that it holds.
    package var description: String { "worker" }

    /// The most replies under way to one queue: many times what a queue that takes them has.
    private static let addressBudget = 1024

    let assembly: Assembly
    let logger: Logger
    let consumer: RabbitMQConsumer
    let publisher: RabbitMQPublisher
    let redis: RedisClient
    let results: RedisResults
    let answers: RedisAnswers?
    let passages: [(vectors: Dependency, source: RetrieverSource)]
    let outbox: RabbitMQOutbox
    let pipeline: Pipeline
    let presence: Presence

    package init(_ assembly: Assembly, logger: Logger) {
        self.assembly = assembly
        self.logger = logger
        let settings = assembly.settings
        let queues = assembly.queues
        let clock = SystemClock()
        let watch = ConnectionWatch(logger: logger)
        let limits = DeliveryLimits()
        let oddities = QueueOddities(logger: logger)
        consumer = RabbitMQConsumer(
            configuration: assembly.rabbitMQ, loop: assembly.loop,
            queues: queues.consumed(prefetch: settings.worker.prefetch), maxBody: settings.limits.body,
            keeps: { limits.isWorn($0) },
            setup: { connection throws(RabbitMQError) in
                try await queues.ensure(on: connection)
                await oddities.look(at: queues, on: connection)
            },
            onEvent: { watch.rabbitMQ($0, role: "consumer") }, logger: logger)
        publisher = RabbitMQPublisher(
            configuration: assembly.rabbitMQ, loop: assembly.loop, addressBudget: Self.addressBudget,
            onEvent: { watch.rabbitMQ($0, role: "publisher") }, logger: logger)
        redis = RedisClient(
            configuration: assembly.redis, loop: assembly.loop, onEvent: { watch.redis($0) }, logger: logger)
        var configuration = PipelineConfiguration()
        configuration.window = settings.worker.window
        configuration.answering.agent = AgentConfiguration(
            assembly.standard.settings, of: settings, router: assembly.router)
        configuration.answering.priorityMaxWait = settings.priorityMaxWait
        configuration.answering.cache = CacheSettings(settings)
        configuration.retry.maxAttempts = settings.retry.maxAttempts
        configuration.retry.base = settings.retry.base
        configuration.retry.factor = settings.retry.factor
        configuration.retry.max = settings.retry.max
        configuration.retry.maxDeliveries = settings.retry.maxDeliveries
        configuration.resultLife = settings.results.ttl
        configuration.answering.tenantWeights = settings.tenants.own.mapValues(\.weight).filter { $0.value != 1 }
        configuration.answering.limits = LimitRules(settings)
        configuration.maxInline = settings.replyMaxInline
        configuration.objectLife = settings.results.ttl * (1 + settings.results.ttlJitter)
        configuration.inFlight = TenantCeiling(settings.limits.inFlight)
        configuration.chunksPerSecond = TenantCeiling(settings.limits.chunksPerSecond)
        configuration.flush = settings.stream.flush
        configuration.answering.longestPause = settings.retry.max
        configuration.recordsUsers = settings.cache.scope == .user
        results = RedisResults(
            redis: redis, ttl: settings.results.ttl, jitter: settings.results.ttlJitter, keys: assembly.keys)
        passages = assembly.agents.map { ($0.vectors, RetrieverSource(retriever: $0.retriever)) }
        let relay = Relay(settings, assembly.rabbitMQ)
        outbox = RabbitMQOutbox(
            publisher: publisher, queues: queues, clock: clock, relay: relay, letterKey: settings.letterKey,
            logger: logger)
        var decoder = JobDecoder(
            maxBody: settings.limits.body, maxQuery: settings.limits.query, ceilings: JobCeilings(settings),
            ownQueues: queues.names, repliesAllowed: NamePatterns(settings.replyAllow))
        decoder.tenancy = Tenancy(settings)
        answers =
            settings.cache.ttl > .zero
            ? RedisAnswers(redis: redis, keys: assembly.keys, worker: results.worker) : nil
        let batches = RedisBatches(redis: redis, keys: assembly.keys, worker: results.worker)
        pipeline = Pipeline(
            intake: RabbitMQIntake(consumer: consumer, clock: clock, relay: relay, renewing: outbox, limits),
            results: results, outbox: outbox,
            passageSource: RetrieverSource(retriever: assembly.standard.retriever),
            model: assembly.standard.port(of: assembly.standard.model),
            rewriter: assembly.standard.rewriter.map(assembly.standard.port(of:)),
            fallbacks: assembly.standard.fallbacks.map { $0.choice(currency: settings.model.currency) },
            batches: assembly.standard.batches(settings, batches, logger),
            agents: assembly.agents.dropFirst().map {
                $0.agent(settings, router: assembly.router, records: batches, logger: logger)
            },
            router: assembly.router,
            answers: answers,
            questions: settings.recordsQuestions ? RedisQuestions(redis: redis, keys: assembly.keys) : nil,
            chunks: settings.stream.keep > .zero
                ? RedisChunks(redis: redis, keys: assembly.keys, life: settings.stream.keep) : nil,
            objects: assembly.objects?.store,
            limits: RedisLimits(redis: redis, keys: assembly.keys, worker: results.worker, logger: logger),
            decoder: decoder,
            inflate: Self.inflate, clock: clock, configuration: configuration, executor: assembly.loop, logger: logger)
        presence = Presence(settings)
    }

    @Sendable private static func inflate(_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8] {
        do throws(GzipError) {
            return try gunzip(body, limit: limit)
        } catch {
            switch error {
            case .exceedsLimit:
                throw JobFailure(.tooLarge, "the body has more than \(limit) bytes once decompressed")
            case .malformed:
                throw JobFailure(
                    .invalidJob, "content_encoding is gzip, but the body is neither gzip nor zlib, or is damaged")
            }
        }
    }

    /// Works until graceful shutdown: then intake stops, jobs in flight finish within `worker.shutdown_grace`, the rest
    /// goes back to the queue.
    package func run() async throws {
        await redis.start()
        await publisher.start()
        await consumer.start()
        let settings = assembly.settings
        logger.notice(
            "worker started",
            metadata: [
                "queue": "\(settings.queue.name)", "prefetch": "\(settings.worker.prefetch)",
                "window": "\(settings.worker.window)", "rabbitmq": "\(assembly.rabbitMQ.redacted)",
                "redis": "\(assembly.redis.redacted)", "vectors": "\(assembly.standard.store.location)",
                "agents": "\(assembly.agents.compactMap(\.name).joined(separator: ", "))",
            ])
        let pulse = Task { await showLife() }
        let look = Task { await lookAtRedis() }
        let sign = Task { await answers?.showLife() }
        await withGracefulShutdownHandler {
            await pipeline.run()
        } onGracefulShutdown: {
            // Unstructured: the handler may not wait, and run() returns as soon as the drain is done.
            Task { await drain() }
        }
        pulse.cancel()
        look.cancel()
        sign.cancel()
        // Not waited for: a Redis that stands still would hold up the end; closing its client ends the look.
        await pulse.value
        await results.farewell()
        await answers?.farewell()
        await consumer.close()
        await publisher.close()
        await redis.close()
        await assembly.http.close()
        await assembly.modelHTTP.close()
        logger.notice("worker stopped")
    }

    /// Says once what Redis, or what stands in for it, lacks: each job would say it in words of its own.
    private func lookAtRedis() async {
        try? await redis.waitUntilConnected()
        guard !Task.isCancelled, let problem = try? await RedisSuitability(of: redis, assembly.keys).problem else {
            return
        }
        logger.error(
            "Redis is not what a worker needs: check redis.url",
            metadata: ["redis": "\(assembly.redis.redacted)", "reason": "\(problem)"])
    }

    /// Tells the other workers each second that this one lives, and looks whether anything was revoked.
    private func showLife() async {
        var known: Int64?
        // Once more after each change: a job may just have begun that was not revoked when it asked.
        var looksAgain = false
        var audit = AuditKeeper(life: assembly.settings.auditTTL, logger: logger)
        var lostCalls = LostCallKeeper(logger: logger)
        while !Task.isCancelled {
            let away = await absent()
            showAbsence(away)
            let shown = await presence.json(inFlight: pipeline.inFlight, settled: pipeline.settled, away: away.sorted())
            if let revocations = try? await results.pulse(shown) {
                let isNews = revocations != known
                if isNews || looksAgain { await pipeline.checkRevocations() }
                looksAgain = isNews
                known = revocations
                await lostCalls.note(results)
                await audit.dropOld(results)
            }
            await pipeline.renewClaims()
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// What this worker waits for. The broker counts from the moment its connection is cut, whether or not there was a job to
    /// notice it.
    private func absent() async -> Set<Dependency> {
        var away = Set(await pipeline.dependenciesDown.keys)
        let isDraining = await presence.isDraining
        let isConsuming = await consumer.isConsuming
        // While something else is away nothing is consumed, and that is no fault of the broker's.
        if await !publisher.isConnected || (!isConsuming && !isDraining && away.isEmpty) { away.insert(.rabbitMQ) }
        if await !redis.isConnected { away.insert(.redis) }
        return away
    }

    /// One series for each service from the start, so that an alert is about a number and not about its absence.
    private func showAbsence(_ away: Set<Dependency>) {
        for (service, gauge) in Self.absences { gauge.record(away.contains(service) ? 1 : 0) }
    }

    private static let absences = Dependency.Kind.allCases.map { Dependency($0) }.map { service in
        (service, Gauge(label: "parley_service_away", dimensions: [("service", service.description)]))
    }

    private func drain() async {
        await presence.drain()
        let grace = assembly.settings.worker.shutdownGrace
        // Not waited for: a broker that stands still takes none of the grace.
        Task { await consumer.stopConsuming() }
        let inFlight = await pipeline.inFlight
        logger.notice("draining", metadata: ["in_flight": "\(inFlight)", "grace": "\(grace)"])
        try? await Task.sleep(for: grace)
        let left = await pipeline.inFlight
        guard left > 0 else { return }
        logger.warning("grace is over: jobs go back to the queue", metadata: ["jobs": "\(left)"])
        await pipeline.abandon()
        // Replies that a broker under an alarm does not take are not waited for: their results are stored.
        await publisher.close(within: .seconds(1))
    }

    /// Whoever asks the model has another one that is there.
    private func isStoodInFor(_ service: Dependency, _ away: [Dependency: String]) -> Bool {
        let chains = assembly.agents.map { [$0.service] + $0.fallbacks.map(\.service) }.filter { $0.contains(service) }
        return !chains.isEmpty && chains.allSatisfy { $0.contains { away[$0] == nil } }
    }

    /// What `/readyz` says: whether each service that jobs need is there.
    package func readiness() async -> Admin.Readiness {
        let away = await pipeline.dependenciesDown
        let consuming = await consumer.isConsuming
        let publishing = await publisher.isConnected
        let blocked = await publisher.isBlocked
        let stored = await redis.isConnected
        let rabbitMQ: Admin.Readiness.State =
            if blocked {
                .failed("the broker takes no messages (memory or disk alarm)")
            } else if !publishing {
                .failed("not connected")
            } else if !consuming, away.isEmpty {
                .failed("not consuming \(assembly.settings.queue.name)")
            } else if let reason = away[.rabbitMQ] {
                .failed(reason)
            } else {
                .ok
            }
        var readiness = Admin.Readiness(["rabbitmq": rabbitMQ, "redis": stored ? .ok : .failed("not connected")])
        for (service, reason) in away.sorted(by: { $0.key < $1.key }) where service != .rabbitMQ {
            readiness.set(
                service.description,
                isStoodInFor(service, away) ? .degraded("\(reason); another model stands in") : .failed(reason))
        }
        for (vectors, source) in passages where away[vectors] == nil {
            if let trouble = await source.trouble() { readiness.set(vectors.description, .degraded(trouble)) }
        }
        return readiness
    }
}

extension TenantCeiling {
    init(_ setting: Settings.Limits.PerTenant) { self.init(everybody: setting.everybody, own: setting.own) }
}

extension LimitRules {
    init(_ settings: Settings) {
        self.init()
        model = RateLimits(settings.limits.rates)
        agents = settings.agents.compactMapValues { $0.rates.map { RateLimits($0) } }
        tenants = settings.tenants.own.mapValues { RateLimits($0.rates) }
    }
}

extension RateLimits {
    init(_ setting: Settings.Limits.Rates) {
        self.init(requests: setting.requests, tokens: setting.tokens, concurrent: setting.concurrent)
    }
}

extension JobCeilings {
    init(_ settings: Settings) {
        self.init()
        metadata = settings.limits.metadata
        maxTokens = settings.limits.maxTokens
        notBefore = settings.limits.notBefore
        models = NamePatterns(settings.modelsAllow)
    }
}
