import ParleyHTTP
import ParleyJSON

extension ChromaStore {
    private static let writeTimeout: Duration = .seconds(60)
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
        let collection = try await prepared(for: update)
        // Before and after: what was answered from half of it is not taken for an answer from all of it.
        try await renewVersion(of: collection, with: update)
        try await removeStale(update, in: collection)
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
        try await renewVersion(of: try await lookUp(timeout: Self.writeTimeout) ?? collection, with: update)
        _ = try await lookUp(timeout: Self.writeTimeout)
    }

    /// Workers that look see that the contents are others.
    private func renewVersion(
        of collection: Collection, with update: StoreUpdate
    ) async throws(RetrievalError) {
        var changed: [String: [UInt8]] = [:]
        func set(_ name: String, _ write: (inout JSONWriter) -> Void) {
            var writer = JSONWriter()
            write(&writer)
            changed[name] = writer.bytes
        }
        set(Self.versionKey) { $0.string(String(UInt64.random(in: 0...UInt64.max), radix: 16)) }
        if let probe = update.probe {
            set(Self.probeKey) { $0.string(probe.numbers.map { "\($0)" }.joined(separator: ",")) }
        }
        // Before the first of their passages is there.
        if update.documents.contains(where: { $0.attributes.tenant != nil }) { set(Self.tenantsKey) { $0.bool(true) } }
        var writer = JSONWriter()
        writer.object { json in
            json.key("new_metadata")
            json.object { json in
                for (name, value) in collection.metadata where changed[name] == nil {
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

    /// The collection, made if it is not there, made anew if the update starts over.
    private func prepared(for update: StoreUpdate) async throws(RetrievalError) -> Collection {
        if let found = try await lookUp(timeout: Self.writeTimeout) {
            let isOurs = found.description.embedder.map { EmbedderIdentity.matches($0, update.embedder) } ?? false
            let fits = found.description.dimension == nil || found.description.dimension == update.dimension
            if isOurs, fits, !update.startsOver { return found }
            let isEmpty = found.description.dimension == nil
            guard isEmpty || found.description.embedder != nil else {
                throw RetrievalError(
                    .incompatible,
                    "the collection \(name) at \(location) was not written by parley ingest and is left alone: name another collection in vectors.url"
                )
            }
            guard isEmpty || update.startsOver else {
                throw mismatch(
                    index: found.description, embedder: update.embedder, dimension: update.dimension, at: location)
            }
            let url = "\(base)/collections/\(name)"
            let response = try await service.send("DELETE", url, timeout: Self.writeTimeout)
            guard response.isSuccess || Self.saysMissing(response) else {
                throw service.failure(response, "DELETE", url)
            }
        }
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
        do throws(JSONError) {
            let made = try collection(from: json)
            remember(made)
            return made
        } catch {
            throw service.invalid("the new collection \(name) cannot be read: \(error)")
        }
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

    private func call(
        _ collection: Collection, _ action: String, _ body: [UInt8]
    ) async throws(RetrievalError) -> JSONElement {
        try await service.json(
            "POST", "\(base)/collections/\(collection.id)/\(action)", body: body, timeout: Self.writeTimeout)
    }
}
