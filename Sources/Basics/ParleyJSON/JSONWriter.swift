import ParleyPrimitives

/// Writes JSON, compactly, into bytes. The caller is trusted to open and close in order; commas and colons are put here.
package struct JSONWriter: Sendable {
    /// What has been written so far.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// - Parameter capacity: bytes to reserve. Default 256.
    package init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    /// `{`, the members that `body` writes, `}`.
    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        begin(UInt8(ascii: "{"))
        body(&self)
        end(UInt8(ascii: "}"))
    }

    /// `[`, the elements that `body` writes, `]`.
    package mutating func array(_ body: (inout JSONWriter) -> Void) {
        begin(UInt8(ascii: "["))
        body(&self)
        end(UInt8(ascii: "]"))
    }

    private mutating func begin(_ byte: UInt8) {
        let comma = takeComma()
        bytes.append(addingCapacity: 2) {
            if comma { $0.append(UInt8(ascii: ",")) }
            $0.append(byte)
        }
    }

    private mutating func end(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    /// The name of the member whose value is written next: the program's own, with nothing in it to escape.
    package mutating func key(_ name: StaticString) {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        let comma = takeComma()
        bytes.append(addingCapacity: name.count + 4) {
            if comma { $0.append(UInt8(ascii: ",")) }
            $0.append(UInt8(ascii: "\""))
            $0.append(copying: name)
            $0.append(UInt8(ascii: "\""))
            $0.append(UInt8(ascii: ":"))
        }
    }

    /// The name of the member whose value is written next, when it is any text.
    package mutating func key(named name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// A member with a string; left out when `value` is nil.
    package mutating func member(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        key(name)
        string(value)
    }

    /// A member with an integer; left out when `value` is nil.
    package mutating func member(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        key(name)
        int(value)
    }

    /// A member with a boolean; left out when `value` is nil.
    package mutating func member(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        key(name)
        bool(value)
    }

    /// A member with a number; left out when `value` is nil.
    package mutating func member(_ name: StaticString, _ value: Double?) {
        guard let value else { return }
        key(name)
        double(value)
    }

    /// A member whose value is JSON already, copied as it is; left out when `value` is nil.
    package mutating func member(_ name: StaticString, raw value: (some Collection<UInt8>)?) {
        guard let value else { return }
        key(name)
        raw(value)
    }

    package mutating func int(_ value: Int) {
        let comma = takeComma()
        bytes.append(addingCapacity: 22) {
            if comma { $0.append(UInt8(ascii: ",")) }
            if value < 0 { $0.append(UInt8(ascii: "-")) }
            $0.append(decimal: UInt64(value.magnitude))
        }
        needsComma = true
    }

    package mutating func bool(_ value: Bool) { raw((value ? "true" : "false").utf8) }
    package mutating func null() { raw("null".utf8) }

    /// The shortest text that reads back as `value`; `null` when it is not finite (RFC 8259 has no other way).
    package mutating func double(_ value: Double) {
        guard value.isFinite else { return null() }
        if let whole = Int(exactly: value), abs(whole) < 1 << 53 { return int(whole) }
        raw("\(value)".utf8)
    }

    /// The shortest text that reads back as the same float.
    package mutating func float(_ value: Float) {
        guard value.isFinite else { return null() }
        raw("\(value)".utf8)
    }

    /// A number rounded to three decimals, for milliseconds and scores.
    package mutating func rounded(_ value: Double) {
        guard value.isFinite, abs(value) < 1e12 else { return double(value) }
        let thousandths = Int((value * 1000).rounded())
        let comma = takeComma()
        bytes.append(addingCapacity: 26) {
            if comma { $0.append(UInt8(ascii: ",")) }
            if thousandths < 0 { $0.append(UInt8(ascii: "-")) }
            $0.append(decimal: UInt64(thousandths.magnitude / 1000))
            var fraction = thousandths.magnitude % 1000
            if fraction > 0 { $0.append(UInt8(ascii: ".")) }
            while fraction > 0 {
                $0.append(UInt8(ascii: "0") + UInt8(fraction / 100))
                fraction = fraction % 100 * 10
            }
        }
        needsComma = true
    }

    /// JSON already, copied as it is.
    package mutating func raw(_ json: some Collection<UInt8>) {
        if takeComma() { bytes.append(UInt8(ascii: ",")) }
        bytes.append(contentsOf: json)
        needsComma = true
    }

    /// A value of a document, written anew rather than copied, so that it is on one line.
    package mutating func value(_ element: JSONElement) {
        switch element.kind {
        case .object:
            object { json in
                for (name, value) in element.members {
                    json.key(named: name)
                    json.value(value)
                }
            }
        case .array: array { json in for value in element.elements { json.value(value) } }
        case .string: string(element.string ?? "")
        case .null, .true, .false, .number: raw(element.raw)
        }
    }

    package mutating func string(_ value: String) {
        let comma = takeComma()
        needsComma = true
        var value = value
        value.withUTF8 { text in
            var end = PlainText.end(in: text, from: 0, isASCII: false)
            bytes.append(addingCapacity: end + 3) {
                if comma { $0.append(UInt8(ascii: ",")) }
                $0.append(UInt8(ascii: "\""))
                $0.append(copying: UnsafeBufferPointer(rebasing: text[..<end]))
                if end == text.count { $0.append(UInt8(ascii: "\"")) }
            }
            guard end < text.count else { return }
            while end < text.count {
                escape(text[end])
                let clean = end + 1
                end = PlainText.end(in: text, from: clean, isASCII: false)
                bytes.append(contentsOf: text[clean..<end])
            }
            bytes.append(UInt8(ascii: "\""))
        }
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\n"): bytes.append(UInt8(ascii: "n"))
        case UInt8(ascii: "\r"): bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\t"): bytes.append(UInt8(ascii: "t"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: [UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0")])
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    /// Whether a comma stands before what is written now. None stands behind it, unless it says so.
    private mutating func takeComma() -> Bool {
        defer { needsComma = false }
        return needsComma
    }
}
