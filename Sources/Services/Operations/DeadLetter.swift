import ChatJobs
import ParleyDigest
import ParleyGzip
import ParleyJSON
import ParleyRabbitMQ
import Topology

/// A message of the dead-letter queue, read leniently: anything may be missing (contract, section 5).
package struct DeadLetter: Sendable {
    package let delivery: Delivery

    private let relay: Relay?

    /// - Parameter relay: where the broker's users decide on tenants.
    package init(_ delivery: Delivery, relay: Relay? = nil) {
        self.delivery = delivery
        self.relay = relay
    }

    private func header(_ name: String) -> FieldValue? { delivery.properties.headers[name] }

    /// From the contract's closed set, unless another program wrote it.
    package var code: String? { header(MessageHeaders.errorCode)?.string }
    package var error: String? { header(MessageHeaders.error)?.string }
    package var attempts: Int? { header(MessageHeaders.attempts)?.int.map { Int(clamping: $0) } }
    /// How often an operator has sent it back so far.
    package var requeues: Int { max(0, Int(clamping: header(MessageHeaders.requeues)?.int ?? 0)) }
    package var deadAt: Timestamp? { header(MessageHeaders.deadAt)?.string.flatMap { Timestamp($0) } }
    /// The job queue that it came from.
    package var sourceQueue: String? { header(MessageHeaders.sourceQueue)?.string }

    /// The property `message_id`, or else the body's `id`; need not be a valid job id.
    package var id: String? { delivery.properties.messageID ?? job?["id"]?.string }
    /// The SHA-256 of the body in hexadecimal digits: names a letter that has no id.
    package var digest: String { SHA256.hex(of: delivery.body) ?? "" }
    /// As much of it as people need.
    package var shortDigest: String { String(digest.prefix(LetterFilter.digestDigits)) }
    /// That of the user who published it where users decide; else the body's `tenant`, which reads the body.
    package var tenant: String? {
        if let relay { return relay.tenant(of: delivery.properties) }
        return job?["tenant"]?.string
    }
    /// The body's `user_id`.
    package var userID: String? { job?["user_id"]?.string }

    /// The body as JSON; nil when it is none.
    package var job: JSONElement? { try? JSONDocument(content).root }

    /// The body, decompressed when its `content_encoding` is gzip and it can be, without a byte order mark.
    package var content: [UInt8] {
        var content = delivery.body
        if ["gzip", "x-gzip"].contains(delivery.properties.contentEncoding?.lowercased()) {
            content = (try? gunzip(delivery.body, limit: Self.largestContent)) ?? delivery.body
        }
        return content.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(content.dropFirst(3)) : content
    }

    private static let largestContent = 16 << 20

    /// The letter on one line, without its body: for lists.
    package func write(to json: inout JSONWriter) {
        let job = job
        json.object {
            let id = delivery.properties.messageID ?? job?["id"]?.string
            $0.member("id", id)
            $0.member("digest", shortDigest)
            $0.member("code", code)
            $0.member("error", error)
            $0.member("attempts", attempts)
            $0.member("requeues", requeues)
            $0.member("tenant", relay == nil ? job?["tenant"]?.string : tenant)
            $0.member("dead_at", deadAt?.rfc3339)
            $0.member("source_queue", sourceQueue)
        }
    }
}
