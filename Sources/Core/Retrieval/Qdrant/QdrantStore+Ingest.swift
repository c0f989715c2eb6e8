import ParleyHTTP
import ParleyJSON
import Synchronization

extension QdrantStore {
    private static let writeTimeout: Duration = .seconds(60)
    /// Points in one upsert, documents in one delete, points in one page.
    private static let upsertSize = 128
    private static let deleteSize = 50
    private static let pageSize = 1000

    /// Points of a document that is replaced are overwritten one by one, never missing in between; those beyond its new end go
    /// first. A run that is cut short is taken up by the next.
    package func replace(_ update: StoreUpdate) async throws(RetrievalError) {
        if let odd = update.documents.first(where: { document in
            document.vectors.count != document.passages.count
                || document.vectors.contains { $0.count != update.dimension }
        }) {
            throw RetrievalError(.incompatible, "\(odd.id) has vectors of another dimension than \(update.dimension)")
        }
        guard !update.startsOver else { return try await makeAnew(update) }
        if let found = try await find(name, timeout: Self.writeTimeout) {
            let index = found.description
            guard let embedder = index.embedder, EmbedderIdentity.matches(embedder, update.embedder),
                index.dimension == update.dimension
            else {
                throw mismatch(index: index, embedder: update.embedder, dimension: update.dimension, at: location)
            }
            // Before and after: what was answered from half of it is not taken for an answer from all of it.
            try await describe(update, in: name, found.description)
        } else {
            let made = try await freeCollection(beside: nil)
            try await make(made, update)
            try await describe(update, in: made)
            try await moveAlias(from: nil, to: made)
        }
        try await removeStale(update, in: name)
        try await store(update, in: name)
        try await describe(update, in: name, try await lookUp(timeout: Self.writeTimeout)?.description)
        try await lookUp(timeout: Self.writeTimeout)
    }

    private func makeAnew(_ update: StoreUpdate) async throws(RetrievalError) {
        let next: String
        if update.continues, let begun = anew.withLock({ $0 }) {
            next = begun
        } else {
            next = try await freeCollection(beside: try await aliased())
            try await make(next, update)
            try await describe(update, in: next)
        }
        anew.withLock { $0 = update.isLast ? nil : next }
        try await store(update, in: next)
        guard update.isLast else { return }
        try await describe(update, in: next)
        let old = try await aliased()
        try await moveAlias(from: old, to: next)
        try await lookUp(timeout: Self.writeTimeout)
        if let old { try await delete(old) }
    }

    // MARK: - Collections

    /// What the alias leads to; nil when there is no such alias.
    private func aliased() async throws(RetrievalError) -> String? {
        let url = "\(root.dropLast("collections".count))aliases"
        let json = try await service.json("GET", url, timeout: Self.writeTimeout)
        let aliases = json["result"]?["aliases"]?.elements ?? []
        return aliases.first { $0["alias_name"]?.string == name }?["collection_name"]?.string
    }

    /// The name of one of the two that is not in use; whatever an ingest that was ended has left there is deleted.
    private func freeCollection(beside current: String?) async throws(RetrievalError) -> String {
        // No alias can be made of that name then.
        if current == nil, try await find(name, timeout: Self.writeTimeout) != nil {
            throw RetrievalError(
                .foreign,
                "\(name) at \(location) is a collection, and no alias as parley ingest makes: it is left alone",
                part: .store)
        }
        let free = current == "\(name).parley-1" ? "\(name).parley-2" : "\(name).parley-1"
        do throws(RetrievalError) {
            if try await find(free, timeout: Self.writeTimeout) != nil { try await delete(free) }
        } catch {
            // Whoever made it ended before it said what it is.
            guard error.code == .foreign, try await count(in: free, { _ in }) == 0 else { throw error }
            try await delete(free)
        }
        return free
    }

    private func delete(_ collection: String) async throws(RetrievalError) {
        let url = "\(root)/\(collection)"
        let response = try await service.send("DELETE", url, timeout: Self.writeTimeout)
        guard response.isSuccess || Self.saysMissing(response) else { throw service.failure(response, "DELETE", url) }
    }

    private func make(_ collection: String, _ update: StoreUpdate) async throws(RetrievalError) {
        var writer = JSONWriter()
        writer.object { json in
            json.key("vectors")
            json.object {
                $0.member("size", update.dimension)
                $0.member("distance", "Cosine")
            }
        }
        try await call("PUT", collection, "", writer.bytes)
        // The description is there first: a collection without it would be taken for another program's.
        try await describe(update, in: collection)
        let fields = ["document", "tenant", "agent", "lang", "tags", "parley"].map { ($0, "keyword") }
        for (field, schema) in fields + [("ordinal", "integer"), ("date", "integer")] {
            var writer = JSONWriter()
            writer.object {
                $0.member("field_name", field)
                $0.member("field_schema", schema)
            }
            try await call("PUT", collection, "/index?wait=true", writer.bytes)
        }
    }

    /// One call: nobody sees the name lead nowhere in between.
    private func moveAlias(from old: String?, to collection: String) async throws(RetrievalError) {
        var writer = JSONWriter()
        writer.object { json in
            json.key("actions")
            json.array { list in
                if old != nil {
                    list.object {
                        $0.key("delete_alias")
                        $0.object { $0.member("alias_name", name) }
                    }
                }
                list.object {
                    $0.key("create_alias")
                    $0.object {
                        $0.member("collection_name", collection)
                        $0.member("alias_name", name)
                    }
                }
            }
        }
        _ = try await service.json("POST", "\(root)/aliases", body: writer.bytes, timeout: Self.writeTimeout)
    }

    /// Has the index say what it is, by another version each time.
    ///
    /// - Parameter known: what it said before.
    private func describe(
        _ update: StoreUpdate, in collection: String, _ known: StoreDescription? = nil
    ) async throws(RetrievalError) {
        let passages = try await count(in: collection) { _ in }
        let documents = try await count(in: collection) { list in Self.beginning(&list) }
        let owned = try await count(in: collection, excludes: "tenant") { _ in }
        let hasTenants = owned > 0 || update.documents.contains { $0.attributes.tenant != nil }
        let probe = update.probe ?? known?.probe
        var numbers = [Float](repeating: 0, count: update.dimension)
        if !numbers.isEmpty { numbers[0] = 1 }
        var writer = JSONWriter()
        writer.object { json in
            json.key("points")
            json.array { list in
                list.object { json in
                    json.member("id", QdrantPoint.indexID)
                    json.key("vector")
                    json.vector(numbers)
                    json.key("payload")
                    json.object {
                        $0.member("parley", "index")
                        $0.member("version", String(UInt64.random(in: 0...UInt64.max), radix: 36))
                        $0.member("embedder", update.embedder)
                        $0.member("dimension", update.dimension)
                        $0.member("probe", probe?.numbers.map { "\($0)" }.joined(separator: ","))
                        $0.member("passages", passages)
                        $0.member("documents", documents)
                        $0.member("tenants", hasTenants)
                    }
                }
            }
        }
        try await call("PUT", collection, "/points?wait=true", writer.bytes)
    }

    /// - Parameter excludes: a further key that must not be empty.
    private func count(
        in collection: String, excludes: String? = nil, _ must: (inout JSONWriter) -> Void
    ) async throws(RetrievalError) -> Int {
        var writer = JSONWriter()
        writer.object { json in
            json.key("filter")
            json.object { json in
                json.key("must")
                json.array { must(&$0) }
                json.key("must_not")
                json.array { list in
                    QdrantPoint.match("parley", "index", &list)
                    guard let excludes else { return }
                    list.object {
                        $0.key("is_empty")
                        $0.object { $0.member("key", excludes) }
                    }
                }
            }
            json.member("exact", true)
        }
        guard let count = try await call("POST", collection, "/points/count", writer.bytes)["result"]?["count"]?.int
        else { throw service.invalid("the count of \(collection) is not a number") }
        return count
    }

    /// A document's first passage.
    private static func beginning(_ list: inout JSONWriter) {
        list.object { json in
            json.member("key", "ordinal")
            json.key("match")
            json.object { $0.member("value", 1) }
        }
    }

    // MARK: - Points

    private func store(_ update: StoreUpdate, in collection: String) async throws(RetrievalError) {
        // A document's first passage, which has its hash, is written last.
        let points = update.documents.flatMap { document in
            zip(document.passages, document.vectors).reversed().map { ($0, $1, document.contentHash) }
        }
        for start in stride(from: 0, to: points.count, by: Self.upsertSize) {
            let batch = points[start..<min(start + Self.upsertSize, points.count)]
            var writer = JSONWriter(capacity: batch.reduce(256) { $0 + $1.1.count * 11 + $1.0.text.utf8.count + 512 })
            writer.object { json in
                json.key("points")
                json.array { list in
                    for (passage, vector, hash) in batch {
                        list.object { json in
                            json.member("id", QdrantPoint.id(of: passage.id))
                            json.key("vector")
                            json.vector(vector)
                            json.key("payload")
                            QdrantPoint.write(passage, hash: hash, to: &json)
                        }
                    }
                }
            }
            try await call("PUT", collection, "/points?wait=true", writer.bytes)
        }
    }

    private func removeStale(_ update: StoreUpdate, in collection: String) async throws(RetrievalError) {
        // Everything of a removed document; of a replaced one, what lies beyond its new end.
        let ends = update.removed.map { ($0, 0) } + update.documents.map { ($0.id, $0.passages.count) }
        for start in stride(from: 0, to: ends.count, by: Self.deleteSize) {
            var writer = JSONWriter()
            writer.object { json in
                json.key("filter")
                json.object { json in
                    json.key("should")
                    json.array { list in
                        for (document, last) in ends[start..<min(start + Self.deleteSize, ends.count)] {
                            list.object { json in
                                json.key("must")
                                json.array {
                                    QdrantPoint.match("document", document, &$0)
                                    QdrantPoint.compare("ordinal", "gt", last, &$0)
                                }
                            }
                        }
                    }
                }
            }
            try await call("POST", collection, "/points/delete?wait=true", writer.bytes)
        }
    }

    /// The hashes are kept with each document's first passage.
    package func contentHashes() async throws(RetrievalError) -> [String: String] {
        guard try await lookUp(timeout: Self.writeTimeout) != nil else { return [:] }
        var hashes: [String: String] = [:]
        var offset: String?
        while true {
            var writer = JSONWriter()
            writer.object { json in
                json.key("filter")
                json.object { json in
                    json.key("must")
                    json.array { Self.beginning(&$0) }
                }
                json.member("limit", Self.pageSize)
                json.key("with_payload")
                json.array {
                    $0.string("document")
                    $0.string("hash")
                }
                if let offset { json.member("offset", offset) }
            }
            let page = try await call("POST", name, "/points/scroll", writer.bytes)["result"]
            for point in page?["points"]?.elements ?? [] {
                if let id = point["payload"]?["document"]?.string, let hash = point["payload"]?["hash"]?.string {
                    hashes[id] = hash
                }
            }
            guard let next = page?["next_page_offset"]?.string else { return hashes }
            offset = next
        }
    }

    @discardableResult
    private func call(
        _ method: String, _ collection: String, _ path: String, _ body: [UInt8]
    ) async throws(RetrievalError) -> JSONElement {
        try await service.json(method, "\(root)/\(collection)\(path)", body: body, timeout: Self.writeTimeout)
    }
}
