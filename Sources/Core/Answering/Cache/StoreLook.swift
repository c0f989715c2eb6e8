import Synchronization

/// A look into the store for a window's answers. It begins before anybody asks for them, and may end before that, too.
package final class StoreLook: Sendable {
    private enum State {
        /// Whose leads wait for it; nil when nobody has asked yet.
        case goingOn(waiting: [UInt64]?)
        case ended([AnswerKey: AnswerCache.Standing])
    }

    private let state = Mutex(State.goingOn(waiting: nil))

    /// What was found; nil when that is not known yet: then ``end(_:)`` returns the leads. To be called once.
    func found(orWaitWith leads: [UInt64]) -> [AnswerKey: AnswerCache.Standing]? {
        state.withLock { state in
            switch state {
            case .goingOn:
                state = .goingOn(waiting: leads)
                return nil
            case .ended(let found): return found
            }
        }
    }

    /// - Returns: those that wait for it; nil when nobody has asked yet.
    func end(_ found: [AnswerKey: AnswerCache.Standing]) -> [UInt64]? {
        state.withLock { state in
            guard case .goingOn(let waiting) = state else { return nil }
            state = .ended(found)
            return waiting
        }
    }
}
