import Glibc
import Logging
import ParleyJSON

extension LogLine {
    private static let ownKeys: Set<String> = ["time", "level", "message", "label", "truncated"]

    /// One JSON object and a line feed. Metadata stand beside the fixed members, sorted; one that has a fixed member's
    /// name is written as `metadata.name`. A line that would be too long ends early, with `"truncated":true`.
    func json() -> [UInt8] {
        var writer = JSONWriter(capacity: 512)
        writer.object { line in
            line.member("time", utc)
            line.member("level", level.rawValue)
            line.member("message", Self.fit(message, into: Self.maximumValueBytes))
            line.member("label", Self.fit(label, into: 256))
            for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                guard Self.write(Self.ownKeys.contains(key) ? "metadata." + key : key, value, to: &line) else {
                    line.member("truncated", true)
                    break
                }
            }
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    /// Bytes of the line that are still free, with some kept for what closes it.
    private static func room(in line: JSONWriter) -> Int { maximumBytes - 128 - line.bytes.count }

    private static func write(_ key: String, _ value: Logger.MetadataValue, to line: inout JSONWriter) -> Bool {
        let key = fit(key, into: 256)
        guard room(in: line) > key.utf8.count * 6 + 64 else { return false }
        line.key(named: key)
        write(value, to: &line)
        return true
    }

    private static func write(_ value: Logger.MetadataValue, to line: inout JSONWriter) {
        switch value {
        case .string(let text):
            line.string(fit(text, into: max(0, min(maximumValueBytes, room(in: line)))))
        case .stringConvertible(let value):
            switch value {
            case let flag as Bool: line.bool(flag)
            case let number as any BinaryInteger: line.raw(number.description.utf8)
            case let number as Double: line.double(number)
            case let number as Float: line.float(number)
            default: write(.string(value.description), to: &line)
            }
        case .array(let values):
            line.array { line in
                for value in values where room(in: line) > 64 { write(value, to: &line) }
            }
        case .dictionary(let members):
            line.object { line in
                for (key, value) in members.sorted(by: { $0.key < $1.key }) {
                    guard write(key, value, to: &line) else { break }
                }
            }
        }
    }

    /// RFC 3339 in UTC, with milliseconds.
    var utc: String {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return "\(Self.pad(parts.tm_year + 1900, 4))-\(Self.pad(parts.tm_mon + 1, 2))-\(Self.pad(parts.tm_mday, 2))"
            + "T\(Self.pad(parts.tm_hour, 2)):\(Self.pad(parts.tm_min, 2)):\(Self.pad(parts.tm_sec, 2))"
            + ".\(Self.pad(time.tv_nsec / 1_000_000, 3))Z"
    }
}
