import ChatJobs
import ParleyHTTP

/// A model whose bulk jobs go by its provider's batch interface: ``batches``. Whatever is not bulk is asked for as chats.
package struct BatchModel: LanguageModel {
    let chat: ChatCompletionsModel
    package let batches: ChatBatches

    package init(_ chat: ChatCompletionsModel, baseURL: String) throws(GenerationConfigurationError) {
        self.chat = chat
        do throws(HTTPError) { batches = try ChatBatches(chat, base: HTTPURL(baseURL)) } catch {
            throw GenerationConfigurationError(key: "model.url", message: error.message)
        }
    }

    package func generate(_ request: GenerationRequest, onDelta: DeltaHandler?) async throws(JobFailure) -> Generation {
        try await chat.generate(request, onDelta: onDelta)
    }

    package func isThere() async -> Bool { await chat.isThere() }
    package func useKey(_ key: String) throws(GenerationConfigurationError) { try chat.useKey(key) }

    package func check() async -> String? {
        if let problem = await chat.check() { return problem }
        do throws(JobFailure) {
            _ = try await batches.list(after: nil, limit: 1, within: .seconds(20))
            return nil
        } catch {
            return
                "model.feed is batch, and \(error.message); is \(batches.batchesURL) there? requests asks for each job by itself"
        }
    }
}
