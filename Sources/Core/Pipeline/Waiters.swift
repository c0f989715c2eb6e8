/// Tasks that wait until something holds. Whoever changes it releases them; each looks again by itself.
struct Waiters {
    private var continuations: [CheckedContinuation<Void, Never>] = []

    mutating func add(_ continuation: CheckedContinuation<Void, Never>) { continuations.append(continuation) }

    mutating func release() {
        let released = continuations
        continuations = []
        for continuation in released { continuation.resume() }
    }
}
