/// Why a text is not JSON (RFC 8259), or not within the reader's limits.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was found and what was expected.
    public let message: String
    /// Where, in bytes from the start.
    public let offset: Int

    public init(_ message: String, at offset: Int) {
        self.message = message
        self.offset = offset
    }

    public var description: String { "\(message) at byte \(offset)" }
}
