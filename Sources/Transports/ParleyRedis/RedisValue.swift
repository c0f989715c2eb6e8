/// What the server answered, copied out of hiredis: RESP2, in which there are no doubles, and no push that nobody asked for.
package enum RedisValue: Sendable, Equatable {
    /// A missing key, or an aborted transaction.
    case null
    case integer(Int64)
    /// A simple string such as `OK`.
    case status(String)
    /// A bulk string: any bytes at all.
    case bytes([UInt8])
    case array([RedisValue])
    /// The server refused this command; the first word is the kind (`ERR`, `WRONGTYPE`, `OOM`, `READONLY` …).
    case error(String)

    /// The text of a status or of bytes (invalid UTF-8 is repaired), the digits of an integer; nil otherwise.
    package var string: String? {
        switch self {
        case .status(let text): text
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .integer(let value): String(value)
        case .null, .array, .error: nil
        }
    }

    /// The bytes of a bulk string; nil otherwise.
    package var bytes: [UInt8]? {
        if case .bytes(let bytes) = self { bytes } else { nil }
    }

    /// An integer, or a string that spells one; nil otherwise.
    package var int: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .bytes, .status: string.flatMap { Int($0) }
        case .null, .array, .error: nil
        }
    }

    /// The elements of an array; nil otherwise.
    package var array: [RedisValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    package var isNull: Bool { self == .null }
    package var isError: Bool { errorKind != nil }

    /// The first word of a server error (`WRONGTYPE`, `NOSCRIPT` …); nil when this is not an error.
    package var errorKind: Substring? {
        if case .error(let text) = self { text.prefix { $0 != " " } } else { nil }
    }

    /// What the server said instead of an answer, and what to do about it where it does not say so; nil when this is no error.
    package var refusal: String? {
        guard case .error(let text) = self else { return nil }
        return RedisRefusal.remedy(for: text).map { "\(text) (\($0))" } ?? text
    }

    /// This value, or its error thrown.
    /// - Throws: ``RedisError`` with code `server(kind)` when the server refused the command.
    package func get() throws(RedisError) -> RedisValue {
        guard let refusal else { return self }
        throw RedisError(.server(String(errorKind ?? "")), "the Redis server refused the command: \(refusal)")
    }
}
