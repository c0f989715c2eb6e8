/// Bytes as AMQP 0-9-1 writes them, most significant first.
package struct PeerBytes: Sendable, Equatable {
    package private(set) var bytes: [UInt8] = []

    package init() {}
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package mutating func put<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
    package mutating func put(raw: some Sequence<UInt8>) { bytes.append(contentsOf: raw) }
    /// A length of one byte, then the text.
    package mutating func put(short text: String) {
        put(UInt8(clamping: text.utf8.count))
        put(raw: text.utf8)
    }
    /// A length of four bytes, then the bytes.
    package mutating func put(long data: some Collection<UInt8>) {
        put(UInt32(data.count))
        put(raw: data)
    }

    /// The bytes of a field table's or array's content, with the length before them.
    package static func sized(_ content: [UInt8]) -> [UInt8] {
        var all = PeerBytes()
        all.put(long: content)
        return all.bytes
    }

    /// One entry of a field table: key, type letter, and the value's bytes.
    package static func field(_ key: String, _ kind: Character, _ value: [UInt8] = []) -> [UInt8] {
        var all = PeerBytes()
        all.put(short: key)
        all.put(kind.asciiValue ?? 0)
        all.put(raw: value)
        return all.bytes
    }

    package static func of<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        var all = PeerBytes()
        all.put(value)
        return all.bytes
    }
}

/// Reads what ``PeerBytes`` writes.
package struct PeerReader: Sendable {
    package private(set) var rest: ArraySlice<UInt8>

    package init(_ bytes: [UInt8]) { rest = bytes[...] }

    package mutating func take(_ count: Int) throws -> [UInt8] {
        guard count >= 0, count <= rest.count else {
            throw PeerProblem("\(count) bytes wanted, \(rest.count) are there")
        }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
    package mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws -> T {
        try take(T.bitWidth / 8).reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }
    package mutating func short() throws -> String {
        String(decoding: try take(Int(try integer(UInt8.self))), as: UTF8.self)
    }
    package mutating func long() throws -> [UInt8] { try take(Int(try integer(UInt32.self))) }
}

/// What went otherwise than a script had it.
package struct PeerProblem: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
