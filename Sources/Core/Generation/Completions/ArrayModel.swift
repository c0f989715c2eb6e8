import ChatJobs
import ParleyHTTP
import ParleyJSON
import Synchronization

/// A model that is asked for many answers in one call: an array of prompts for `{model.url}/completions`. Streams, and whatever
/// comes alone by its nature, are asked for as chats.
package final class ArrayModel: LanguageModel {
    package let chat: ChatCompletionsModel
    let feed: PromptFeed
    let completionsURL: HTTPURL
    private let state = Mutex(State())

    private struct State {
        /// The server could not take more, and until when that is believed.
        var most: (count: Int, until: ContinuousClock.Instant)?
        /// Tokens as the server counts them, for each of the estimate.
        var ratio = 1.0
        /// Of an answer.
        var usualAnswer = 256.0
    }

    /// So long a server is believed to take no more than it took.
    private static let memory = Duration.seconds(300)

    package init(_ chat: ChatCompletionsModel, feed: PromptFeed, baseURL: String) throws(GenerationConfigurationError) {
        self.chat = chat
        self.feed = feed
        do throws(HTTPError) { completionsURL = try HTTPURL(baseURL).appending("completions") } catch {
            throw GenerationConfigurationError(key: "model.url", message: error.message)
        }
    }

    package func generate(_ request: GenerationRequest, onDelta: DeltaHandler?) async throws(JobFailure) -> Generation {
        try await chat.generate(request, onDelta: onDelta)
    }

    package func isThere() async -> Bool { await chat.isThere() }
    package func useKey(_ key: String) throws(GenerationConfigurationError) { try chat.useKey(key) }

    /// Asks for one token, too, since not every server takes prompts.
    package func check() async -> String? {
        if let problem = await chat.check() { return problem }
        let prompt = prepare(GenerationRequest(query: "ping", maxTokens: 1, timeout: .seconds(20)))
        switch await ask([prompt], within: .seconds(20)) {
        case .answers(let answers):
            guard case .failure(let failure)? = answers.first, failure.code != .modelRejected else { return nil }
            return "model.feed is prompts, and \(failure.message)"
        case .refused(let refusal):
            return
                "model.feed is prompts, and \(mapping(prompt).failure(refusal).message); is \(completionsURL) there? requests asks for "
                + "chats instead"
        case .failed(let failure, _): return failure.message
        }
    }

    // MARK: - Forming

    package func prepare(_ request: GenerationRequest) -> ArrayPrompt {
        ArrayPrompt(request, chat.prompt, feed.template)
    }

    /// How many prompts a call may have now.
    package var maxBatch: Int {
        state.withLock { state in
            guard let most = state.most else { return feed.maxBatch }
            guard most.until > .now else {
                state.most = nil
                return feed.maxBatch
            }
            return most.count
        }
    }

    package var maxTokens: Int { feed.maxTokens }

    /// What the prompt and its answer are counted as.
    package func tokens(of prompt: ArrayPrompt) -> Int {
        state.withLock { state in
            Int(Double(prompt.promptTokens) * state.ratio) + (prompt.request.maxTokens ?? Int(state.usualAnswer))
        }
    }

    private func tookNoMore(than count: Int) {
        state.withLock { state in
            let known = state.most.flatMap { $0.until > .now ? $0.count : nil } ?? feed.maxBatch
            state.most = (max(1, min(known, count)), .now + Self.memory)
        }
    }

    /// - Parameter answer: tokens, on average.
    func learn(prompts estimated: Int, counted: Int, answer: Int) {
        guard estimated > 0, counted > 0 else { return }
        state.withLock { state in
            state.ratio += (min(4, max(0.25, Double(counted) / Double(estimated))) - state.ratio) / 8
            state.usualAnswer += (Double(min(answer, ArrayPrompt.usualAnswer)) - state.usualAnswer) / 8
        }
    }

    // MARK: - Asking

    /// The answers, in the prompts' order, each with a fate of its own.
    package func answers(to prompts: [ArrayPrompt], within limit: Duration) async -> [Result<Generation, JobFailure>] {
        // Those that begin alike stand next to each other, for servers that remember what they have read.
        let order = prompts.indices.sorted { prompts[$0].text < prompts[$1].text }
        let sorted = await halved(order.map { prompts[$0] }, until: .now + limit)
        var answers = sorted
        for (place, index) in order.enumerated() { answers[index] = sorted[place] }
        return answers
    }

    /// A call that is refused as a whole is made again in halves, so that one bad prompt fails alone.
    private func halved(
        _ prompts: [ArrayPrompt], until end: ContinuousClock.Instant
    ) async -> [Result<Generation, JobFailure>] {
        let left = end - .now
        guard left > .zero else {
            let failure = JobFailure(.modelTimeout, "no time was left to ask the model at \(completionsURL)")
            return prompts.map { _ in .failure(failure) }
        }
        switch await ask(prompts, within: left) {
        case .answers(let answers): return answers
        case .failed(let failure, let wasSent):
            return prompts.map { .failure(wasSent ? failure.losing(lost($0)) : failure) }
        case .refused(let refusal):
            let isTooMuch = refusal.kind == .tooLong && refusal.status == 413 || ErrorClues(refusal.error).isOutOfMemory
            guard prompts.count > 1, isTooMuch || refusal.isOfContent else {
                return prompts.map { .failure(mapping($0).failure(refusal)) }
            }
            if isTooMuch { tookNoMore(than: prompts.count / 2) }
            let middle = prompts.count / 2
            let first = await halved(Array(prompts[..<middle]), until: end)
            return first + (await halved(Array(prompts[middle...]), until: end))
        }
    }

    private func lost(_ prompt: ArrayPrompt) -> LostCall {
        var usage = Usage(promptTokens: prompt.promptTokens, completionTokens: 0)
        usage.isEstimated = true
        return LostCall(model: chat.asked(prompt.request), usage: usage)
    }

    func mapping(_ prompt: ArrayPrompt) -> FailureMapping {
        FailureMapping(url: completionsURL, apiKey: chat.apiKey, query: prompt.request.query)
    }
}

extension Refusal {
    /// It may be one of the prompts that is refused, and not the call.
    fileprivate var isOfContent: Bool {
        switch kind {
        case .tooLong, .filtered, .rejected: true
        default: false
        }
    }
}

extension ErrorClues {
    var isOutOfMemory: Bool {
        ["out of memory", "outofmemory", "cuda oom", "oom", "failed to allocate", "kv cache is full"].contains {
            words.contains($0)
        }
    }
}
