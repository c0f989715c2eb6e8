extension IndexFile {
    /// Reads an index file's bytes.
    ///
    /// - Parameter path: for the message.
    /// - Throws: ``RetrievalError/Code-swift.struct/corrupt`` for a damaged index, or one of an older format;
    ///   ``RetrievalError/Code-swift.struct/foreign`` for what is none of ours to replace.
    init(decoding bytes: [UInt8], path: String) throws(RetrievalError) {
        func corrupt(_ what: String) -> RetrievalError {
            RetrievalError(.corrupt, "\(path) \(what): run parley ingest again")
        }
        try Self.refuseForeign(bytes.prefix(Self.headerSize), path: path)
        var header = ByteReader(bytes)
        guard header.take(Self.magic.count) != nil, let version: UInt32 = header.integer() else {
            throw corrupt("is cut off")
        }
        guard (1...Self.version).contains(version) else {
            throw corrupt("has format \(version), this program reads 1 to \(Self.version)")
        }
        guard let _: UInt32 = header.integer(), let size: UInt64 = header.integer(),
            let checksum: UInt64 = header.integer(), size == UInt64(bytes.count - Self.headerSize)
        else { throw corrupt("is cut off") }
        guard Self.checksum(header.rest) == checksum else { throw corrupt("is damaged (its checksum does not match)") }
        // The checksum holds, so what follows fails only for a file that somebody made on purpose.
        guard let index = Self(payload: header, version: version) else { throw corrupt("is damaged") }
        self = index
    }

    /// Says no to a file that must not be replaced: one that does not begin as an index does, and one of a format that only a
    /// newer program knows. What is cut off within its first bytes is taken for an index.
    static func refuseForeign(_ beginning: ArraySlice<UInt8>, path: String) throws(RetrievalError) {
        guard beginning.prefix(magic.count).elementsEqual(magic.prefix(beginning.count)) else {
            throw RetrievalError(
                .foreign, "\(path) is not an index file of Parley and is left alone: name another file in vectors.url")
        }
        var rest = ByteReader(Array(beginning.dropFirst(magic.count)))
        guard let found: UInt32 = rest.integer(), found > version else { return }
        throw RetrievalError(
            .foreign,
            "\(path) has format \(found), which a newer Parley wrote (this one knows \(version)), and is left alone: "
                + "update this program, or name another file in vectors.url")
    }

    private init?(payload: ByteReader, version: UInt32) {
        var reader = payload
        guard let embedder = reader.text(), let dimension: UInt32 = reader.integer(),
            dimension <= Self.maxDimension, let hasVectors: UInt32 = reader.integer()
        else { return nil }
        self.init(embedder: String(decoding: embedder, as: UTF8.self), dimension: Int(dimension))
        guard hasVectors == (self.hasVectors ? 1 : 0) else { return nil }
        if version > 1 {
            guard let count: UInt32 = reader.integer(), count <= EmbedderProbe.size,
                let numbers = reader.floats(Int(count))
            else { return nil }
            probe = EmbedderProbe(numbers: numbers)
        }
        guard let documentCount: UInt32 = reader.integer() else { return nil }
        for _ in 0..<documentCount {
            guard let id = reader.text(), let title = reader.text(), let hash = reader.text() else { return nil }
            guard let attributes = version > 1 ? reader.attributes() : Attributes() else { return nil }
            documents.append(
                StoredDocument(
                    id: String(decoding: id, as: UTF8.self), title: String(decoding: title, as: UTF8.self),
                    contentHash: String(decoding: hash, as: UTF8.self), attributes: attributes))
        }
        guard let passageCount: UInt32 = reader.integer() else { return nil }
        for _ in 0..<passageCount {
            guard let document: UInt32 = reader.integer(), document < documentCount,
                let ordinal: UInt32 = reader.integer(), let language = reader.text(), let heading = reader.text(),
                let text = reader.text()
            else { return nil }
            passages.append(
                StoredPassage(document: document, ordinal: ordinal, language: language, heading: heading, text: text))
        }
        guard self.hasVectors else {
            if !reader.rest.isEmpty { return nil }
            return
        }
        // Keep only the texts' part of the bytes alive: the vectors are copied out below.
        let texts = Array(payload.bytes[..<reader.rest.startIndex])[...]
        for index in passages.indices {
            passages[index].language = texts[passages[index].language.indices]
            passages[index].heading = texts[passages[index].heading.indices]
            passages[index].text = texts[passages[index].text.indices]
        }
        let (count, overflow) = passages.count.multipliedReportingOverflow(by: self.dimension)
        guard !overflow, reader.rest.count % 4 == 0, reader.rest.count / 4 == count else { return nil }
        vectors = reader.rest.withUnsafeBytes { bytes in
            [Float](unsafeUninitializedCapacity: count) { floats, filled in
                for index in 0..<count {
                    let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
                    floats.initializeElement(at: index, to: Float(bitPattern: bits))
                }
                filled = count
            }
        }
    }
}

/// Takes values off the front of bytes; nil when there are not enough.
private struct ByteReader {
    let bytes: [UInt8]
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        rest = bytes[...]
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func integer<Value: FixedWidthInteger & UnsignedInteger>() -> Value? {
        guard let bytes = take(MemoryLayout<Value>.size) else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | Value($1) }
    }

    mutating func floats(_ count: Int) -> [Float]? {
        var numbers: [Float] = []
        for _ in 0..<count {
            guard let bits: UInt32 = integer() else { return nil }
            numbers.append(Float(bitPattern: bits))
        }
        return numbers
    }

    mutating func attributes() -> Attributes? {
        guard let tenant = text(), let agent = text(), let tags = text(), let date: UInt32 = integer() else {
            return nil
        }
        func string(_ text: ArraySlice<UInt8>) -> String? { text.isEmpty ? nil : String(decoding: text, as: UTF8.self) }
        let names = tags.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        return Attributes(tenant: string(tenant), agent: string(agent), tags: names, date: CalendarDate(number: date))
    }

    mutating func text() -> ArraySlice<UInt8>? {
        guard let count: UInt32 = integer() else { return nil }
        return take(Int(count))
    }
}
