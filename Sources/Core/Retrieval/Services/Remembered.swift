import Synchronization

/// What a server last said of a collection, so that it is not asked before every search.
final class Remembered<Collection: Sendable>: Sendable {
    private struct State {
        /// Nil: there is none, or nothing is known.
        var collection: Collection?
        /// When the server last said, or was asked and did not say.
        var since: ContinuousClock.Instant?
        var isUntold = false
    }

    private let state = Mutex(State())
    private let lookAgainAfter: Duration

    /// - Parameter lookAgainAfter: what was looked at is looked at again when this has passed.
    init(lookAgainAfter: Duration = .seconds(1)) { self.lookAgainAfter = lookAgainAfter }

    var collection: Collection? { state.withLock { $0.collection } }

    /// If it was looked at just now.
    var recent: Collection? {
        state.withLock { state in
            guard let since = state.since, ContinuousClock.now - since < lookAgainAfter else { return nil }
            return state.collection
        }
    }

    /// What is known from now on; nil: there is no such collection.
    func remember(_ collection: Collection?) { state.withLock { $0 = State(collection: collection, since: .now) } }

    func change(_ body: (inout Collection) -> Void) {
        state.withLock { state in
            guard var collection = state.collection else { return }
            body(&collection)
            state.collection = collection
        }
    }

    /// - Parameter look: asks the server, and remembers what it says.
    /// - Returns: true when it cannot be told: a search then says why.
    func isThere(_ look: () async throws(RetrievalError) -> Collection?) async -> Bool {
        let known = state.withLock { $0 }
        if known.collection != nil { return true }
        if let since = known.since, ContinuousClock.now - since < lookAgainAfter { return known.isUntold }
        do throws(RetrievalError) {
            return try await look() != nil
        } catch {
            state.withLock { state in
                guard state.collection == nil else { return }
                (state.since, state.isUntold) = (.now, true)
            }
            return true
        }
    }
}
