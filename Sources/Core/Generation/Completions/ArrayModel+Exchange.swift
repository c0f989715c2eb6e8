import ChatJobs
import ParleyHTTP
import ParleyJSON

extension ArrayModel {
    enum Exchange {
        case answers([Result<Generation, JobFailure>])
        case refused(Refusal)
        /// - Parameter wasSent: its service may have begun.
        case failed(JobFailure, wasSent: Bool)
    }

    /// One call for all of the prompts; another at once when the server refuses what can be left out.
    func ask(_ prompts: [ArrayPrompt], within limit: Duration) async -> Exchange {
        guard let first = prompts.first else { return .answers([]) }
        let model = chat.asked(first.request)
        var forms = [chat.memory.form(of: model)]
        while true {
            let form = forms[forms.count - 1]
            let (request, sent) = request(prompts, form, within: limit)
            let response: HTTPResponse
            do throws(HTTPError) { response = try await chat.http.send(request) } catch {
                return .failed(mapping(first).failure(error), wasSent: error.wasSent)
            }
            guard response.status == 200 || response.status == 201 else {
                let refusal = Refusal(
                    status: response.status, headers: response.headers, error: ServerError(response.body))
                guard let next = form.adapted(to: refusal, of: sent), !forms.contains(next), forms.count < 4 else {
                    return .refused(refusal)
                }
                forms.append(next)
                continue
            }
            if forms.count > 1 { chat.memory.remember(form, of: model) }
            return read(response, prompts)
        }
    }

    private func request(
        _ prompts: [ArrayPrompt], _ form: RequestForm, within limit: Duration
    ) -> (HTTPRequest, RequestForm.Sent) {
        let asked = prompts[0].request
        let omitted = chat.behaviour.omitted
        var sent = RequestForm.Sent()
        var defaults: Set<ChatParameter> = []
        if asked.temperature == nil { defaults.insert(.temperature) }
        if asked.seed == nil { defaults.insert(.seed) }
        sent.defaults = defaults.subtracting(form.without).subtracting(omitted)
        sent.hasMaxTokens = asked.maxTokens != nil && !omitted.contains(.maxTokens)
        var writer = JSONWriter(capacity: 256 + prompts.reduce(0) { $0 + $1.text.utf8.count + 16 })
        writer.object { json in
            json.member("model", asked.model ?? chat.name)
            json.key("prompt")
            json.array { for prompt in prompts { $0.string(prompt.text) } }
            if !omitted.contains(.maxTokens) { json.member("max_tokens", prompts[0].answerTokens) }
            if asked.temperature != nil, !omitted.contains(.temperature) {
                json.member("temperature", asked.temperature)
            } else if sent.defaults.contains(.temperature) {
                json.member("temperature", ChatCompletionsModel.defaultTemperature)
            }
            if asked.seed != nil, !omitted.contains(.seed) {
                json.member("seed", asked.seed)
            } else if sent.defaults.contains(.seed) {
                json.member("seed", ChatCompletionsModel.defaultSeed)
            }
            if !feed.template.stops.isEmpty {
                json.key("stop")
                json.array { for stop in feed.template.stops { $0.string(stop) } }
            }
            json.member("stream", false)
        }
        return (
            HTTPRequest(
                method: "POST", url: completionsURL.string, headers: chat.wholeHeaders, body: writer.bytes,
                timeouts: HTTPTimeouts(total: limit), maxBodyBytes: 64 << 20), sent
        )
    }

    // MARK: - Reading

    private func read(_ response: HTTPResponse, _ prompts: [ArrayPrompt]) -> Exchange {
        guard let root = (try? JSONDocument(response.body))?.root, root.kind == .object else {
            return .failed(mapping(prompts[0]).garbage("its answer is not JSON"), wasSent: false)
        }
        let choices = root["choices"]?.elements ?? []
        if choices.isEmpty, let error = ErrorInAnswer.find(in: root, event: nil) {
            return .refused(Refusal(error: ServerError(error)))
        }
        guard let choices = Self.inOrder(choices, prompts.count) else {
            let failure = mapping(prompts[0]).garbage("its answer does not say which text is whose")
            return .failed(failure, wasSent: true)
        }
        let named = root["model"]?.string
        var answers = prompts.indices.map { place in answer(to: prompts[place], choices[place], model: named) }
        divide(root["usage"], prompts, &answers, model: named ?? chat.asked(prompts[0].request))
        return .answers(answers)
    }

    /// The choices by their indexes, nil where one is missing; servers that give no indexes answer in order. Nil when it is not
    /// certain whose each is: one that counts from 1 would give every job its neighbour's answer.
    private static func inOrder(_ choices: [JSONElement], _ count: Int) -> [JSONElement?]? {
        let indexes = choices.map { $0["index"] }
        if indexes.allSatisfy({ $0 == nil || $0?.kind == .null }) { return choices.count == count ? choices : nil }
        var ordered = [JSONElement?](repeating: nil, count: count)
        for (choice, index) in zip(choices, indexes) {
            guard let index = index?.int, ordered.indices.contains(index), ordered[index] == nil else { return nil }
            ordered[index] = choice
        }
        return ordered
    }

    /// Read as the answer to a request of its own would be.
    private func answer(
        to prompt: ArrayPrompt, _ choice: JSONElement?, model: String?
    ) -> Result<Generation, JobFailure> {
        let mapping = mapping(prompt)
        guard let choice else { return .failure(mapping.garbage("its answer lacks one of the prompts")) }
        let asked = chat.asked(prompt.request)
        var reader = AnswerReader(
            mapping, keepsThinking: chat.behaviour.keepsThinking,
            expectation: chat.memory.beginsInThought(asked) ? .yes : .init(ofModel: asked))
        do {
            _ = try reader.feed(Array(#"{"choices":["#.utf8) + choice.raw + Array("]}".utf8))
            _ = try reader.finish()
        } catch let failure as JobFailure {
            return .failure(failure)
        } catch {
            switch error as? ExchangeError {
            case .refused(let refusal)?: return .failure(mapping.failure(refusal))
            case .failed(let failure)?: return .failure(failure)
            case nil: return .failure(mapping.garbage("its answer cannot be read"))
            }
        }
        let answer = reader.answer
        let text = String(answer.text.drop { $0 == " " || $0 == "\n" })
        return .success(
            Generation(
                answer: text, model: model ?? asked,
                usage: Usage(
                    promptTokens: prompt.promptTokens, completionTokens: TokenEstimate.tokens(in: answer.text)),
                finishReason: answer.reason == .cut ? .length : .stop, sources: prompt.offered,
                sparedTokens: prompt.sparedTokens))
    }

    /// What the server counted for all, by their estimates. Some, llama.cpp among them, count the first prompt alone.
    private func divide(
        _ usage: JSONElement?, _ prompts: [ArrayPrompt], _ answers: inout [Result<Generation, JobFailure>],
        model: String
    ) {
        var shares = UsageShares(
            prompts: prompts.map(\.promptTokens),
            answers: answers.map { (try? $0.get())?.usage.completionTokens ?? 0 })
        shares.counted(
            prompt: Self.count(usage?["prompt_tokens"]), completion: Self.count(usage?["completion_tokens"]),
            cached: Self.count(usage?["prompt_tokens_details"]?["cached_tokens"]))
        if shares.isCounted {
            let usages = shares.usages
            learn(
                prompts: prompts.reduce(0) { $0 + $1.promptTokens },
                counted: usages.reduce(0) { $0 + $1.promptTokens },
                answer: usages.reduce(0) { $0 + $1.completionTokens } / usages.count)
        }
        for place in answers.indices {
            var usage = shares.usages[place]
            usage.isEstimated = !shares.isCounted
            answers[place] = answers[place].map { answer in
                var answer = answer
                answer.usage = usage
                return answer
            }.mapError { $0.losing(LostCall(model: model, usage: usage)) }
        }
    }

    private static func count(_ value: JSONElement?) -> Int? {
        guard let number = value?.double, number.isFinite, number > 0, number < 1e12 else { return nil }
        return Int(number.rounded(.up))
    }
}

/// A call's usage, shared out among those who made it together.
struct UsageShares {
    private(set) var usages: [Usage]
    /// The service has counted all of it.
    private(set) var isCounted = false

    /// A count so far below the estimate is not that of all the prompts.
    private static let least = 0.5

    /// - Parameters: estimates, of each.
    init(prompts: [Int], answers: [Int]) {
        usages = zip(prompts, answers).map { Usage(promptTokens: $0, completionTokens: $1) }
    }

    mutating func counted(prompt: Int?, completion: Int?, cached: Int?) {
        if let prompt {
            let estimates = usages.map(\.promptTokens)
            isCounted = Double(prompt) >= Self.least * Double(estimates.reduce(0, +)) || usages.count == 1
            let parts = isCounted ? Self.parts(of: prompt, by: estimates) : Self.grown(estimates, first: prompt)
            for place in usages.indices { usages[place].promptTokens = parts[place] }
        }
        if let completion {
            let estimates = usages.map(\.completionTokens)
            let isWhole = Double(completion) >= Self.least * Double(estimates.reduce(0, +)) || usages.count == 1
            let parts = isWhole ? Self.parts(of: completion, by: estimates) : Self.grown(estimates, first: completion)
            for place in usages.indices { usages[place].completionTokens = parts[place] }
        }
        if let cached, isCounted {
            let parts = Self.parts(of: cached, by: usages.map(\.promptTokens))
            for place in usages.indices { usages[place].cachedTokens = min(parts[place], usages[place].promptTokens) }
        }
    }

    /// Parts that add up to the whole.
    private static func parts(of whole: Int, by weights: [Int]) -> [Int] {
        let sum = weights.reduce(0, +)
        guard sum > 0 else { return weights.indices.map { $0 == 0 ? whole : 0 } }
        var parts = weights.map { Int(Double(whole) * Double($0) / Double(sum)) }
        parts[0] += whole - parts.reduce(0, +)
        return parts
    }

    /// The others in the proportion in which the first was misjudged.
    private static func grown(_ estimates: [Int], first: Int) -> [Int] {
        let ratio = min(4, max(0.25, Double(first) / Double(max(1, estimates[0]))))
        return estimates.enumerated().map { $0 == 0 ? first : Int(Double($1) * ratio) }
    }
}
