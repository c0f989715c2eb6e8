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
        comma()
        bytes.append(byte)
        needsComma = false
    }

    private mutating func end(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    /// The name of the member whose value is written next: the program's own, with nothing in it to escape.
    package mutating func key(_ name: StaticString) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
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
        comma()
        needsComma = true
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        digits(value.magnitude)
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
        comma()
        needsComma = true
        var thousandths = Int((value * 1000).rounded())
        if thousandths < 0 {
            bytes.append(UInt8(ascii: "-"))
            thousandths = -thousandths
        }
        digits(UInt(thousandths / 1000))
        var fraction = thousandths % 1000
        guard fraction > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        while fraction > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(fraction / 100))
            fraction = fraction % 100 * 10
        }
    }

    private mutating func digits(_ value: UInt) {
        if value >= 10 { digits(value / 10) }
        bytes.append(UInt8(ascii: "0") + UInt8(value % 10))
    }

    /// JSON already, copied as it is.
    package mutating func raw(_ json: some Collection<UInt8>) {
        comma()
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
        comma()
        needsComma = true
        var value = value
        bytes.append(UInt8(ascii: "\""))
        value.withUTF8 { text in
            var clean = 0
            while case let end = PlainText.end(in: text, from: clean, isASCII: false), end < text.count {
                bytes.append(contentsOf: text[clean..<end])
                escape(text[end])
                clean = end + 1
            }
            bytes.append(contentsOf: text[clean...])
        }
        bytes.append(UInt8(ascii: "\""))
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

    private mutating func comma() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }
}
