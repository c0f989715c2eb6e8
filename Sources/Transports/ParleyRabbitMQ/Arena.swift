import CRabbitMQ

/// Memory for the C structures of one method or header, all freed at once by ``reset()``.
///
/// Also checks what librabbitmq does not: a short string over 255 bytes would corrupt the stream, and a header that
/// fits no frame would fail after its method has left. `encodedSize` counts what the fields take on the wire.
struct Arena {
    private var chunks: [UnsafeMutableRawBufferPointer] = []
    private var chunk = 0
    private var used = 0
    private(set) var encodedSize = 0

    static let maximumDepth = 128

    mutating func reset() {
        chunk = 0
        used = 0
        encodedSize = 0
        while chunks.count > 1, let last = chunks.popLast() { last.deallocate() }
    }

    mutating func free() {
        for one in chunks { one.deallocate() }
        chunks = []
        chunk = 0
        used = 0
    }

    mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let size = (size + 15) & ~15
        while chunk < chunks.count, used + size > chunks[chunk].count {
            chunk += 1
            used = 0
        }
        if chunk == chunks.count {
            chunks.append(.allocate(byteCount: max(16384, size), alignment: 16))
            used = 0
        }
        defer { used += size }
        // A chunk of at least 16 KiB always has a base address; the fallback keeps the type total.
        return (chunks[chunk].baseAddress ?? UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)) + used
    }

    mutating func copy(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { bytes in copy(UnsafeRawBufferPointer(bytes)) }
    }

    mutating func copy(_ bytes: UnsafeRawBufferPointer) -> amqp_bytes_t {
        encodedSize += bytes.count
        guard let source = bytes.baseAddress, bytes.count > 0 else { return amqp_bytes_t(len: 0, bytes: nil) }
        let target = allocate(bytes.count)
        target.copyMemory(from: source, byteCount: bytes.count)
        return amqp_bytes_t(len: bytes.count, bytes: target)
    }

    /// A string of at most 255 bytes (AMQP's "short string").
    mutating func short(_ text: String, _ name: StaticString) throws(RabbitMQError) -> amqp_bytes_t {
        let bytes = copy(text)
        guard bytes.len <= 255 else {
            throw RabbitMQError(.invalidMessage, "\(name) has \(bytes.len) bytes; AMQP 0-9-1 allows 255")
        }
        encodedSize += 1
        return bytes
    }

    mutating func table(_ table: FieldTable, depth: Int = 0) throws(RabbitMQError) -> amqp_table_t {
        encodedSize += 4
        try check(depth)
        guard !table.isEmpty else { return amqp_table_t(num_entries: 0, entries: nil) }
        let count = table.count
        let entries = allocate(count * MemoryLayout<amqp_table_entry_t>.stride)
            .bindMemory(to: amqp_table_entry_t.self, capacity: count)
        for (index, pair) in table.pairs.enumerated() {
            let key = try short(pair.key, "a field table's key")
            (entries + index).initialize(
                to: amqp_table_entry_t(key: key, value: try value(pair.value, depth: depth + 1)))
        }
        return amqp_table_t(num_entries: Int32(count), entries: entries)
    }

    private func check(_ depth: Int) throws(RabbitMQError) {
        guard depth <= Self.maximumDepth else {
            throw RabbitMQError(.invalidMessage, "a field table is nested more than \(Self.maximumDepth) levels deep")
        }
    }

    private mutating func value(_ value: FieldValue, depth: Int) throws(RabbitMQError) -> amqp_field_value_t {
        var result = amqp_field_value_t()
        encodedSize += 1
        switch value {
        case .bool(let value):
            result.kind = FieldKind.bool
            result.value.boolean = value ? 1 : 0
            encodedSize += 1
        case .int(let value):
            if let small = Int32(exactly: value) {
                result.kind = FieldKind.int32
                result.value.i32 = small
            } else {
                result.kind = FieldKind.int64
                result.value.i64 = value
            }
            encodedSize += 8
        case .number(let type, let bits):
            set(type, bits, &result)
            encodedSize += 8
        case .double(let value):
            result.kind = FieldKind.double
            result.value.f64 = value
            encodedSize += 8
        case .string(let value):
            result.kind = FieldKind.string
            result.value.bytes = copy(value)
            encodedSize += 4
        case .bytes(let value):
            result.kind = FieldKind.bytes
            result.value.bytes = value.withUnsafeBytes { copy($0) }
            encodedSize += 4
        case .rawString(let value):
            result.kind = FieldKind.string
            result.value.bytes = value.withUnsafeBytes { copy($0) }
            encodedSize += 4
        case .timestamp(let value):
            result.kind = FieldKind.timestamp
            result.value.u64 = value
            encodedSize += 8
        case .decimal(let scale, let value):
            result.kind = FieldKind.decimal
            result.value.decimal = amqp_decimal_t(decimals: scale, value: value)
            encodedSize += 5
        case .array(let values):
            try check(depth)
            result.kind = FieldKind.array
            let entries = allocate(max(1, values.count) * MemoryLayout<amqp_field_value_t>.stride)
                .bindMemory(to: amqp_field_value_t.self, capacity: max(1, values.count))
            for (index, value) in values.enumerated() {
                (entries + index).initialize(to: try self.value(value, depth: depth + 1))
            }
            result.value.array = amqp_array_t(num_entries: Int32(values.count), entries: entries)
            encodedSize += 4
        case .table(let table):
            result.kind = FieldKind.table
            result.value.table = try self.table(table, depth: depth)
        case .null:
            result.kind = FieldKind.null
        }
        return result
    }

    private func set(_ type: FieldValue.Number, _ bits: UInt64, _ field: inout amqp_field_value_t) {
        switch type {
        case .int8:
            field.kind = FieldKind.int8
            field.value.i8 = Int8(truncatingIfNeeded: bits)
        case .uint8:
            field.kind = FieldKind.uint8
            field.value.u8 = UInt8(truncatingIfNeeded: bits)
        case .int16:
            field.kind = FieldKind.int16
            field.value.i16 = Int16(truncatingIfNeeded: bits)
        case .uint16:
            field.kind = FieldKind.uint16
            field.value.u16 = UInt16(truncatingIfNeeded: bits)
        case .uint32:
            field.kind = FieldKind.uint32
            field.value.u32 = UInt32(truncatingIfNeeded: bits)
        case .int64:
            field.kind = FieldKind.int64
            field.value.i64 = Int64(bitPattern: bits)
        case .float:
            field.kind = FieldKind.float
            field.value.f32 = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
        }
    }

    mutating func properties(_ p: MessageProperties) throws(RabbitMQError) -> amqp_basic_properties_t {
        var c = amqp_basic_properties_t()
        encodedSize += 14
        func raw(_ property: TextProperty, _ text: String, _ name: StaticString) throws(RabbitMQError) -> amqp_bytes_t {
            guard !p.rawTexts.isEmpty, let bytes = p.rawTexts[property], bytes.count <= 255 else {
                return try short(text, name)
            }
            encodedSize += 1
            return bytes.withUnsafeBytes { copy($0) }
        }
        func set(_ bit: Int) { c._flags |= amqp_flags_t(1) << bit }
        if let text = p.contentType {
            c.content_type = try short(text, "content-type")
            set(15)
        }
        if let text = p.contentEncoding {
            c.content_encoding = try raw(.contentEncoding, text, "content-encoding")
            set(14)
        }
        if !p.headers.isEmpty {
            c.headers = try table(p.headers)
            set(13)
        }
        if let mode = p.deliveryMode {
            c.delivery_mode = mode
            set(12)
        }
        if let priority = p.priority {
            c.priority = priority
            set(11)
        }
        if let text = p.correlationID {
            c.correlation_id = try raw(.correlationID, text, "correlation-id")
            set(10)
        }
        if let text = p.replyTo {
            c.reply_to = try short(text, "reply-to")
            set(9)
        }
        if let text = p.expiration {
            c.expiration = try raw(.expiration, text, "expiration")
            set(8)
        }
        if let text = p.messageID {
            c.message_id = try raw(.messageID, text, "message-id")
            set(7)
        }
        if let seconds = p.timestamp {
            c.timestamp = seconds
            set(6)
        }
        if let text = p.type {
            c.type = try raw(.type, text, "type")
            set(5)
        }
        if let text = p.userID {
            c.user_id = try raw(.userID, text, "user-id")
            set(4)
        }
        if let text = p.appID {
            c.app_id = try raw(.appID, text, "app-id")
            set(3)
        }
        encodedSize += 10
        return c
    }
}

/// The type letters of field values.
enum FieldKind {
    static let bool = UInt8(ascii: "t"), int8 = UInt8(ascii: "b"), uint8 = UInt8(ascii: "B")
    static let int16 = UInt8(ascii: "s"), uint16 = UInt8(ascii: "u")
    static let int32 = UInt8(ascii: "I"), uint32 = UInt8(ascii: "i")
    static let int64 = UInt8(ascii: "l"), uint64 = UInt8(ascii: "L")
    static let float = UInt8(ascii: "f"), double = UInt8(ascii: "d"), decimal = UInt8(ascii: "D")
    static let string = UInt8(ascii: "S"), bytes = UInt8(ascii: "x"), array = UInt8(ascii: "A")
    static let table = UInt8(ascii: "F"), timestamp = UInt8(ascii: "T"), null = UInt8(ascii: "V")
}
