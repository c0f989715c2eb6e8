import Synchronization

/// What has been learnt of the models behind one address, shared by all calls.
final class ModelMemory: Sendable {
    private struct State {
        var forms: [String: RequestForm] = [:]
        var beginInThought: Set<String> = []
        var reasons: Set<String> = []
    }

    /// Models remembered, and words for ends. Jobs may name any model; who names so many has no use for a memory.
    static let most = 256

    private let state = Mutex(State())

    /// How requests for a model are written.
    func form(of model: String) -> RequestForm { state.withLock { $0.forms[model] ?? RequestForm() } }

    func remember(_ form: RequestForm, of model: String) {
        state.withLock {
            guard $0.forms[model] != nil || $0.forms.count < Self.most else { return }
            var form = form
            // Another call may have learnt something else meanwhile.
            form.without.formUnion($0.forms[model]?.without ?? [])
            $0.forms[model] = form
        }
    }

    /// Whether a model's text begins inside of its thinking.
    func beginsInThought(_ model: String) -> Bool { state.withLock { $0.beginInThought.contains(model) } }

    func setBeginsInThought(_ begins: Bool, _ model: String) {
        state.withLock {
            if !begins {
                $0.beginInThought.remove(model)
            } else if $0.beginInThought.count < Self.most {
                $0.beginInThought.insert(model)
            }
        }
    }

    /// Whether a word for an end is met for the first time.
    func isNews(_ reason: String) -> Bool {
        state.withLock { $0.reasons.count < Self.most && $0.reasons.insert(reason).inserted }
    }
}
