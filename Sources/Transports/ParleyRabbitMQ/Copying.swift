import CRabbitMQ
import Glibc

/// Swift values from librabbitmq's memory, which dies when the channel's buffers are released.

extension amqp_bytes_t {
    var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : len) }
    /// The text; invalid UTF-8 is repaired.
    var text: String { String(repairing: raw) }
}

extension String {
    /// A short string's text. A byte that is not UTF-8 becomes the three of U+FFFD: what then has more than a short
    /// string's 255 bytes is cut, so that it can be sent again.
    fileprivate init(repairing raw: UnsafeRawBufferPointer) {
        self.init(decoding: raw, as: UTF8.self)
        guard raw.count <= 255, utf8.count > 255 else { return }
        var kept = Substring.UnicodeScalarView()
        var size = 0
        for scalar in unicodeScalars {
            size += UTF8.width(scalar)
            guard size <= 255 else { break }
            kept.append(scalar)
        }
        self.init(kept)
    }
}

/// Remembers the last few texts of a field, since most messages repeat them: no allocation then.
struct TextMemory {
    private var last = ""

    mutating func text(_ bytes: amqp_bytes_t) -> String {
        let raw = bytes.raw
        // Up to 15 bytes live inside the String itself.
        if raw.count <= 15 { return String(repairing: raw) }
        let same = last.utf8.withContiguousStorageIfAvailable { known in
            UnsafeRawBufferPointer(known).holdsTheSame(as: raw)
        }
        if same == true { return last }
        last = String(repairing: raw)
        return last
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func holdsTheSame(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let start = baseAddress, let others = other.baseAddress else { return true }
        return memcmp(start, others, count) == 0
    }
}

extension FieldTable {
    init(copying table: amqp_table_t, depth: Int = 0) {
        self.init()
        guard let entries = table.entries else { return }
        reserveCapacity(Int(table.num_entries))
        for index in 0..<Int(table.num_entries) {
            append(entries[index].key.text, FieldValue(copying: entries[index].value, depth: depth + 1))
        }
    }
}

extension FieldValue {
    /// Tables and arrays nested deeper than any honest peer nests them become `null`.
    init(copying c: amqp_field_value_t, depth: Int) {
        switch c.kind {
        case FieldKind.table where depth > Arena.maximumDepth: self = .null
        case FieldKind.array where depth > Arena.maximumDepth: self = .null
        case FieldKind.bool: self = .bool(c.value.boolean != 0)
        case FieldKind.int32: self = .int(Int64(c.value.i32))
        case FieldKind.int64 where Int32(exactly: c.value.i64) == nil: self = .int(c.value.i64)
        case FieldKind.int8: self = .number(.int8, bits: UInt64(bitPattern: Int64(c.value.i8)))
        case FieldKind.uint8: self = .number(.uint8, bits: UInt64(c.value.u8))
        case FieldKind.int16: self = .number(.int16, bits: UInt64(bitPattern: Int64(c.value.i16)))
        case FieldKind.uint16: self = .number(.uint16, bits: UInt64(c.value.u16))
        case FieldKind.uint32: self = .number(.uint32, bits: UInt64(c.value.u32))
        case FieldKind.int64: self = .number(.int64, bits: UInt64(bitPattern: c.value.i64))
        // Signed in the specification; librabbitmq takes it for unsigned.
        case FieldKind.uint64: self = .int(Int64(bitPattern: c.value.u64))
        case FieldKind.float: self = .number(.float, bits: UInt64(c.value.f32.bitPattern))
        case FieldKind.double: self = .double(c.value.f64)
        case FieldKind.decimal: self = .decimal(scale: c.value.decimal.decimals, value: c.value.decimal.value)
        case FieldKind.string:
            let raw = c.value.bytes.raw
            self = String(validating: raw, as: UTF8.self).map(FieldValue.string) ?? .rawString(Array(raw))
        case FieldKind.bytes: self = .bytes(Array(c.value.bytes.raw))
        case FieldKind.timestamp: self = .timestamp(c.value.u64)
        case FieldKind.table: self = .table(FieldTable(copying: c.value.table, depth: depth))
        case FieldKind.array:
            let count = c.value.array.entries == nil ? 0 : Int(c.value.array.num_entries)
            self = .array((0..<count).map { FieldValue(copying: c.value.array.entries[$0], depth: depth + 1) })
        default: self = .null
        }
    }
}

/// Copies content headers, skipping what is absent.
struct PropertiesReader {
    private var contentType = TextMemory()
    private var replyTo = TextMemory()

    mutating func read(_ c: UnsafePointer<amqp_basic_properties_t>) -> MessageProperties {
        let flags = c.pointee._flags
        func has(_ bit: Int) -> Bool { flags & (1 << bit) != 0 }
        var raw: [TextProperty: [UInt8]] = [:]
        func text(_ bit: Int, _ bytes: amqp_bytes_t, _ property: TextProperty) -> String? {
            guard has(bit) else { return nil }
            var whole = String(decoding: bytes.raw, as: UTF8.self)
            // What is repaired is no longer what it was.
            if whole.withUTF8({ UnsafeRawBufferPointer($0).holdsTheSame(as: bytes.raw) }) { return whole }
            raw[property] = Array(bytes.raw)
            return bytes.text
        }
        var properties = MessageProperties(
            contentType: has(15) ? contentType.text(c.pointee.content_type) : nil,
            contentEncoding: text(14, c.pointee.content_encoding, .contentEncoding),
            headers: has(13) ? FieldTable(copying: c.pointee.headers) : FieldTable(),
            deliveryMode: has(12) ? c.pointee.delivery_mode : nil,
            priority: has(11) ? c.pointee.priority : nil,
            correlationID: text(10, c.pointee.correlation_id, .correlationID),
            replyTo: has(9) ? replyTo.text(c.pointee.reply_to) : nil,
            expiration: text(8, c.pointee.expiration, .expiration),
            messageID: text(7, c.pointee.message_id, .messageID),
            timestamp: has(6) ? c.pointee.timestamp : nil,
            type: text(5, c.pointee.type, .type),
            userID: text(4, c.pointee.user_id, .userID),
            appID: text(3, c.pointee.app_id, .appID))
        if !raw.isEmpty { properties.rawTexts = raw }
        return properties
    }
}
