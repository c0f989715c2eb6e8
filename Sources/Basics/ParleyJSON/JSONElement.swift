import Glibc

/// One value of a ``JSONDocument``. Cheap to copy; keeps its document alive.
package struct JSONElement: Sendable {
    /// What a value is.
    package enum Kind: UInt8, Sendable { case null, `true`, `false`, number, string, array, object }

    let storage: JSONDocument.Storage
    let index: Int

    var node: JSONDocument.Node { storage.nodes[index] }

    /// What this value is.
    package var kind: Kind { node.kind }

    /// Whether this is `null`.
    package var isNull: Bool { kind == .null }

    /// The value's own text, as it stood in the document (strings without their quotes).
    package var raw: ArraySlice<UInt8> { storage.bytes[Int(node.start)..<Int(node.end)] }

    /// The boolean, or nil when this is something else.
    package var bool: Bool? {
        switch kind {
        case .true: true
        case .false: false
        default: nil
        }
    }

    /// Whether this is a string with escapes in it; without, it holds no control characters (RFC 8259, section 7).
    package var hasEscapes: Bool { node.escaped }

    /// The string with its escapes resolved, or nil when this is something else.
    ///
    /// An escaped surrogate without its partner becomes U+FFFD, as most readers do.
    package var string: String? {
        guard kind == .string else { return nil }
        return node.escaped ? String(decoding: unescaped(), as: UTF8.self) : String(decoding: raw, as: UTF8.self)
    }

    /// The number as a double, or nil when this is something else. Infinite when it does not fit.
    package var double: Double? {
        guard kind == .number else { return nil }
        return JSONNumber.double(raw)
    }

    /// The number as an integer, or nil when this is something else, has a fraction, or does not fit.
    package var int: Int? {
        guard kind == .number else { return nil }
        if let exact = JSONNumber.integer(raw) { return exact }
        guard let double else { return nil }
        return Int(exactly: double)
    }

    /// Whether this is an array of numbers and nothing else.
    package var isNumbers: Bool {
        guard kind == .array else { return false }
        return storage.nodes[(index + 1)..<Int(node.next)].allSatisfy { $0.kind == .number }
    }

    /// An array of numbers as floats, or nil when this is something else or holds something else.
    package var floats: [Float]? {
        guard isNumbers else { return nil }
        var result: [Float] = []
        result.reserveCapacity(count)
        storage.bytes[Int(node.start) + 1..<Int(node.end) - 1].withUnsafeBufferPointer { text in
            var at = 0
            while at < text.count {
                let start = at
                while at < text.count, Self.isOfNumber(text[at]) { at += 1 }
                let number = UnsafeBufferPointer(rebasing: text[start..<at])
                if !number.isEmpty { result.append(Float(JSONNumber.double(number))) }
                at += 1
            }
        }
        return result
    }

    /// Neither white space nor the comma between two.
    private static func isOfNumber(_ byte: UInt8) -> Bool { byte > 0x20 && byte != UInt8(ascii: ",") }

    /// How many elements an array or members an object has; 0 for anything else.
    package var count: Int { Int(node.count) }

    /// The elements of an array; empty for anything else.
    package var elements: [JSONElement] {
        guard kind == .array else { return [] }
        if node.isText { return JSONDocument(numbers: raw).root.elements }
        var result: [JSONElement] = []
        result.reserveCapacity(count)
        var child = index + 1
        let end = Int(node.next)
        while child < end {
            result.append(JSONElement(storage: storage, index: child))
            child = Int(storage.nodes[child].next)
        }
        return result
    }

    /// The members of an object in the document's order; empty for anything else.
    package var members: [(name: String, value: JSONElement)] {
        guard kind == .object else { return [] }
        // With these labels: to add them is a cast of every member.
        var result: [(name: String, value: JSONElement)] = []
        result.reserveCapacity(count)
        forEachMember { result.append(($0.string ?? "", $1)) }
        return result
    }

    /// A member of an object; nil when there is none or this is something else. The last one counts when a name is
    /// given twice, as in most readers.
    package subscript(name: String) -> JSONElement? {
        guard kind == .object else { return nil }
        var name = name
        return name.withUTF8 { place(of: $0) }.map { JSONElement(storage: storage, index: $0) }
    }

    /// Where a member's value is in the index. Without an element for each member that is passed over: answers are asked for
    /// one member after another.
    private func place(of name: UnsafeBufferPointer<UInt8>) -> Int? {
        storage.bytes.withUnsafeBytes { text in
            storage.nodes.withUnsafeBufferPointer { nodes in
                var found: Int?
                var child = index + 1
                let end = Int(nodes[index].next)
                while child < end {
                    let key = nodes[child]
                    let isIt =
                        key.escaped
                        ? JSONElement(storage: storage, index: child).unescaped().elementsEqual(name)
                        : Int(key.end) - Int(key.start) == name.count
                            && equal(text[Int(key.start)..<Int(key.end)], name)
                    if isIt { found = child + 1 }
                    child = Int(nodes[child + 1].next)
                }
                return found
            }
        }
    }

    private func forEachMember(_ body: (_ key: JSONElement, _ value: JSONElement) -> Void) {
        var child = index + 1
        let end = Int(node.next)
        while child < end {
            let value = child + 1
            body(JSONElement(storage: storage, index: child), JSONElement(storage: storage, index: value))
            child = Int(storage.nodes[value].next)
        }
    }

    private func unescaped() -> [UInt8] {
        let text = Array(raw)
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var at = 0
        func unit(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 << 4 | (hexValue(text[offset + $1]) ?? 0) }
        }
        while at < text.count {
            guard text[at] == UInt8(ascii: "\\") else {
                result.append(text[at])
                at += 1
                continue
            }
            let escape = text[at + 1]
            at += 2
            switch escape {
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "u"):
                var code = unit(at)
                at += 4
                if code & 0xFC00 == 0xD800, at + 6 <= text.count, text[at] == UInt8(ascii: "\\"),
                    text[at + 1] == UInt8(ascii: "u"), case let low = unit(at + 2), low & 0xFC00 == 0xDC00
                {
                    code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)
                    at += 6
                }
                result.append(contentsOf: String(UnicodeScalar(code) ?? "\u{FFFD}").utf8)
            default: result.append(escape)
            }
        }
        return result
    }
}

private func equal(_ one: Slice<UnsafeRawBufferPointer>, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
    guard one.count == other.count else { return false }
    guard let start = UnsafeRawBufferPointer(rebasing: one).baseAddress, let other = other.baseAddress else {
        return true
    }
    return memcmp(start, other, one.count) == 0
}
