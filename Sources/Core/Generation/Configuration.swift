import Logging
import ParleyHTTP

/// A setting of the model or its prompt that cannot be used.
package struct GenerationConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The configuration key, `model.url` for instance.
    package let key: String
    /// What is wrong with its value and what is allowed.
    package let message: String

    package init(key: String, message: String) {
        self.key = key
        self.message = message
    }

    package var description: String { "\(key): \(message)" }
}

/// The model that `url` names.
///
/// - Parameters:
///   - url: `builtin:extractive`, `builtin:echo`, or the base URL of an OpenAI-compatible service,
///     `http://host:port/v1`.
///   - name: the model to ask the service for; nil leaves the choice to it. Jobs may name another.
///   - apiKey: sent as a bearer token; nil sends none. The builtin models need none.
///   - behaviour: of a service; the builtin models have none.
///   - feed: many prompts a call; nil: a chat request a job.
///   - isBatched: bulk jobs go by the service's batch interface.
/// - Throws: ``GenerationConfigurationError`` naming `model.url` or `model.api_key`.
package func makeModel(
    url: String, name: String? = nil, apiKey: String? = nil, prompt: PromptTemplate = .standard,
    behaviour: ChatBehaviour = .init(), feed: PromptFeed? = nil, isBatched: Bool = false, http: HTTPClient,
    logger: Logger = Logger(label: "parley.model")
) throws(GenerationConfigurationError) -> any LanguageModel {
    switch url {
    case ExtractiveModel.url: return ExtractiveModel()
    case EchoModel.url: return EchoModel()
    default:
        guard !url.hasPrefix("builtin:") else {
            throw GenerationConfigurationError(
                key: "model.url",
                message: "\"\(url)\" is no model of Parley's own; there are \(ExtractiveModel.url) and \(EchoModel.url)"
            )
        }
        let chat = try ChatCompletionsModel(
            baseURL: url, name: name, apiKey: apiKey, prompt: prompt, behaviour: behaviour, http: http, logger: logger)
        if isBatched { return try BatchModel(chat, baseURL: url) }
        guard let feed else { return chat }
        return try ArrayModel(chat, feed: feed, baseURL: url)
    }
}
