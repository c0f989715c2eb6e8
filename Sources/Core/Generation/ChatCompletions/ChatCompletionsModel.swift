import ChatJobs
import Logging
import ParleyHTTP
import ParleyPrimitives

/// A model behind an OpenAI-compatible `/v1/chat/completions`: llama.cpp, vLLM, Ollama, LiteLLM, OpenAI and many
/// others, as they are: what their servers refuse of a request is left out and remembered (``RequestForm``), and their
/// answers are read in whatever shape they come (``AnswerReader``).
package final class ChatCompletionsModel: LanguageModel {
    let http: HTTPClient
    let completionsURL: HTTPURL
    let modelsURL: HTTPURL
    package let name: String?
    private let access: Shared<Access>
    let prompt: PromptTemplate
    let behaviour: ChatBehaviour
    let memory = ModelMemory()
    let logger: Logger

    /// The temperature of jobs that name none.
    package static let defaultTemperature = 0.3
    /// The seed of jobs that name none.
    package static let defaultSeed = 42
    /// The most bytes of an answer, streamed or not.
    static let maxBodyBytes = 8 << 20
    /// How long an answer that is there waits for its usage and for the end of its stream.
    static let patience = Duration.seconds(2)
    /// The same while there is only thinking: some servers say that it stops where it ends.
    static let patienceWithoutText = Duration.seconds(10)

    /// - Parameters:
    ///   - baseURL: up to and without `/chat/completions`: `http://host:port/v1`.
    ///   - name: asked for when a job names no model; nil sends no name, which servers of one model accept.
    ///   - apiKey: sent as `Authorization: Bearer …`; it never appears in a message.
    /// - Throws: ``GenerationConfigurationError`` naming `model.url` or `model.api_key`.
    package init(
        baseURL: String, name: String? = nil, apiKey: String? = nil, prompt: PromptTemplate = .standard,
        behaviour: ChatBehaviour = .init(), http: HTTPClient, logger: Logger = Logger(label: "parley.model")
    ) throws(GenerationConfigurationError) {
        do throws(HTTPError) {
            let base = try HTTPURL(baseURL)
            completionsURL = try base.appending("chat/completions")
            modelsURL = try base.appending("models")
        } catch {
            throw GenerationConfigurationError(
                key: "model.url", message: "\(error.message), or one of builtin:extractive and builtin:echo")
        }
        access = Shared(try Access(apiKey))
        self.http = http
        self.name = name.flatMap { $0.isEmpty ? nil : $0 }
        self.prompt = prompt
        self.behaviour = behaviour
        self.logger = logger
    }

    /// The key, and the headers that it is sent in.
    private struct Access: Sendable {
        let key: String?
        let whole: [HTTPHeader]
        let stream: [HTTPHeader]

        init(_ apiKey: String?) throws(GenerationConfigurationError) {
            let key = apiKey.flatMap { $0.isEmpty ? nil : $0 }
            guard key?.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) ?? true else {
                throw GenerationConfigurationError(
                    key: "model.api_key",
                    message: "it has a space, a line break or a letter that is not ASCII; copy it again without those")
            }
            self.key = key
            whole = Self.headers(accept: "application/json", key)
            stream = Self.headers(accept: "text/event-stream, application/json", key)
        }

        private static func headers(accept: String, _ key: String?) -> [HTTPHeader] {
            [HTTPHeader("content-type", "application/json"), HTTPHeader("accept", accept)]
                + (key.map { [HTTPHeader("authorization", "Bearer \($0)")] } ?? [])
        }
    }

    package func useKey(_ key: String) throws(GenerationConfigurationError) { access.set(try Access(key)) }

    var apiKey: String? { access.value.key }
    var wholeHeaders: [HTTPHeader] { access.value.whole }
    var streamHeaders: [HTTPHeader] { access.value.stream }

    package func generate(
        _ request: GenerationRequest, onDelta: DeltaHandler?
    ) async throws(JobFailure) -> Generation {
        let failures = Boxed(failures(for: request))
        var begun: Reading?
        var exchanged: Exchanged
        do throws(JobFailure) {
            exchanged = try await exchange(request, failures, onDelta, &begun)
        } catch {
            throw error.losing(lost(begun, request))
        }
        do throws(JobFailure) {
            let rest = try exchanged.reader.finish()
            if let onDelta, !rest.isEmpty { try await pass(rest, to: onDelta) }
        } catch {
            throw error.losing(lost(exchanged.reader, request))
        }
        return generation(exchanged, request, failures.value)
    }

    /// Held across suspensions, several times.
    typealias Reading = Boxed<AnswerReader>

    @inline(never)
    private func generation(
        _ exchanged: Exchanged, _ request: GenerationRequest, _ failures: FailureMapping
    ) -> Generation {
        let answer = exchanged.reader.value.answer
        learn(from: answer, request, failures)
        return Generation(
            answer: answer.text, model: answer.model ?? request.model ?? name ?? "",
            usage: answer.usage(of: prompt.messages(for: request)),
            finishReason: answer.reason == .cut ? .length : .stop, sources: exchanged.offered,
            sparedTokens: exchanged.spared)
    }

    /// - Parameter begun: what the last call had come to; nil when it was refused, or never went out.
    @inline(never)
    private func lost(_ begun: Reading?, _ request: GenerationRequest) -> LostCall? {
        guard let answer = begun?.value.answer else { return nil }
        return LostCall(
            model: answer.model ?? asked(request), usage: answer.usage(of: prompt.messages(for: request)))
    }

    func failures(for request: GenerationRequest) -> FailureMapping {
        FailureMapping(url: completionsURL, apiKey: apiKey, query: request.query)
    }

    /// The name under which what is learnt of a model is remembered.
    func asked(_ request: GenerationRequest) -> String { request.model ?? name ?? "" }

    private func learn(from answer: ChatAnswer, _ request: GenerationRequest, _ failures: FailureMapping) {
        if answer.thinking.foundUnopened {
            memory.setBeginsInThought(true, asked(request))
        } else if answer.thinking.expectedInVain {
            memory.setBeginsInThought(false, asked(request))
        }
        guard answer.reason == .unknown, let word = answer.finishReason, memory.isNews(word) else { return }
        logger.notice(
            "an unknown finish_reason is taken for an end",
            metadata: ["finish_reason": "\(failures.clean(String(word.prefix(40))))", "url": "\(completionsURL)"])
    }
}
