import ParleyDigest
import ParleyRabbitMQ

/// That a worker wrote a dead letter: an HMAC with `secrets.letter_key` over what becomes a job again when it is requeued.
///
/// Whoever may write to the dead-letter queue could else choose what an operator sends back, to whose reply queue and in
/// whose name. Headers that are not Parley's are left out, since brokers and shovels add their own.
package struct LetterSignature: Sendable {
    private let key: [UInt8]

    package init(key: String) { self.key = Array(key.utf8) }

    /// Puts the signature into the headers. Called last: what changes afterwards makes it wrong.
    package func sign(_ properties: inout MessageProperties, body: [UInt8]) {
        properties.headers[MessageHeaders.signature] = signature(properties, body).map { .string($0) }
    }

    package func isRight(_ properties: MessageProperties, body: [UInt8]) -> Bool {
        guard let claimed = properties.headers[MessageHeaders.signature]?.string,
            let right = signature(properties, body)
        else { return false }
        // In the same time wherever they differ.
        var difference = UInt8(claimed.utf8.count == right.utf8.count ? 0 : 1)
        for (a, b) in zip(claimed.utf8, right.utf8) { difference |= a ^ b }
        return difference == 0
    }

    private func signature(_ properties: MessageProperties, _ body: [UInt8]) -> String? {
        var signed: [UInt8] = []
        func add(_ bytes: [UInt8]?) {
            // A length before each, and none where there is nothing: two letters are never signed as the same bytes.
            let length = bytes.map { UInt64($0.count) } ?? .max
            for shift in stride(from: 56, through: 0, by: -8) {
                signed.append(UInt8(truncatingIfNeeded: length >> UInt64(shift)))
            }
            signed += bytes ?? []
        }
        func add(_ text: String?) { add(text.map { Array($0.utf8) }) }
        add("parley letter 1")
        add(properties.messageID)
        add(properties.correlationID)
        add(properties.replyTo)
        add(properties.contentType)
        add(properties.contentEncoding)
        add(properties.priority.map { "\($0)" })
        let own = properties.headers.pairs.filter {
            $0.key.hasPrefix("x-parley-") && $0.key != MessageHeaders.signature
        }
        for (key, value) in own.sorted(by: { $0.key < $1.key }) {
            add(key)
            switch value {
            case .int(let number): add("i\(number)")
            case .string(let text): add("s" + text)
            default: add("?")
            }
        }
        add(body)
        return HMAC.hex(of: signed, key: key)
    }
}
