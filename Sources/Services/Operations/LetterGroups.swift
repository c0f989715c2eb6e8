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
    package internal(set) var count = 0
    /// When the first and the last of them died.
    package internal(set) var first: Timestamp?
    package internal(set) var last: Timestamp?
    /// The oldest.
    package let sample: DeadLetter

    /// One object: `code`, `source_queue`, `count`, `first`, `last`, `sample`.
    package func write(to json: inout JSONWriter) {
        json.object {
            $0.member("code", code)
            $0.member("source_queue", sourceQueue)
            $0.member("count", count)
            $0.member("first", first?.rfc3339)
            $0.member("last", last?.rfc3339)
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
        let time = letter.deadAt
        groups.withLock { groups in
            if groups[key] == nil, groups.count >= Self.most { key = Key(code: "(others)", queue: "") }
            var group = groups[key] ?? LetterGroup(code: key.code, sourceQueue: key.queue, sample: letter)
            group.count += 1
            if let time {
                group.first = min(group.first ?? time, time)
                group.last = max(group.last ?? time, time)
            }
            groups[key] = group
        }
    }

    var sorted: [LetterGroup] {
        groups.withLock { Array($0.values) }
            .sorted { ($1.count, $0.code, $0.sourceQueue) < ($0.count, $1.code, $1.sourceQueue) }
    }
}
