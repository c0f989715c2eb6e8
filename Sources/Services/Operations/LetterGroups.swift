import ChatJobs
import ParleyJSON
import ParleyRabbitMQ
import Synchronization

/// Dead letters of one cause, from one queue.
package struct LetterGroup: Sendable {
    /// The error code; empty when the letters have none.
    package let code: String
    /// The job queue; empty when the letters do not say.
    package let sourceQueue: String
    package private(set) var count = 0
    /// When the first and the last of them died.
    package private(set) var first: Timestamp?
    package private(set) var last: Timestamp?
    /// The oldest.
    package let sample: DeadLetter
    /// How often each reason was given, as far as they were told apart.
    private var counts: [String: Int] = [:]
    /// Reasons are any text: so many different ones, so long each.
    private static let most = 100
    private static let longest = 300

    init(code: String, sourceQueue: String, sample: DeadLetter) {
        self.code = code
        self.sourceQueue = sourceQueue
        self.sample = sample
    }

    mutating func add(_ letter: DeadLetter) {
        count += 1
        if let time = letter.deadAt {
            first = min(first ?? time, time)
            last = max(last ?? time, time)
        }
        guard let error = letter.error, !error.isEmpty else { return }
        let reason = error.utf8.count > Self.longest ? String(error.prefix(Self.longest)) + "…" : error
        if counts[reason] != nil || counts.count < Self.most { counts[reason, default: 0] += 1 }
    }

    /// The three commonest reasons, the commonest first.
    package var reasons: [(error: String, count: Int)] {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(3).map { ($0.key, $0.value) }
    }

    /// One object: `code`, `source_queue`, `count`, `first`, `last`, `reasons` with `error` and `count`, `sample`.
    package func write(to json: inout JSONWriter) {
        json.object {
            $0.member("code", code)
            $0.member("source_queue", sourceQueue)
            $0.member("count", count)
            $0.member("first", first?.rfc3339)
            $0.member("last", last?.rfc3339)
            $0.key("reasons")
            $0.array { list in
                for reason in reasons {
                    list.object {
                        $0.member("error", reason.error)
                        $0.member("count", reason.count)
                    }
                }
            }
            $0.key("sample")
            sample.write(to: &$0)
        }
    }
}

/// Counts letters by cause and queue.
final class LetterGroups: Sendable {
    private struct Key: Hashable {
        let code: String
        let queue: String
    }

    private let groups = Mutex<[Key: LetterGroup]>([:])
    /// Headers are another program's to write: so many different ones, and the rest is counted as one group.
    private static let most = 1000

    func add(_ letter: DeadLetter) {
        var key = Key(code: letter.code ?? "", queue: letter.sourceQueue ?? "")
        groups.withLock { groups in
            if groups[key] == nil, groups.count >= Self.most { key = Key(code: "(others)", queue: "") }
            var group = groups[key] ?? LetterGroup(code: key.code, sourceQueue: key.queue, sample: letter)
            group.add(letter)
            groups[key] = group
        }
    }

    var sorted: [LetterGroup] {
        groups.withLock { Array($0.values) }
            .sorted { ($1.count, $0.code, $0.sourceQueue) < ($0.count, $1.code, $1.sourceQueue) }
    }
}
