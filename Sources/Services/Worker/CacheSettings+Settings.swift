import Answering
import ParleySettings

extension CacheSettings {
    /// Nil when neither tier keeps anything.
    init?(_ settings: Settings) {
        let cache = settings.cache
        guard cache.memory > 0 && cache.memoryTTL > .zero || cache.ttl > .zero else { return nil }
        self.init(
            keys: AnswerKeys(
                scope: CacheScope(rawValue: cache.scope.rawValue) ?? .tenant,
                separatesTenants: settings.tenants.mode == .authenticated),
            memory: cache.memoryTTL > .zero ? cache.memory : 0, memoryLife: cache.memoryTTL,
            storeLife: cache.ttl, jitter: cache.ttlJitter, stale: cache.stale,
            passages: cache.passages, renewsAhead: cache.refreshAhead)
    }
}
