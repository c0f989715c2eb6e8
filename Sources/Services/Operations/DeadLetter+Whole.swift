import ParleyJSON
import ParleyRabbitMQ

/// A dead letter with all that is in it, for `parley dead show`.
extension DeadLetter {
    /// The properties that are set, without the headers, in the order of the protocol.
    package var properties: [(name: StaticString, value: String)] {
        let properties = delivery.properties
        let all: [(StaticString, String?)] = [
            ("content_type", properties.contentType), ("content_encoding", properties.contentEncoding),
            ("delivery_mode", properties.deliveryMode.map { "\($0)" }),
            ("priority", properties.priority.map { "\($0)" }), ("correlation_id", properties.correlationID),
            ("reply_to", properties.replyTo), ("expiration", properties.expiration),
            ("message_id", properties.messageID), ("timestamp", properties.timestamp.map { "\($0)" }),
            ("type", properties.type), ("user_id", properties.userID), ("app_id", properties.appID),
        ]
        return all.compactMap { name, value in value.map { (name, $0) } }
    }

    /// The body for people: text, or how many bytes there are of what is none.
    package var text: String {
        String(validating: content, as: UTF8.self) ?? "(\(delivery.body.count) bytes that are no text)"
    }

    /// One object: `id`, `properties`, `headers`, and `body` (the JSON itself, or text, or bytes as `body_base64`).
    package func writeWhole(to json: inout JSONWriter) {
        json.object {
            $0.member("id", id)
            $0.member("digest", digest)
            $0.member("tenant", tenant)
            $0.member("redelivered", delivery.redelivered)
            $0.key("properties")
            $0.object { for (name, value) in properties { $0.member(name, value) } }
            $0.key("headers")
            delivery.properties.headers.write(to: &$0)
            if let job {
                $0.member("body", raw: job.raw.isEmpty ? nil : documentText)
            } else if let text = String(validating: content, as: UTF8.self) {
                $0.member("body", text)
            } else {
                $0.member("body_base64", base64(delivery.body))
            }
        }
    }

    /// A JSON body on one line: line breaks between its tokens are blanks as well.
    private var documentText: [UInt8] {
        content.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? UInt8(ascii: " ") : $0 }
    }
}

extension FieldTable {
    func write(to json: inout JSONWriter) {
        json.object {
            for (key, value) in pairs {
                $0.key(named: key)
                value.write(to: &$0)
            }
        }
    }
}

extension FieldValue {
    /// The value as JSON; bytes in base 64.
    package func write(to json: inout JSONWriter) {
        switch self {
        case .bool(let value): json.bool(value)
        case .int(let value): json.int(Int(value))
        case .number(.float, let bits): json.double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
        case .number(_, let bits): json.int(Int(Int64(bitPattern: bits)))
        case .double(let value): json.double(value)
        case .string(let value): json.string(value)
        case .bytes(let value), .rawString(let value): json.string(base64(value))
        case .timestamp(let value): json.int(Int(clamping: value))
        case .decimal(let scale, let value): json.string("\(value)e-\(scale)")
        case .array(let values): json.array { for value in values { value.write(to: &$0) } }
        case .table(let table): table.write(to: &json)
        case .null: json.null()
        }
    }
}

/// RFC 4648, section 4.
func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        var bits = 0
        for index in 0..<3 { bits = bits << 8 | (index < group.count ? Int(group[start + index]) : 0) }
        for index in 0..<4 {
            text.append(index <= group.count ? digits[bits >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}
