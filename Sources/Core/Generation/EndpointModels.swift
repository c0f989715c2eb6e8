import ChatJobs
import Logging
import ParleyHTTP

/// One model at several addresses (`model.endpoints`). Who is asked is up to others; asked itself, it asks the first.
package struct EndpointModels: LanguageModel {
    /// - url: as it is set.
    package let members: [(url: String, model: any LanguageModel)]

    package func generate(_ request: GenerationRequest, onDelta: DeltaHandler?) async throws(JobFailure) -> Generation {
        try await members[0].model.generate(request, onDelta: onDelta)
    }

    /// Nil when all of them can be used.
    package func check() async -> String? {
        for (url, model) in members {
            if let problem = await model.check() { return "\(url): \(problem)" }
        }
        return nil
    }

    package func isThere() async -> Bool {
        for (_, model) in members where await model.isThere() { return true }
        return false
    }

    package func useKey(_ key: String) throws(GenerationConfigurationError) {
        for (_, model) in members { try model.useKey(key) }
    }
}

/// The model at `urls`: at one of them as ``makeModel(url:name:apiKey:prompt:behaviour:feed:isBatched:http:logger:)`` says, at
/// several an ``EndpointModels``.
package func makeModel(
    urls: [String], name: String?, apiKey: String?, prompt: PromptTemplate, behaviour: ChatBehaviour,
    feed: PromptFeed?, isBatched: Bool, http: HTTPClient, logger: Logger
) throws(GenerationConfigurationError) -> any LanguageModel {
    var members: [(url: String, model: any LanguageModel)] = []
    for (place, url) in urls.enumerated() {
        do throws(GenerationConfigurationError) {
            let model = try makeModel(
                url: url, name: name, apiKey: apiKey, prompt: prompt, behaviour: behaviour, feed: feed,
                isBatched: isBatched, http: http, logger: logger)
            if urls.count == 1 { return model }
            members.append((url, model))
        } catch {
            guard urls.count > 1, error.key == "model.url" else { throw error }
            throw GenerationConfigurationError(key: "model.endpoints", message: "entry \(place + 1): \(error.message)")
        }
    }
    guard !members.isEmpty else {
        throw GenerationConfigurationError(key: "model.endpoints", message: "it names no server")
    }
    return EndpointModels(members: members)
}
