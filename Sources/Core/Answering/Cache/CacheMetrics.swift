import ChatJobs
import Metrics

/// What the answer cache saves.
struct CacheMetrics: Sendable {
    private let hits: [Reply.Cached: Counter] = Dictionary(
        uniqueKeysWithValues: [Reply.Cached.memory, .redis, .coalesced].map {
            ($0, Counter(label: "parley_answers_reused_total", dimensions: [("from", $0.rawValue)]))
        })
    let renewals = Counter(label: "parley_cache_refreshes_total")
    let misses = Counter(label: "parley_cache_misses_total")
    private let savedPrompt = Counter(label: "parley_tokens_saved_total", dimensions: [("kind", "prompt")])
    private let savedCompletion = Counter(label: "parley_tokens_saved_total", dimensions: [("kind", "completion")])
    let bytes = Gauge(label: "parley_cache_memory_bytes")
    let entries = Gauge(label: "parley_cache_memory_entries")

    /// - Parameter usage: of the call that was not made.
    func hit(_ from: Reply.Cached, _ usage: Usage) {
        hits[from]?.increment()
        savedPrompt.increment(by: usage.promptTokens)
        savedCompletion.increment(by: usage.completionTokens)
    }
}
