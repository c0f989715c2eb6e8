import ChatJobs
import Metrics
import ParleyPrimitives
import Synchronization

/// The endpoints of one model (`model.endpoints`), whatever prompts it is asked with: who is asked next, who is left alone, and
/// who is looked for.
package final class EndpointPool: Sendable {
    package let names: [String]
    let clock: any PipelineClock
    private let weights: [Int]
    private let book: Mutex<EndpointBook>
    private let probes: [@Sendable () async -> Bool]
    private let metrics: [EndpointMetrics]
    private let executor: any TaskExecutor

    /// - Parameters:
    ///   - names: their addresses, as operators and metrics know them.
    ///   - timeout: the model's.
    ///   - probes: whether each is there.
    package init(
        service: Dependency, names: [String], weights: [Int], timeout: Duration,
        probes: [@Sendable () async -> Bool], clock: any PipelineClock, executor: any TaskExecutor
    ) {
        self.names = names
        self.weights = weights
        self.probes = probes
        self.clock = clock
        self.executor = executor
        book = Mutex(EndpointBook(weights: weights, timeout: timeout))
        metrics = names.map { EndpointMetrics(service: service.description, endpoint: $0) }
    }

    /// In which order they are preferred for prompts that begin with `key`.
    func order(for key: String) -> [Int] { EndpointOrder.order(of: Array(zip(names, weights)), for: key) }

    // MARK: - Calls

    /// A place in a call to one of them; nil when all but `tried` are out. It must ``end(_:_:after:)``.
    func begin(_ order: [Int], without tried: Set<Int>) -> Int? {
        let (place, due, running) = book.withLock { book in
            let now = clock.now
            let place = book.begin(order, without: tried, now: now)
            return (place, book.dueProbes(now: now), place.map { book.endpoints[$0].inFlight } ?? 0)
        }
        for place in due {
            // Nobody waits for it: the others answer meanwhile. It ends when its probe does.
            Task.detached(executorPreference: executor) { await self.probe(place) }
        }
        guard let place else { return nil }
        metrics[place].requests.increment()
        metrics[place].running.record(running)
        return place
    }

    /// - Returns: whether another one is there.
    func end(_ place: Int, _ verdict: EndpointBook.Verdict, after length: Duration) -> Bool {
        let (running, hasOther, isUp) = book.withLock { book in
            book.end(place, verdict, after: length, now: clock.now)
            return (book.endpoints[place].inFlight, book.hasOther(than: place), book.isUp(place))
        }
        metrics[place].running.record(running)
        if verdict != .answered { noteFailure(place, verdict, isUp) }
        return hasOther
    }

    @inline(never)
    private func noteFailure(_ place: Int, _ verdict: EndpointBook.Verdict, _ isUp: Bool) {
        if verdict != .useful, verdict != .nothing { metrics[place].failures.increment() }
        metrics[place].away.record(isUp ? 0 : 1)
    }

    /// What a job is told while all of them are out.
    func absence(after last: JobFailure?) -> JobFailure {
        let (left, isPaused) = book.withLock { ($0.firstReturn(now: clock.now), $0.isPaused) }
        let reason = last.map { ": \($0.message)" } ?? ""
        return isPaused
            ? JobFailure(
                .rateLimited, "all \(names.count) endpoints of the model want a pause\(reason)", retryAfter: left,
                blame: .overload)
            : JobFailure(
                .modelUnavailable, "none of the model's \(names.count) endpoints is there\(reason)", blame: .absence)
    }

    // MARK: - Probes

    private func probe(_ place: Int) async { noteProbe(place, await probes[place]()) }

    private func noteProbe(_ place: Int, _ isThere: Bool) {
        let isUp = book.withLock { book in
            book.probed(place, isThere: isThere, now: clock.now)
            return book.isUp(place)
        }
        metrics[place].away.record(isUp ? 0 : 1)
    }

    /// Whether any of them is there. Those that are may be asked again.
    func probeAll() async -> Bool {
        let found = await withTaskGroup(of: Bool.self) { group in
            for place in probes.indices {
                group.addTask {
                    let isThere = await self.probes[place]()
                    self.noteProbe(place, isThere)
                    return isThere
                }
            }
            // The first to answer will do; one that hangs is not waited for.
            for await isThere in group where isThere {
                group.cancelAll()
                return true
            }
            return false
        }
        return found
    }
}

/// What operators can see of an endpoint.
private struct EndpointMetrics: Sendable {
    let requests: Counter
    let failures: Counter
    let running: Gauge
    let away: Gauge

    init(service: String, endpoint: String) {
        let label = [("service", service), ("endpoint", endpoint)]
        requests = Counter(label: "parley_endpoint_requests_total", dimensions: label)
        failures = Counter(label: "parley_endpoint_failures_total", dimensions: label)
        running = Gauge(label: "parley_endpoint_calls_in_flight", dimensions: label)
        away = Gauge(label: "parley_endpoint_away", dimensions: label)
        // They are to be seen before anything has happened.
        running.record(0)
        away.record(0)
    }
}
