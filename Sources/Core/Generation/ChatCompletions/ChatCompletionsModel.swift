import ChatJobs
import ParleyHTTP
import ParleyJSON

/// A model behind an OpenAI-compatible `/v1/chat/completions`: llama.cpp, vLLM, Ollama, LiteLLM, OpenAI and many
/// others.
package struct ChatCompletionsModel: LanguageModel {
    let http: HTTPClient
    let completionsURL: HTTPURL
    let modelsURL: HTTPURL
    let name: String?
    let apiKey: String?
    let prompt: PromptTemplate
    let alwaysStream: Bool
    private let wholeHeaders: [HTTPHeader]
    private let streamHeaders: [HTTPHeader]

    /// The temperature of jobs that name none.
    package static let defaultTemperature = 0.3
    /// The seed of jobs that name none.
    package static let defaultSeed = 42
    /// The most bytes of an answer, streamed or not.
    static let maxBodyBytes = 8 << 20

    /// - Parameters:
    ///   - baseURL: up to and without `/chat/completions`: `http://host:port/v1`.
    ///   - name: asked for when a job names no model; nil sends no name, which servers of one model accept.
    ///   - apiKey: sent as `Authorization: Bearer …`; it never appears in a message.
    ///   - alwaysStream: have the server stream even when the job does not want to. Some servers, llama.cpp among
    ///     them, notice an abandoned request late unless it streams, so cancelled jobs keep their slot; streaming
    ///     costs some CPU on both sides. Default false.
    /// - Throws: ``GenerationConfigurationError`` naming `model.url` or `model.api_key`.
    package init(
        baseURL: String, name: String? = nil, apiKey: String? = nil, prompt: PromptTemplate = .standard,
        alwaysStream: Bool = false, http: HTTPClient
    ) throws(GenerationConfigurationError) {
        do throws(HTTPError) {
            let base = try HTTPURL(baseURL)
            completionsURL = try base.appending("chat/completions")
            modelsURL = try base.appending("models")
        } catch {
            throw GenerationConfigurationError(
                key: "model.url", message: "\(error.message), or one of builtin:extractive and builtin:echo")
        }
        let key = apiKey.flatMap { $0.isEmpty ? nil : $0 }
        guard key?.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) ?? true else {
            throw GenerationConfigurationError(
                key: "model.api_key",
                message: "it has a space, a line break or a letter that is not ASCII; copy it again without those")
        }
        self.http = http
        self.name = name.flatMap { $0.isEmpty ? nil : $0 }
        self.apiKey = key
        self.prompt = prompt
        self.alwaysStream = alwaysStream
        wholeHeaders = Self.headers(accept: "application/json", key)
        streamHeaders = Self.headers(accept: "text/event-stream, application/json", key)
    }

    private static func headers(accept: String, _ apiKey: String?) -> [HTTPHeader] {
        [HTTPHeader("content-type", "application/json"), HTTPHeader("accept", accept)]
            + (apiKey.map { [HTTPHeader("authorization", "Bearer \($0)")] } ?? [])
    }

    package func generate(
        _ request: GenerationRequest, onDelta: DeltaHandler?
    ) async throws(JobFailure) -> Generation {
        guard request.timeout > .zero else {
            throw JobFailure(.modelTimeout, "no time was left to ask the model at \(completionsURL)")
        }
        let (messages, offered) = prompt.prompt(for: request)
        let streams = onDelta != nil || alwaysStream
        let message = httpRequest(
            requestBody(request, messages, streams: streams), timeout: request.timeout, streams: streams)
        let failures = FailureMapping(url: completionsURL, apiKey: apiKey, query: request.query)
        let answer =
            streams
            ? try await streamed(message, failures, onDelta)
            : try await whole(message, failures)
        return Generation(
            answer: answer.text, model: answer.model ?? request.model ?? name ?? "",
            usage: answer.usage(of: messages), sources: offered)
    }

    // MARK: - Requests

    private func requestBody(_ request: GenerationRequest, _ messages: [ChatMessage], streams: Bool) -> [UInt8] {
        var writer = JSONWriter(capacity: 512 + messages.reduce(0) { $0 + $1.content.utf8.count + 64 })
        writer.object { json in
            json.member("model", request.model ?? name)
            json.key("messages")
            json.array { array in
                for message in messages {
                    array.object {
                        $0.member("role", message.role.rawValue)
                        $0.member("content", message.content)
                    }
                }
            }
            json.member("temperature", request.temperature ?? Self.defaultTemperature)
            json.member("seed", request.seed ?? Self.defaultSeed)
            json.member("max_tokens", request.maxTokens)
            json.member("stream", streams)
            if streams {
                json.key("stream_options")
                json.object { $0.member("include_usage", true) }
            }
        }
        return writer.bytes
    }

    func httpRequest(_ body: [UInt8], timeout: Duration, streams: Bool) -> HTTPRequest {
        HTTPRequest(
            method: "POST", url: completionsURL.string, headers: streams ? streamHeaders : wholeHeaders, body: body,
            timeouts: HTTPTimeouts(total: timeout), maxBodyBytes: Self.maxBodyBytes)
    }

    // MARK: - Answers

    private func whole(
        _ message: HTTPRequest, _ failures: FailureMapping
    ) async throws(JobFailure) -> ChatAnswer {
        let response: HTTPResponse
        do throws(HTTPError) { response = try await http.send(message) } catch { throw failures.failure(error) }
        guard response.status == 200 else {
            throw failures.failure(status: response.status, headers: response.headers, body: response.body)
        }
        return try ChatAnswer(response.body, failures)
    }

    private func streamed(
        _ message: HTTPRequest, _ failures: FailureMapping, _ onDelta: DeltaHandler?
    ) async throws(JobFailure) -> ChatAnswer {
        let response: HTTPStreamedResponse
        do throws(HTTPError) { response = try await http.stream(message) } catch { throw failures.failure(error) }
        guard response.status == 200 else {
            // The status says enough when the body cannot be read.
            let body = (try? await response.collect(upTo: 64 << 10)) ?? []
            throw failures.failure(status: response.status, headers: response.headers, body: body)
        }
        if response.header("content-type")?.lowercased().contains("json") == true {
            // The server does not stream, whatever was asked.
            let body: [UInt8]
            do throws(HTTPError) {
                body = try await response.collect(upTo: Self.maxBodyBytes)
            } catch { throw failures.failure(error) }
            let answer = try ChatAnswer(body, failures)
            if let onDelta, !answer.text.isEmpty { try await pass(answer.text, to: onDelta) }
            return answer
        }
        var stream = ChatStream(failures)
        var chunks = response.body.makeAsyncIterator()
        while !stream.isDone {
            let chunk: [UInt8]?
            do throws(HTTPError) { chunk = try await chunks.next() } catch { throw failures.failure(error) }
            // One piece for all that has arrived: no more messages than reads.
            let delta = if let chunk { try stream.feed(chunk) } else { try stream.end() }
            if let onDelta, !delta.isEmpty { try await pass(delta, to: onDelta) }
            if chunk == nil { break }
        }
        if stream.isDone { drain(chunks) }
        return try stream.answer()
    }

    /// Reads to the end of the body behind `[DONE]`, so that the connection can be used again.
    ///
    /// A task of its own: the answer does not wait for a server that is slow to close. The request's total timeout
    /// ends it.
    private func drain(_ chunks: sending HTTPBody.AsyncIterator) {
        Task {
            var chunks = chunks
            var left = 1 << 20
            while left > 0, let chunk = try? await chunks.next() { left -= chunk.count }
        }
    }
}
