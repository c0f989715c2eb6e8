/// Builds the index of a ``JSONDocument``. Not recursive: open containers are a stack, so nesting costs no call stack.
struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    let maxDepth: Int
    /// An array of at least so many numbers and nothing else gets one node: vectors are long, and some are only passed on.
    let manyNumbers: Int
    var position = 0
    var nodes: [JSONDocument.Node] = []
    private var open: [Int] = []

    init(bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int, manyNumbers: Int = 32) {
        self.bytes = bytes
        self.maxDepth = maxDepth
        self.manyNumbers = manyNumbers
        nodes.reserveCapacity(min(bytes.count / 12 + 4, 64))
        open.reserveCapacity(8)
    }

    mutating func parseDocument() throws(JSONError) {
        try parseValue()
        while let container = open.last {
            skipSpace()
            let isObject = nodes[container].kind == .object
            if peek == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                position += 1
                close(container)
                continue
            }
            if nodes[container].count > 0 {
                guard peek == UInt8(ascii: ",") else {
                    throw unexpected(isObject ? "',' or '}'" : "',' or ']'")
                }
                position += 1
                skipSpace()
            }
            nodes[container].count += 1
            if isObject {
                guard peek == UInt8(ascii: "\"") else { throw unexpected("a member name in quotes") }
                try parseString()
                skipSpace()
                guard peek == UInt8(ascii: ":") else { throw unexpected("':'") }
                position += 1
            }
            try parseValue()
        }
        skipSpace()
        guard position == bytes.count else { throw unexpected("nothing after the value") }
    }

    private mutating func close(_ container: Int) {
        nodes[container].end = UInt32(position)
        nodes[container].next = UInt32(nodes.count)
        open.removeLast()
    }

    private mutating func parseValue() throws(JSONError) {
        skipSpace()
        guard let byte = peek else { throw unexpected("a value") }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard open.count < maxDepth else { throw JSONError("nesting deeper than \(maxDepth)", at: position) }
            if byte == UInt8(ascii: "["), parseNumbers() { return }
            open.append(nodes.count)
            nodes.append(.init(kind: byte == UInt8(ascii: "{") ? .object : .array, start: UInt32(position)))
            position += 1
        case UInt8(ascii: "\""): try parseString()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try parseNumber()
        case UInt8(ascii: "t"): try parseWord("true", .true)
        case UInt8(ascii: "f"): try parseWord("false", .false)
        case UInt8(ascii: "n"): try parseWord("null", .null)
        default: throw unexpected("a value")
        }
    }

    private mutating func parseWord(_ word: StaticString, _ kind: JSONElement.Kind) throws(JSONError) {
        let start = position
        for offset in 0..<word.utf8CodeUnitCount {
            guard peek == word.utf8Start[offset] else { throw unexpected("\(word)") }
            position += 1
        }
        append(kind, from: start)
    }

    private mutating func append(_ kind: JSONElement.Kind, escaped: Bool = false, from start: Int) {
        nodes.append(
            .init(
                kind: kind, escaped: escaped, start: UInt32(start), end: UInt32(position), next: UInt32(nodes.count + 1)
            ))
    }

    private mutating func parseNumber() throws(JSONError) {
        let start = position
        let (end, isNumber) = NumberText.end(in: bytes, from: start)
        position = end
        guard isNumber else { throw unexpected("a digit") }
        append(.number, from: start)
    }

    /// Takes the array that begins here if it is one of many numbers.
    private mutating func parseNumbers() -> Bool {
        var at = position
        var count = 0
        repeat {
            at += 1
            if at < bytes.count, bytes[at] == 0x20 { at += 1 }
            while let end = NumberText.endOfFraction(in: bytes, from: at) {
                count += 1
                at = end + 1
                if bytes[at] == 0x20 { at += 1 }
            }
            at = endOfSpace(at)
            let (end, isNumber) = NumberText.end(in: bytes, from: at)
            guard isNumber else { return false }
            count += 1
            at = endOfSpace(end)
        } while at < bytes.count && bytes[at] == UInt8(ascii: ",")
        guard at < bytes.count, bytes[at] == UInt8(ascii: "]"), count >= manyNumbers else { return false }
        nodes.append(
            .init(
                kind: .array, isText: true, start: UInt32(position), end: UInt32(at + 1), next: UInt32(nodes.count + 1),
                count: UInt32(count)))
        position = at + 1
        return true
    }

    private func endOfSpace(_ start: Int) -> Int {
        var at = start
        while at < bytes.count, Self.isSpace(bytes[at]) { at += 1 }
        return at
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte <= 0x20 && (byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09)
    }

    /// Leaves `position` behind the closing quote; the node covers the text between the quotes.
    private mutating func parseString() throws(JSONError) {
        position += 1
        let start = position
        var escaped = false
        while true {
            position = PlainText.end(in: bytes, from: position, isASCII: true)
            guard let byte = peek else { break }
            switch byte {
            case UInt8(ascii: "\""):
                append(.string, escaped: escaped, from: start)
                position += 1
                return
            case UInt8(ascii: "\\"):
                escaped = true
                try parseEscape()
            case 0..<0x20:
                throw JSONError("control character \(byte) in a string (write it as an escape)", at: position)
            default:
                let length = utf8Length()
                guard length > 0 else { throw JSONError("invalid UTF-8", at: position) }
                position += length
            }
        }
        throw unexpected("'\"'")
    }

    private mutating func parseEscape() throws(JSONError) {
        position += 1
        switch peek {
        case UInt8(ascii: "u"):
            for digit in 1...4 {
                guard position + digit < bytes.count, hexValue(bytes[position + digit]) != nil else {
                    throw JSONError("\\u needs four hexadecimal digits", at: position - 1)
                }
            }
            position += 5
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        default: throw JSONError("unknown escape", at: position - 1)
        }
    }

    /// Length of the multi-byte sequence here, 0 when it is not well-formed (Unicode 15, table 3-7).
    private func utf8Length() -> Int {
        func at(_ offset: Int) -> UInt8 { position + offset < bytes.count ? bytes[position + offset] : 0 }
        func continues(_ offset: Int) -> Bool { at(offset) & 0xC0 == 0x80 }
        let second = at(1)
        switch bytes[position] {
        case 0xC2...0xDF: return continues(1) ? 2 : 0
        case 0xE0: return (0xA0...0xBF).contains(second) && continues(2) ? 3 : 0
        case 0xED: return (0x80...0x9F).contains(second) && continues(2) ? 3 : 0
        case 0xE1...0xEF: return continues(1) && continues(2) ? 3 : 0
        case 0xF0: return (0x90...0xBF).contains(second) && continues(2) && continues(3) ? 4 : 0
        case 0xF1...0xF3: return continues(1) && continues(2) && continues(3) ? 4 : 0
        case 0xF4: return (0x80...0x8F).contains(second) && continues(2) && continues(3) ? 4 : 0
        default: return 0
        }
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() { position = endOfSpace(position) }

    private func unexpected(_ expected: String) -> JSONError {
        guard let byte = peek else { return JSONError("the text ends where \(expected) is expected", at: position) }
        let shown = (0x21..<0x7F).contains(byte) ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
        return JSONError("\(shown) where \(expected) is expected", at: position)
    }
}

@inline(__always)
func hexValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
}
