import Synchronization

/// A look into the store for a window's answers. It begins before anybody asks for them, and may end before that, too.
package final class StoreLook: Sendable {
    private enum State {
        case goingOn(waiting: [Inquiry])
        case ended([AnswerKey: AnswerCache.Found])
    }

    private let state = Mutex(State.goingOn(waiting: []))

    /// What was found; nil when that is not known yet: then ``end(_:)`` returns the inquiries.
    func found(orWaitWith inquiries: [Inquiry]) -> [AnswerKey: AnswerCache.Found]? {
        state.withLock { state in
            switch state {
            case .goingOn(let waiting):
                state = .goingOn(waiting: waiting + inquiries)
                return nil
            case .ended(let found): return found
            }
        }
    }

    /// - Returns: those that wait for it.
    func end(_ found: [AnswerKey: AnswerCache.Found]) -> [Inquiry] {
        state.withLock { state in
            guard case .goingOn(let waiting) = state else { return [] }
            state = .ended(found)
            return waiting
        }
    }
}
