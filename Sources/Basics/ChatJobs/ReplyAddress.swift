import ParleyPrimitives

/// Reads what producers of other protocols write into `reply_to` as the queue that it means.
///
/// | written by | address |
/// |---|---|
/// | STOMP | `/queue/q`, `/amq/queue/q`, `/reply-queue/q` (what the broker makes of a `/temp-queue/`) |
/// | AMQP 1.0 | `/queues/q`, `/queue/q`, `/amq/queue/q`, each also behind `amqp://host` |
/// | Spring AMQP | `exchange/key`: a queue only behind no exchange, `/q` and `direct:///q` |
package enum ReplyAddress {
    /// The queue; nil when it is not certain which one is meant, or none is. A text without a slash is a queue's name.
    package static func queue(_ address: String) -> String? {
        guard address.utf8.contains(slash), !isDirect(address) else { return address }
        var path = Substring(address)
        if let scheme = address.firstRange(of: "://") {
            let rest = address[scheme.upperBound...]
            switch address[..<scheme.lowerBound].lowercased() {
            // Spring's old form: the exchange's type, then its name, which is empty for the default one.
            case "direct":
                guard rest.first == "/" else { return nil }
                path = rest
            case "amqp", "amqps":
                guard let slash = rest.firstIndex(of: "/"), !rest.contains("?"), !rest.contains("#") else { return nil }
                path = rest[slash...]
            default: return nil
            }
        }
        guard path.first == "/" else { return nil }
        for prefix in ["/amq/queue/", "/reply-queue/", "/queues/", "/queue/", "/"] where path.hasPrefix(prefix) {
            return name(path.dropFirst(prefix.count))
        }
        return nil
    }

    /// One part of a path, with what is escaped in it.
    private static func name(_ part: Substring) -> String? {
        guard !part.isEmpty, !part.utf8.contains(slash), let name = try? PercentEncoding.decode(part),
            !name.utf8.contains(0)
        else { return nil }
        return name
    }

    /// The address of one requester, which the broker makes and takes apart (RabbitMQ documentation, "Direct Reply-to").
    package static func isDirect(_ queue: String) -> Bool {
        queue.hasPrefix(direct)
            && (queue.utf8.count == direct.utf8.count || queue.utf8.dropFirst(direct.utf8.count).first == dot)
    }

    /// Whether the broker can have made it: an Erlang term in base 64, whose first bytes are 131 and 88 or 103, and a key
    /// behind a dot. Some brokers end the connection of whoever publishes to another one.
    package static func isPlausibleDirect(_ queue: String) -> Bool {
        let parts = queue.utf8.dropFirst(direct.utf8.count + 1).split(separator: dot, omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isBase64) }) else { return false }
        return parts[0].starts(with: "g1".utf8) || parts[0].starts(with: "g2".utf8)
    }

    /// What producers write for it.
    package static let direct = "amq.rabbitmq.reply-to"

    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")

    private static func isBase64(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), slash, UInt8(ascii: "="), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
