/// A text to retrieve from.
package struct Document: Sendable, Equatable {
    /// Unique in an index: for files the path below the folder that was given, or the file's name.
    package var id: String
    package var title: String
    package var text: String
    package var language: String?
    package var attributes: Attributes
    /// How ``text`` is written.
    package var syntax: Syntax
    /// The file it was read from; nil when it comes from elsewhere.
    package var origin: Origin?

    package enum Syntax: String, Sendable { case markdown, plain }

    /// A file, by the folder that its id is relative to.
    package struct Origin: Sendable, Hashable {
        /// An absolute path, links resolved.
        package var root: String
        /// Below `root`.
        package var file: String

        /// An absolute path.
        package var path: String { Files.joined(root, file) }
    }

    package init(
        id: String, title: String, text: String, language: String? = nil, attributes: Attributes = .init(),
        syntax: Syntax = .markdown, origin: Origin? = nil
    ) {
        self.syntax = syntax
        self.attributes = attributes
        self.id = id
        self.title = title
        self.text = text
        self.language = language
        self.origin = origin
    }

    /// Whether nothing is lost when one of them is left out.
    func saysTheSame(as other: Document) -> Bool {
        (title, text, language) == (other.title, other.text, other.language) && attributes == other.attributes
            && syntax == other.syntax
    }

    /// The first heading of level 1 (`# Title`, or underlined) outside code fences.
    static func markdownTitle(of text: String) -> String? {
        for block in MarkdownBlock.parse(text) {
            if case .heading(let level, let title) = block.kind, level == 1, !title.isEmpty { return title }
        }
        return nil
    }
}

/// A file or line that was left out, and why.
package struct SkippedInput: Sendable, Equatable, CustomStringConvertible {
    /// A path, or `path:line`.
    package var path: String
    package var reason: String
    /// Where documents may be that could not be read, an absolute path: what the index has of that file or folder stays. Nil of
    /// what is no document.
    package var place: String?
    package var isUnreadable: Bool { place != nil }

    package init(path: String, reason: String, place: String? = nil) {
        self.path = path
        self.reason = reason
        self.place = place
    }

    package var description: String { "\(path): \(reason)" }
}

/// FNV-1a with 64 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>), eight bytes at a time: tells
/// changed content and damaged files, not forged ones.
struct ContentHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        var word: UInt64 = 0
        var filled: UInt64 = 0
        for byte in bytes {
            word = word << 8 | UInt64(byte)
            filled += 1
            if filled % 8 == 0 { add(word) }
        }
        add(word)
        add(filled)
    }

    mutating func add(_ text: String) { add(text.utf8) }

    private mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x100_0000_01B3
        value ^= value >> 29
    }

    /// 16 hexadecimal digits.
    var hex: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
