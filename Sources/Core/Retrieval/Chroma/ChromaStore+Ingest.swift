import ParleyHTTP
import ParleyJSON

extension ChromaStore {
    static let writeTimeout: Duration = .seconds(60)
    /// Records in one upsert, documents in one delete, records in one page.
    private static let upsertSize = 128
    private static let deleteSize = 50
    private static let pageSize = 1000

    /// The hashes are kept with each document's first passage, which is written last.
    package func contentHashes() async throws(RetrievalError) -> [String: String] {
        guard let collection = try await lookUp(timeout: Self.writeTimeout) else { return [:] }
        var hashes: [String: String] = [:]
        var offset = 0
        while true {
            var writer = JSONWriter()
            writer.object { json in
                json.key("where")
                json.object { $0.member("ordinal", 1) }
                json.key("include")
                json.array { $0.string("metadatas") }
                json.member("limit", Self.pageSize)
                json.member("offset", offset)
            }
            let page = try await call(collection, "get", writer.bytes)
            let rows = page["metadatas"]?.elements ?? []
            for row in rows {
                if let id = row["document"]?.string, let hash = row["hash"]?.string { hashes[id] = hash }
            }
            guard rows.count == Self.pageSize else { return hashes }
            offset += rows.count
        }
    }

    /// Passages of a document that is replaced are overwritten one by one, never missing in between; those beyond its
    /// new end go first. A run that is cut short is taken up by the next.
    package func replace(_ update: StoreUpdate) async throws(RetrievalError) {
        guard !update.startsOver else { return try await makeAnew(update) }
        let collection = try await prepared(for: update)
        // Before and after: what was answered from half of it is not taken for an answer from all of it.
        try await renewVersion(of: collection, with: update)
        try await removeStale(update, in: collection)
        try await store(update, in: collection)
        try await renewVersion(of: try await lookUp(timeout: Self.writeTimeout) ?? collection, with: update)
        _ = try await lookUp(timeout: Self.writeTimeout)
    }

    func store(_ update: StoreUpdate, in collection: Collection) async throws(RetrievalError) {
        var records: [(passage: Passage, vector: [Float], hash: String)] = []
        for document in update.documents {
            guard document.vectors.count == document.passages.count,
                document.vectors.allSatisfy({ $0.count == update.dimension })
            else {
                throw RetrievalError(
                    .incompatible, "\(document.id) has vectors of another dimension than \(update.dimension)")
            }
            for (passage, vector) in zip(document.passages, document.vectors).reversed() {
                records.append((passage, vector, document.contentHash))
            }
        }
        for start in stride(from: 0, to: records.count, by: Self.upsertSize) {
            let batch = records[start..<min(start + Self.upsertSize, records.count)]
            _ = try await call(collection, "upsert", Self.upsertBody(batch))
        }
    }

    /// Workers that look see that the contents are others.
    ///
    /// - Parameter texts: of further names; nil takes one away.
    func renewVersion(
        of collection: Collection, with update: StoreUpdate? = nil, _ texts: [String: String?] = [:]
    ) async throws(RetrievalError) {
        var changed: [String: [UInt8]] = [:]
        func set(_ name: String, _ write: (inout JSONWriter) -> Void) {
            var writer = JSONWriter()
            write(&writer)
            changed[name] = writer.bytes
        }
        set(Self.versionKey) { $0.string(String(UInt64.random(in: 0...UInt64.max), radix: 16)) }
        for case (let name, let text?) in texts { set(name) { $0.string(text) } }
        if let probe = update?.probe {
            set(Self.probeKey) { $0.string(probe.numbers.map { "\($0)" }.joined(separator: ",")) }
        }
        // Before the first of their passages is there.
        if update?.documents.contains(where: { $0.attributes.tenant != nil }) == true {
            set(Self.tenantsKey) { $0.bool(true) }
        }
        var writer = JSONWriter()
        writer.object { json in
            json.key("new_metadata")
            json.object { json in
                for (name, value) in collection.metadata where changed[name] == nil && texts[name] == nil {
                    json.key(named: name)
                    json.raw(value)
                }
                for (name, value) in changed.sorted(by: { $0.key < $1.key }) {
                    json.key(named: name)
                    json.raw(value)
                }
            }
        }
        let url = "\(base)/collections/\(collection.id)"
        let response = try await service.send("PUT", url, body: writer.bytes, timeout: Self.writeTimeout)
        guard response.isSuccess else { throw service.failure(response, "PUT", url) }
    }

    /// The collection, made if it is not there.
    private func prepared(for update: StoreUpdate) async throws(RetrievalError) -> Collection {
        guard let found = try await lookUp(timeout: Self.writeTimeout) else {
            let made = try await make(name, for: update)
            remember(made)
            return made
        }
        try refuseForeign(found)
        let isOurs = found.description.embedder.map { EmbedderIdentity.matches($0, update.embedder) } ?? false
        let fits = found.description.dimension == nil || found.description.dimension == update.dimension
        guard isOurs, fits else {
            // Somebody has made it, and nobody has filled it.
            if found.description.dimension == nil, found.currentName == nil, found.description.embedder == nil {
                try await delete(name)
                let made = try await make(name, for: update)
                remember(made)
                return made
            }
            throw mismatch(
                index: found.description, embedder: update.embedder, dimension: update.dimension, at: location)
        }
        return found
    }

    /// What others have filled is theirs.
    func refuseForeign(_ collection: Collection) throws(RetrievalError) {
        guard collection.description.dimension == nil || collection.description.embedder != nil else {
            throw RetrievalError(
                .incompatible,
                "the collection \(name) at \(location) was not written by parley ingest and is left alone: name another collection in vectors.url"
            )
        }
    }

    func delete(_ name: String) async throws(RetrievalError) {
        let url = "\(base)/collections/\(name)"
        let response = try await service.send("DELETE", url, timeout: Self.writeTimeout)
        guard response.isSuccess || Self.saysMissing(response) else { throw service.failure(response, "DELETE", url) }
    }

    func make(_ name: String, for update: StoreUpdate) async throws(RetrievalError) -> Collection {
        var writer = JSONWriter()
        writer.object { json in
            json.member("name", name)
            json.member("get_or_create", true)
            json.key("configuration")
            json.object {
                $0.key("hnsw")
                $0.object { $0.member("space", "cosine") }
            }
            json.key("metadata")
            json.object {
                $0.key(named: Self.embedderKey)
                $0.string(update.embedder)
                $0.key(named: Self.formatKey)
                $0.int(Self.format)
            }
        }
        let json = try await service.json("POST", "\(base)/collections", body: writer.bytes, timeout: Self.writeTimeout)
        return try read(json, name)
    }

    private func removeStale(_ update: StoreUpdate, in collection: Collection) async throws(RetrievalError) {
        // Everything of a removed document; of a replaced one, what lies beyond its new end.
        let ends = update.removed.map { ($0, 0) } + update.documents.map { ($0.id, $0.passages.count) }
        for start in stride(from: 0, to: ends.count, by: Self.deleteSize) {
            let batch = ends[start..<min(start + Self.deleteSize, ends.count)]
            var writer = JSONWriter()
            writer.object { json in
                json.key("where")
                if batch.count == 1, let end = batch.first {
                    Self.beyond(end, &json)
                } else {
                    json.object {
                        $0.key("$or")
                        $0.array { list in for end in batch { Self.beyond(end, &list) } }
                    }
                }
            }
            _ = try await call(collection, "delete", writer.bytes)
        }
    }

    private static func beyond(_ end: (document: String, last: Int), _ writer: inout JSONWriter) {
        writer.object {
            $0.key("$and")
            $0.array {
                $0.object { $0.member("document", end.document) }
                $0.object {
                    $0.key("ordinal")
                    $0.object { $0.member("$gt", end.last) }
                }
            }
        }
    }

    private static func upsertBody(_ batch: ArraySlice<(passage: Passage, vector: [Float], hash: String)>) -> [UInt8] {
        var writer = JSONWriter(
            capacity: batch.reduce(256) { $0 + $1.vector.count * 11 + $1.passage.text.utf8.count + 256 })
        writer.object { json in
            json.key("ids")
            json.array { list in for record in batch { list.string(record.passage.id) } }
            json.key("embeddings")
            json.array { list in for record in batch { list.vector(record.vector) } }
            json.key("documents")
            json.array { list in for record in batch { list.string(record.passage.text) } }
            json.key("metadatas")
            json.array { list in
                for record in batch {
                    list.object {
                        $0.member("document", record.passage.documentID)
                        $0.member("ordinal", record.passage.ordinal)
                        $0.member("hash", record.hash)
                        $0.member("title", record.passage.title)
                        $0.member("heading", record.passage.heading)
                        ChromaAttributes.write(record.passage, to: &$0)
                    }
                }
            }
        }
        return writer.bytes
    }

    func call(
        _ collection: Collection, _ action: String, _ body: [UInt8]
    ) async throws(RetrievalError) -> JSONElement {
        try await service.json(
            "POST", "\(base)/collections/\(collection.id)/\(action)", body: body, timeout: Self.writeTimeout)
    }
}
