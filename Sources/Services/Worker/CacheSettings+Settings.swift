import Answering
import ChatJobs
import Generation
import ParleySettings

extension CacheSettings {
    /// Nil when neither tier keeps anything.
    init?(_ settings: Settings) {
        let cache = settings.cache
        guard cache.memory > 0 && cache.memoryTTL > .zero || cache.ttl > .zero else { return nil }
        let keys = AnswerKeys(
            scope: CacheScope(rawValue: cache.scope.rawValue) ?? .tenant, worker: Self.worker(settings),
            retrieve: JobOptions.Retrieve(rawValue: settings.retrieval.mode.rawValue) ?? .auto,
            topK: settings.retrieval.topK)
        self.init(
            keys: keys, memory: cache.memoryTTL > .zero ? cache.memory : 0, memoryLife: cache.memoryTTL,
            storeLife: cache.ttl, jitter: cache.ttlJitter, stale: cache.stale)
    }

    /// All in the settings that has a part in what a question is answered with. Workers that agree in it share answers.
    private static func worker(_ settings: Settings) -> String {
        let model = settings.model
        let prompt = settings.prompt
        let parts: [String?] = [
            model.url, model.name, model.omit.map(\.rawValue).joined(separator: ","), model.reasoning.rawValue,
            prompt.system ?? PromptTemplate.standardSystem, prompt.user ?? PromptTemplate.standardUser,
            "\(prompt.historyTokens)", "\(prompt.contextTokens)", settings.embeddings.url, settings.embeddings.model,
            settings.embeddings.queryPrefix, settings.vectorsURL,
        ]
        return parts.map { "\(($0 ?? "").utf8.count) \($0 ?? "")" }.joined(separator: "\n")
    }
}
