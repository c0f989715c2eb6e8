/// Takes a model's thinking out of its text while the text comes.
///
/// Invariant: what ``feed(_:)`` and ``end(isCut:)`` return, joined, is ``answer``, unless ``foundUnopened``: thinking whose
/// opening tag stood in the prompt looks like an answer until its closing tag comes. Models known for that are waited for.
///
/// A tag in backticks is text (an answer may speak of tags), and so is half a tag at the end.
struct ThinkingFilter: Sendable {
    /// Whether the text is expected to begin inside of thinking.
    enum Expectation: Sendable {
        case no, perhaps, yes

        /// By the name of a model: families whose prompts are known to end with the opening tag.
        init(ofModel name: String) {
            var name = name.lowercased()
            self = name.withUTF8 { name in Self.families.contains { Self.occurs($0, in: name) } } ? .perhaps : .no
        }

        private static let families = [
            "deepseek-r1", "deepseek_r1", "r1-distill", "qwq", "-thinking", "thinking-", "reasoner",
        ].map { Array($0.utf8) }

        /// Byte for byte. `contains` compares characters, for the price of ten parsed answers.
        private static func occurs(_ part: [UInt8], in whole: UnsafeBufferPointer<UInt8>) -> Bool {
            guard part.count <= whole.count else { return false }
            return (0...whole.count - part.count).contains { whole[$0...].starts(with: part) }
        }
    }

    private enum State: Sendable {
        case text
        /// - Parameter atTop: nothing but thinking came before.
        case thinking(ThinkingTag, atTop: Bool)
        /// Thinking, if its closing tag comes.
        case presumed(isLikely: Bool)
    }

    /// The text without the thinking.
    private(set) var answer = ""
    /// Thinking was closed that had never been opened. Nothing that was returned before belongs to the answer.
    private(set) var foundUnopened = false
    /// The thinking that was expected did not come.
    private(set) var expectedInVain = false

    private var state = State.text
    /// Not yet decided on: it may be the beginning of a tag.
    private var held: [UInt8] = []
    /// Thinking that turns out to be text when it is not closed.
    private var thought: [UInt8] = []
    /// White space before the answer, which counts when the answer begins with it and not with thinking.
    private var blanks: [UInt8] = []
    private var hasText = false
    private var hasClosed = false
    private var last: UInt8 = 0
    private var openedInBackticks = 0

    /// Says before the first text what to expect.
    mutating func expect(_ expectation: Expectation) {
        guard case .text = state, !hasText, held.isEmpty, blanks.isEmpty else { return }
        if expectation != .no { state = .presumed(isLikely: expectation == .yes) }
    }

    /// Thinking comes apart from the text: what was held back because of it, or may be held back, is text.
    mutating func thinkingComesApart() -> String {
        guard case .presumed = state else { return "" }
        return release()
    }

    /// What `text` adds to the answer for certain.
    mutating func feed(_ text: String) -> String {
        if case .text = state, held.isEmpty, hasText, !text.utf8.contains(where: ThinkingTag.mayBegin) {
            answer += text
            last = text.utf8.last ?? last
            return text
        }
        held += text.utf8
        return read()
    }

    /// The text has ended: what it adds to the answer.
    ///
    /// - Parameter isCut: by a limit of tokens.
    mutating func end(isCut: Bool) -> String {
        switch state {
        case .text: return emit(Self.take(&held))
        case .thinking(_, atTop: true): return ""
        case .thinking(let tag, atTop: false):
            // A tag in the midst of a text that nothing closes was meant as text, unless the text was cut.
            return isCut ? "" : emit(tag.opening + Self.take(&thought) + Self.take(&held))
        case .presumed(let isLikely):
            if case .opening = ThinkingTag.match((thought + held).drop(while: Self.isBlank)) { return "" }
            if isLikely, isCut { return "" }
            expectedInVain = true
            return release() + end(isCut: isCut)
        }
    }

    // MARK: - Reading

    private mutating func read() -> String {
        var added: [UInt8] = []
        var goesOn = true
        while goesOn {
            switch state {
            case .text: goesOn = readText(&added)
            case .thinking(let tag, let atTop): goesOn = readThinking(tag, atTop)
            case .presumed: goesOn = readPresumed()
            }
        }
        return emit(added)
    }

    /// Moves text from `held` to `added` as far as it is certain; false when there is no more to be done.
    private mutating func readText(_ added: inout [UInt8]) -> Bool {
        var index = held.startIndex
        while let start = held[index...].firstIndex(where: ThinkingTag.mayBegin) {
            let before = start > held.startIndex ? held[start - 1] : added.last ?? last
            let atTop =
                !hasText && added.allSatisfy(Self.isBlank) && held[..<start].allSatisfy(Self.isBlank)
            switch ThinkingTag.match(held[start...]) {
            case .maybe:
                added += held[..<start]
                held.removeFirst(start)
                return false
            case .opening(let tag) where before == UInt8(ascii: "`"):
                openedInBackticks += 1
                index = start + tag.opening.count
            case .opening(let tag) where atTop || tag.isAnywhere:
                added += held[..<start]
                held.removeFirst(start + tag.opening.count)
                state = .thinking(tag, atTop: atTop)
                return true
            case .closing(let tag) where before == UInt8(ascii: "`") || openedInBackticks > 0:
                openedInBackticks = max(0, openedInBackticks - 1)
                index = start + tag.closing.count
            case .closing(let tag) where tag.closesUnopened:
                if hasClosed {
                    added += held[..<start]
                } else {
                    forget(&added)
                }
                held.removeFirst(start + tag.closing.count)
                return true
            case .mark(let length) where hasClosed:
                added += held[..<start]
                held.removeFirst(start + length)
                return true
            case .nothing, .opening, .closing, .mark: index = start + 1
            }
        }
        added += Self.take(&held)
        return false
    }

    private mutating func readThinking(_ tag: ThinkingTag, _ atTop: Bool) -> Bool {
        guard let (end, isWhole) = find(tag.closing) else {
            if !atTop { thought += held }
            held.removeAll(keepingCapacity: true)
            return false
        }
        if !atTop { thought += held[..<end] }
        held.removeFirst(end)
        guard isWhole else { return false }
        held.removeFirst(tag.closing.count)
        close()
        return true
    }

    private mutating func readPresumed() -> Bool {
        var index = held.startIndex
        while let start = held[index...].firstIndex(where: ThinkingTag.mayBegin) {
            switch ThinkingTag.match(held[start...]) {
            case .maybe:
                thought += held[..<start]
                held.removeFirst(start)
                return false
            case .closing(let tag):
                held.removeFirst(start + tag.closing.count)
                close()
                return true
            case .nothing, .opening, .mark: index = start + 1
            }
        }
        thought += Self.take(&held)
        return false
    }

    /// Where `tag` begins in what is held, or may begin at its end.
    private func find(_ tag: [UInt8]) -> (start: Int, isWhole: Bool)? {
        var index = held.startIndex
        while let start = held[index...].firstIndex(of: tag[0]) {
            switch ThinkingTag.begins(held[start...], with: tag) {
            case true?: return (start, true)
            case nil: return (start, false)
            case false?: index = start + 1
            }
        }
        return nil
    }

    private mutating func close() {
        state = .text
        hasClosed = true
        thought = []
        if !hasText { blanks = [] }
    }

    /// What came so far was thinking.
    private mutating func forget(_ added: inout [UInt8]) {
        foundUnopened = true
        added = []
        answer = ""
        hasText = false
        last = 0
        close()
    }

    /// Gives back as text what was taken for thinking.
    private mutating func release() -> String {
        held = Self.take(&thought) + Self.take(&held)
        state = .text
        return read()
    }

    // MARK: - Text

    /// Cuts fall on the ends of tags and pieces, so `bytes` are whole characters.
    private mutating func emit(_ bytes: [UInt8]) -> String {
        guard !bytes.isEmpty else { return "" }
        last = bytes[bytes.count - 1]
        var bytes = bytes
        if !hasText {
            guard let start = bytes.firstIndex(where: { !Self.isBlank($0) }) else {
                if !hasClosed { blanks += bytes }
                return ""
            }
            hasText = true
            bytes = hasClosed ? Array(bytes[start...]) : Self.take(&blanks) + bytes
        }
        let text = String(decoding: bytes, as: UTF8.self)
        answer += text
        return text
    }

    private static func take(_ bytes: inout [UInt8]) -> [UInt8] {
        let taken = bytes
        bytes = []
        return taken
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
