/// How models mark their thinking inside of their text.
struct ThinkingTag: Sendable, Equatable {
    /// In lower case.
    let opening: [UInt8]
    let closing: [UInt8]
    /// Believed in the midst of a text, too, not only at its beginning.
    var isAnywhere = false
    /// Believed to close what was never opened: the opening tag was part of the prompt.
    var closesUnopened = false

    init(_ opening: String, _ closing: String, isAnywhere: Bool = false, closesUnopened: Bool = false) {
        self.opening = Array(opening.utf8)
        self.closing = Array(closing.utf8)
        self.isAnywhere = isAnywhere
        self.closesUnopened = closesUnopened
    }

    private static let harmonyEnd = "<|channel|>final<|message|>"

    static let all = [
        ThinkingTag("<think>", "</think>", isAnywhere: true, closesUnopened: true),
        ThinkingTag("<thinking>", "</thinking>", isAnywhere: true, closesUnopened: true),
        ThinkingTag("<thought>", "</thought>"),
        ThinkingTag("<reasoning>", "</reasoning>"),
        // Seed-OSS, Magistral, Kimi, Command A.
        ThinkingTag("<seed:think>", "</seed:think>", isAnywhere: true, closesUnopened: true),
        ThinkingTag("[think]", "[/think]"),
        ThinkingTag("◁think▷", "◁/think▷", isAnywhere: true, closesUnopened: true),
        ThinkingTag("<|start_thinking|>", "<|end_thinking|>", isAnywhere: true, closesUnopened: true),
        // gpt-oss, where the server does not read its channels.
        ThinkingTag("<|channel|>analysis<|message|>", harmonyEnd, isAnywhere: true, closesUnopened: true),
        ThinkingTag("<|start|>assistant<|channel|>analysis<|message|>", harmonyEnd, isAnywhere: true),
    ]

    /// What `bytes` begin with.
    enum Match: Equatable {
        case nothing
        /// Too few bytes to tell.
        case maybe
        case opening(ThinkingTag)
        case closing(ThinkingTag)
        /// A mark of gpt-oss at the end of its answer, by its length.
        case mark(Int)
    }

    private static let marks = [Array("<|return|>".utf8), Array("<|end|>".utf8)]

    /// Whether a tag may begin with `byte`.
    @inline(__always)
    static func mayBegin(with byte: UInt8) -> Bool {
        byte == UInt8(ascii: "<") || byte == UInt8(ascii: "[") || byte == 0xE2
    }

    static func match(_ bytes: ArraySlice<UInt8>) -> Match {
        var mayFollow = false
        for tag in all {
            switch begins(bytes, with: tag.opening) {
            case true?: return .opening(tag)
            case nil: mayFollow = true
            case false?: break
            }
            switch begins(bytes, with: tag.closing) {
            case true?: return .closing(tag)
            case nil: mayFollow = true
            case false?: break
            }
        }
        for mark in marks {
            switch begins(bytes, with: mark) {
            case true?: return .mark(mark.count)
            case nil: mayFollow = true
            case false?: break
            }
        }
        return mayFollow ? .maybe : .nothing
    }

    /// Nil when `bytes` end before that is certain.
    static func begins(_ bytes: ArraySlice<UInt8>, with tag: [UInt8]) -> Bool? {
        for (byte, wanted) in zip(bytes, tag) where lowercase(byte) != wanted { return false }
        return bytes.count >= tag.count ? true : nil
    }

    private static func lowercase(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}
