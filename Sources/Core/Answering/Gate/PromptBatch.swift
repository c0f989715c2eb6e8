import ChatJobs

/// A job as it is asked together with others.
package struct BatchPrompt: Sendable {
    /// Only those of one group go together.
    package let group: String
    /// That it takes of a call's, by estimate.
    package let tokens: Int
    /// Those that are not its answer's.
    package let promptTokens: Int
    /// What its model made of it.
    package let content: any Sendable

    package init(group: String, tokens: Int, promptTokens: Int, content: any Sendable) {
        self.group = group
        self.tokens = tokens
        self.promptTokens = promptTokens
        self.content = content
    }
}

/// Answers several questions in one call (`model.feed: prompts`).
package protocol BatchAnswerModel: AnswerModel {
    /// The most prompts of a call, and the most tokens. They change with what the server takes.
    var maxBatch: Int { get }
    var maxBatchTokens: Int { get }
    func prompt(for job: Job, passages: [Source], timeout: Duration) -> BatchPrompt
    /// In order, each with a fate of its own.
    func answers(to prompts: [BatchPrompt], timeout: Duration) async -> [Result<Answer, JobFailure>]
}

/// Those whose questions go to a model in one call: shared work, which outlives whoever gives up waiting for it.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class PromptBatch {
    let choice: ModelChoice
    private(set) var flights: [Flight] = []
    private(set) var prompts: [BatchPrompt] = []
    private(set) var results: [Result<Answer, JobFailure>]?
    private var gone: Set<Int> = []
    var task: Task<Void, Never>?

    struct Seat {
        let batch: PromptBatch
        let place: Int

        /// Nil before the call has ended.
        var result: Result<Answer, JobFailure>? {
            guard let results = batch.results else { return nil }
            return results.indices.contains(place)
                ? results[place] : .failure(JobFailure(.modelUnavailable, "the model gave too few answers"))
        }
    }

    init(_ choice: ModelChoice) { self.choice = choice }

    func add(_ flight: Flight, _ prompt: BatchPrompt) -> Seat {
        flights.append(flight)
        prompts.append(prompt)
        return Seat(batch: self, place: flights.count - 1)
    }

    /// Nobody waits for it any more.
    var isAbandoned: Bool { gone.count == flights.count }

    /// Those who have left, with what they would have been told.
    func left(_ results: [Result<Answer, JobFailure>]) -> [(Flight, Result<Answer, JobFailure>)] {
        gone.sorted().filter(results.indices.contains).map { (flights[$0], results[$0]) }
    }

    func leave(_ place: Int) {
        gone.insert(place)
        if isAbandoned { task?.cancel() }
    }

    func end(_ results: [Result<Answer, JobFailure>]) {
        self.results = results
        for flight in flights {
            flight.waiter?.resume()
            flight.waiter = nil
        }
    }
}
