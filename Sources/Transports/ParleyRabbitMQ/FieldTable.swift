/// One value of an AMQP field table, in RabbitMQ's dialect of the types.
///
/// Read are all of them (S t b B s u I i l L f d A F T V D x), and written again as they were read, but for L: RabbitMQ has
/// another meaning for it, and gets l. What Parley itself writes are S, t, I or l (whichever an integer needs), d and T.
/// Source: RabbitMQ's "AMQP 0-9-1 Errata", section "Field types".
package enum FieldValue: Sendable, Equatable {
    case bool(Bool)
    /// An integer of 32 bits when it fits, else of 64.
    case int(Int64)
    /// A number of another type, as its bits; integers are extended to 64.
    case number(Number, bits: UInt64)
    case double(Double)
    case string(String)
    /// A byte array.
    case bytes([UInt8])
    /// A string that is not valid UTF-8.
    case rawString([UInt8])
    /// Seconds since 1970.
    case timestamp(UInt64)
    /// `value` / 10^`scale`.
    case decimal(scale: UInt8, value: UInt32)
    case array([FieldValue])
    case table(FieldTable)
    case null

    package enum Number: Sendable { case int8, uint8, int16, uint16, uint32, int64, float }
}

/// An ordered list of keys and values: message headers, queue arguments, client properties.
package struct FieldTable: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    /// The pairs, in the order they travel.
    package private(set) var pairs: [(key: String, value: FieldValue)] = []

    /// An empty table.
    package init() {}

    /// The pairs of a literal; a repeated key keeps its last value.
    package init(dictionaryLiteral elements: (String, FieldValue)...) {
        for (key, value) in elements { self[key] = value }
    }

    /// The value of `key`; setting `nil` removes it.
    package subscript(key: String) -> FieldValue? {
        get { pairs.first { $0.key == key }?.value }
        set {
            let index = pairs.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): pairs[index].value = value
            case (.some, nil): pairs.removeAll { $0.key == key }
            case (nil, let value?): pairs.append((key, value))
            case (nil, nil): break
            }
        }
    }

    /// Whether there are no pairs.
    package var isEmpty: Bool { pairs.isEmpty }
    /// How many pairs there are.
    package var count: Int { pairs.count }
    /// The keys, in order.
    package var keys: [String] { pairs.map(\.key) }

    /// Those whose keys are to be kept, repeated ones too.
    package func filter(_ isKept: (String) -> Bool) -> FieldTable {
        var table = FieldTable()
        table.pairs = pairs.filter { isKept($0.key) }
        return table
    }

    /// Adds without looking for the key: what a peer sent may repeat it, and the first one then counts.
    package mutating func append(_ key: String, _ value: FieldValue) { pairs.append((key, value)) }
    mutating func reserveCapacity(_ capacity: Int) { pairs.reserveCapacity(capacity) }

    package static func == (a: FieldTable, b: FieldTable) -> Bool {
        a.pairs.count == b.pairs.count && zip(a.pairs, b.pairs).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(floatLiteral value: Double) { self = .double(value) }

    /// The text of a `string`.
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The number, when it is an integer.
    package var int: Int64? {
        switch self {
        case .int(let value): value
        case .number(let type, let bits) where type != .float: Int64(bitPattern: bits)
        default: nil
        }
    }
    /// The entries of a `table`.
    package var table: FieldTable? { if case .table(let value) = self { value } else { nil } }
    /// The elements of an `array`.
    package var array: [FieldValue]? { if case .array(let value) = self { value } else { nil } }
}
