import ChatJobs

/// The answers that are being made anew while the old ones are still given.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class Renewals {
    private var begun: Set<AnswerKey> = []
    private var flights: [AnswerKey: Flight] = [:]
    private var last = UInt64.max
    private let clock: any PipelineClock

    init(clock: any PipelineClock) { self.clock = clock }

    /// The one that whoever is asked meanwhile, when the old answer has expired, may join.
    subscript(key: AnswerKey) -> Flight? { flights[key] }

    /// - Returns: false when it has begun already.
    func begin(_ key: AnswerKey) -> Bool { begun.insert(key).inserted }

    func add(_ flight: Flight) {
        if let key = flight.key { flights[key] = flight }
    }

    func end(_ key: AnswerKey) {
        begun.remove(key)
        flights[key] = nil
    }

    /// A question of nobody's: a job that was answered, as if it were asked once more, behind everybody who waits.
    func inquiry(like job: Job, conclude: @escaping @Sendable (AnswerOutcome) async -> Void) -> Inquiry {
        last -= 1
        var job = job
        job.id = JobID(renewal: UInt64(clock.random() * 0x1p53))
        job.stream = false
        job.deadline = nil
        job.notBefore = nil
        job.metadata = nil
        job.options.cache = .refresh
        // Tokens of jobs count from the other end.
        return Inquiry(
            job, rank: Rank(priority: 0, deadline: .max, arrival: last), isFirstTry: false, onDelta: nil,
            conclude: conclude)
    }
}
