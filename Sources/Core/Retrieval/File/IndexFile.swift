/// The contents of an index file, and their format.
///
/// Little-endian throughout; a text is its length in bytes (u32) and its UTF-8.
///
///     "PARLEYIX"  version u32  zero u32  payload length u64  ContentHash of the payload u64
///     payload:
///       embedder text, dimension u32, 1 when vectors follow u32
///       ^ probe: numbers u32, each a float (see ``EmbedderProbe``)
///       documents u32, each: id, title, content hash as texts; ^ tenant, agent, tags (a line each) as texts, date u32 (0: none)
///       passages u32, each: document's place u32, ordinal u32, language (empty: unknown), heading, text as texts
///       vectors: for each passage `dimension` floats
///
/// What is marked ^ is not in version 1, which is still read.
struct IndexFile: Sendable, Equatable {
    static let magic = Array("PARLEYIX".utf8)
    static let version: UInt32 = 2
    static let headerSize = 32
    static let maxDimension = 65_536

    struct StoredDocument: Sendable, Equatable {
        var id: String
        var title: String
        var contentHash: String
        var attributes = Attributes()
    }

    /// Texts stay bytes until a search shows them: a hundred thousand Strings cost more than the file.
    struct StoredPassage: Sendable, Equatable {
        var document: UInt32
        var ordinal: UInt32
        var language: Text
        var heading: Text
        var text: Text

        var languageTag: String? { language.isEmpty ? nil : String(decoding: language, as: UTF8.self) }
    }

    typealias Text = ArraySlice<UInt8>

    var embedder: String
    var dimension: Int
    var probe: EmbedderProbe?
    var documents: [StoredDocument] = []
    var passages: [StoredPassage] = []
    /// One after another; empty when the index looks at words.
    var vectors: [Float] = []

    /// An index by words needs no vectors: they can be made from the text again.
    var hasVectors: Bool { !Self.looksAtWords(embedder) }

    static func looksAtWords(_ embedder: String) -> Bool { embedder.hasPrefix(LexicalEmbedder.identityPrefix) }

    init(embedder: String, dimension: Int) {
        self.embedder = embedder
        self.dimension = dimension
    }

    func passage(_ index: Int) -> Passage {
        let stored = passages[index]
        let document = documents[Int(stored.document)]
        return Passage(
            documentID: document.id, ordinal: Int(stored.ordinal), title: document.title,
            heading: String(decoding: stored.heading, as: UTF8.self),
            text: String(decoding: stored.text, as: UTF8.self),
            language: stored.languageTag, attributes: document.attributes)
    }

    var description: StoreDescription {
        StoreDescription(
            dimension: dimension, embedder: embedder, passages: passages.count, documents: documents.count, probe: probe
        )
    }

    // MARK: - Changing

    /// Removes the documents of `ids` with their passages.
    mutating func remove(_ ids: Set<String>) {
        guard documents.contains(where: { ids.contains($0.id) }) else { return }
        var places: [UInt32?] = []
        var kept: [StoredDocument] = []
        for document in documents {
            if ids.contains(document.id) {
                places.append(nil)
            } else {
                places.append(UInt32(kept.count))
                kept.append(document)
            }
        }
        var keptPassages: [StoredPassage] = []
        var keptVectors: [Float] = []
        for (index, var passage) in passages.enumerated() {
            guard let place = places[Int(passage.document)] else { continue }
            passage.document = place
            keptPassages.append(passage)
            if hasVectors { keptVectors += vectors[(index * dimension)..<((index + 1) * dimension)] }
        }
        documents = kept
        passages = keptPassages
        vectors = keptVectors
    }

    mutating func append(_ document: EmbeddedDocument) {
        let place = UInt32(documents.count)
        documents.append(
            StoredDocument(
                id: document.id, title: document.title, contentHash: document.contentHash,
                attributes: document.attributes))
        for (passage, vector) in zip(document.passages, document.vectors) {
            passages.append(
                StoredPassage(
                    document: place, ordinal: UInt32(passage.ordinal),
                    language: Array((passage.language ?? "").utf8)[...],
                    heading: Array(passage.heading.utf8)[...], text: Array(passage.text.utf8)[...]))
            if hasVectors { vectors += vector }
        }
    }

    // MARK: - Bytes

    func encoded() -> [UInt8] {
        var payload: [UInt8] = []
        payload.reserveCapacity(vectors.count * 4 + passages.reduce(4096) { $0 + $1.text.count + 128 })
        payload.append(text: Array(embedder.utf8))
        payload.append(UInt32(dimension))
        payload.append(UInt32(hasVectors ? 1 : 0))
        payload.append(UInt32(probe?.numbers.count ?? 0))
        for value in probe?.numbers ?? [] { payload.append(value.bitPattern) }
        payload.append(UInt32(documents.count))
        for document in documents {
            let attributes = document.attributes
            for text in [
                document.id, document.title, document.contentHash, attributes.tenant ?? "", attributes.agent ?? "",
                attributes.tags.joined(separator: "\n"),
            ] { payload.append(text: Array(text.utf8)) }
            payload.append(attributes.date?.number ?? 0)
        }
        payload.append(UInt32(passages.count))
        for passage in passages {
            payload.append(passage.document)
            payload.append(passage.ordinal)
            for text in [passage.language, passage.heading, passage.text] { payload.append(text: text) }
        }
        for value in vectors { payload.append(value.bitPattern) }
        var bytes = Self.magic
        bytes.append(Self.version)
        bytes.append(UInt32(0))
        bytes.append(UInt64(payload.count))
        bytes.append(Self.checksum(payload[...]))
        return bytes + payload
    }

    static func checksum(_ payload: ArraySlice<UInt8>) -> UInt64 {
        payload.withUnsafeBytes { bytes in
            var value: UInt64 = 0xCBF2_9CE4_8422_2325
            var at = 0
            while at + 8 <= bytes.count {
                value =
                    (value ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
                    &* 0x100_0000_01B3
                value ^= value >> 29
                at += 8
            }
            while at < bytes.count {
                value = (value ^ UInt64(bytes[at])) &* 0x100_0000_01B3
                at += 1
            }
            return value
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    fileprivate mutating func append(text: some Collection<UInt8>) {
        append(UInt32(text.count))
        append(contentsOf: text)
    }
}
