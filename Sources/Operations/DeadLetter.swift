import ChatJobs
import Gzip
import JSON
import RabbitMQ
import Topology

/// A message of the dead-letter queue, read leniently: anything may be missing (contract, section 5).
public struct DeadLetter: Sendable {
    public let delivery: Delivery

    public init(_ delivery: Delivery) { self.delivery = delivery }

    private func header(_ name: String) -> FieldValue? { delivery.properties.headers[name] }

    /// From the contract's closed set, unless another program wrote it.
    public var code: String? { header(MessageHeaders.errorCode)?.string }
    public var error: String? { header(MessageHeaders.error)?.string }
    public var attempts: Int? { header(MessageHeaders.attempts)?.int.map { Int($0) } }
    /// How often an operator has sent it back so far.
    public var requeues: Int { max(0, Int(header(MessageHeaders.requeues)?.int ?? 0)) }
    public var deadAt: Timestamp? { header(MessageHeaders.deadAt)?.string.flatMap { Timestamp($0) } }
    /// The job queue that it came from.
    public var sourceQueue: String? { header(MessageHeaders.sourceQueue)?.string }

    /// The property `message_id`, or else the body's `id`; need not be a valid job id.
    public var id: String? { delivery.properties.messageID ?? job?["id"]?.string }
    /// The body's `tenant`. Reads the body.
    public var tenant: String? { job?["tenant"]?.string }

    /// The body as JSON; nil when it is none.
    public var job: JSONElement? { try? JSONDocument(content).root }

    /// The body, decompressed when its `content_encoding` is gzip and it can be.
    public var content: [UInt8] {
        guard delivery.properties.contentEncoding?.lowercased() == "gzip" else { return delivery.body }
        return (try? gunzip(delivery.body, limit: Self.largestContent)) ?? delivery.body
    }

    private static let largestContent = 16 << 20

    /// The letter on one line, without its body: for lists.
    public func write(to json: inout JSONWriter) {
        let job = job
        json.object {
            $0.member("id", delivery.properties.messageID ?? job?["id"]?.string)
            $0.member("code", code)
            $0.member("error", error)
            $0.member("attempts", attempts)
            $0.member("requeues", requeues)
            $0.member("tenant", job?["tenant"]?.string)
            $0.member("dead_at", deadAt?.rfc3339)
            $0.member("source_queue", sourceQueue)
        }
    }
}
