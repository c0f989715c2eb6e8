/// A job's id: 1 to 128 of `A-Z a-z 0-9 . _ : -`. It names the result's key and deduplicates replies.
public struct JobID: Sendable, Hashable, CustomStringConvertible {
    /// The id as the producer wrote it.
    public let text: String

    /// Nil when `text` is not an id.
    public init?(_ text: String) {
        var text = text
        guard text.withUTF8({ (1...128).contains($0.count) && $0.allSatisfy(Self.allows) }) else { return nil }
        self.text = text
    }

    /// Of a question that is asked again before its answer expires: it names nothing, and shows up in logs at most.
    package init(renewal number: UInt64) { text = "renewal." + String(number, radix: 16) }

    /// What an id may be, for messages.
    public static let rule = "1 to 128 of A-Z a-z 0-9 . _ : -"

    private static func allows(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    public var description: String { text }
}
