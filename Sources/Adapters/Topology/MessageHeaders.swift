import ChatJobs
import ParleyRabbitMQ

/// Parley's own headers on messages in RabbitMQ (contract, section 5, and the private ones).
package enum MessageHeaders {
    package static let errorCode = "x-parley-error-code"
    package static let error = "x-parley-error"
    package static let attempts = "x-parley-attempts"
    package static let deadAt = "x-parley-dead-at"
    package static let sourceQueue = "x-parley-source-queue"
    /// The producer's `expiration`, which a dead letter must not keep: it would vanish.
    package static let expiration = "x-parley-expiration"
    /// Attempts made so far, on a job that waits for its next one.
    package static let earlierAttempts = "x-parley-retries"
    /// How often the job was put aside without an attempt being counted.
    package static let deferrals = "x-parley-deferrals"
    /// How often the job was put aside because a service was not there.
    package static let outages = "x-parley-outages"
    /// How often the job was put aside because its reply queue refused the reply.
    package static let refusals = "x-parley-refusals"
    /// How often an operator sent the job back.
    package static let requeues = "x-parley-requeues"
    /// How many bytes the body had of which only a stub is kept, and its SHA-256.
    package static let bodyBytes = "x-parley-body-bytes"
    package static let bodySHA256 = "x-parley-body-sha256"
    /// Who published the job first, where the broker's users decide on tenants: see ``Relay``.
    package static let user = "x-parley-user"
    /// A worker's signature of a dead letter.
    package static let signature = "x-parley-signature"
    /// When a job in the delay queues comes back (RFC 3339).
    package static let due = "x-parley-due"
    package static let traceparent = "traceparent"

    /// What makes a message a dead letter.
    package static let ofLetters = [errorCode, error, attempts, deadAt, sourceQueue]

    /// By which a broker would send a message to further queues, with the rights of whoever publishes it again.
    static let ofRouting = ["CC", "BCC", "x-dead-letter-exchange", "x-dead-letter-routing-key"]

    /// The producer's properties for a message that Parley publishes again on its behalf.
    ///
    /// Left out is what the broker would act on a second time: `expiration`, `user_id` (checked against the connection's
    /// user), what it would route by (`CC` and `BCC`, and `x-dead-letter-…`, which LavinMQ follows when the message's delay
    /// is over), and its own record of dead-lettering, which brokers before 4.0 take for a cycle and drop the message
    /// (RabbitMQ documentation, Dead Letter Exchanges).
    package static func forwarded(_ properties: MessageProperties) -> MessageProperties {
        var forwarded = properties
        forwarded.deliveryMode = 2
        forwarded.userID = nil
        forwarded.rawTexts[.userID] = nil
        forwarded.expiration = nil
        var headers = properties.headers.filter { !isBrokers($0) && $0 != due }
        if let expiration = properties.expiration { headers[Self.expiration] = .string(expiration) }
        forwarded.headers = headers
        return forwarded
    }

    /// The headers that a message cannot do without, when all of them fit no frame: Parley's own and the trace context.
    ///
    /// They are short when Parley or an honest producer set them; a longer one is left out.
    package static func own(_ headers: FieldTable) -> FieldTable {
        var own = FieldTable()
        let keys = [
            errorCode, error, attempts, deadAt, sourceQueue, expiration, earlierAttempts, deferrals, outages, refusals,
            requeues, bodyBytes, bodySHA256, user, due, traceparent,
        ]
        for key in keys {
            switch headers[key] {
            case .int(let value)?: own[key] = .int(value)
            case .string(let text)? where text.utf8.count <= 8192: own[key] = .string(text)
            default: break
            }
        }
        return own
    }

    /// A header that counts, nil when there is nothing to count.
    package static func count(_ value: Int) -> FieldValue? { value > 0 ? .int(Int64(value)) : nil }

    private static func isBrokers(_ key: String) -> Bool {
        switch key {
        case "x-death", "x-delivery-count", "x-acquired-count": true
        default: ofRouting.contains(key) || key.hasPrefix("x-first-death-") || key.hasPrefix("x-last-death-")
        }
    }
}
