/// Which of a call's items to ask for next, when a service may refuse whole batches.
///
/// A refused batch is asked for again in halves, until what is refused is one item: the one that is to blame. When all
/// of a refused batch went through in parts, its size was to blame, and no larger batch is tried again.
struct Halving: Sendable {
    private struct Refused {
        let range: Range<Int>
        /// Items of it that have not gone through yet.
        var left: Int
        var largest = 0
    }

    /// The most items in one batch.
    private(set) var limit: Int
    /// The next one last.
    private var pending: [Range<Int>]
    private var refused: [Refused] = []

    init(count: Int, limit: Int) {
        self.limit = max(1, limit)
        pending = count > 0 ? [0..<count] : []
    }

    /// The next batch; nil when every item had its turn.
    mutating func next() -> Range<Int>? {
        guard let range = pending.popLast() else { return nil }
        guard range.count > limit else { return range }
        let cut = range.lowerBound + limit
        pending.append(cut..<range.upperBound)
        return range.lowerBound..<cut
    }

    mutating func wentThrough(_ range: Range<Int>) {
        for index in refused.indices where refused[index].range.contains(range.lowerBound) {
            refused[index].left -= range.count
            refused[index].largest = max(refused[index].largest, range.count)
            if refused[index].left == 0 { limit = min(limit, refused[index].largest) }
        }
    }

    /// - Returns: whether parts of it are asked for instead; false for a single item.
    mutating func wasRefused(_ range: Range<Int>) -> Bool {
        guard range.count > 1 else { return false }
        refused.append(Refused(range: range, left: range.count))
        let middle = range.lowerBound + range.count / 2
        pending.append(middle..<range.upperBound)
        pending.append(range.lowerBound..<middle)
        return true
    }
}

/// Calls a service for `count` items: in batches of at most `limit`, in halves where it refuses a batch, and no more at
/// all after the first failure that says nothing of the items, or when the time is up.
///
/// - Parameters:
///   - timeout: for all calls together.
///   - call: gives one value for each item of its range, within the time it is given.
/// - Returns: each item's value or failure, and the most items that the service takes at once.
func inHalves<Value: Sendable>(
    _ count: Int, limit: Int = .max, within timeout: Duration, part: RetrievalError.Part,
    _ call: (Range<Int>, _ left: Duration) async throws(RetrievalError) -> [Value]
) async -> (results: [Result<Value, RetrievalError>], limit: Int) {
    let deadline = ContinuousClock.now + timeout
    var halving = Halving(count: count, limit: limit)
    let unasked = RetrievalError(.timedOut, "the time for retrieval was over before it was asked", part: part)
    var results = [Result<Value, RetrievalError>](repeating: .failure(unasked), count: count)
    while let range = halving.next() {
        do throws(RetrievalError) {
            let left = deadline.left
            guard left > .zero else { throw unasked }
            let values = try await call(range, left)
            for (place, value) in zip(range, values) { results[place] = .success(value) }
            halving.wentThrough(range)
        } catch {
            if error.isRefusal {
                if !halving.wasRefused(range) { results[range.lowerBound] = .failure(error) }
                continue
            }
            for place in range { results[place] = .failure(error) }
            while let rest = halving.next() {
                for place in rest { results[place] = .failure(error) }
            }
        }
    }
    return (results, halving.limit)
}

extension ContinuousClock.Instant {
    /// How long it is until then, in whole milliseconds, as messages show it.
    var left: Duration { .milliseconds(Int(((self - .now) / .milliseconds(1)).rounded(.up))) }
}
