import ParleyHTTP
import ParleyJSON
import Synchronization

/// Everything made anew: in a collection beside the one in use, which then stands in for it. One write changes over all readers, and
/// until then they find what they found before.
extension ChromaStore {
    func makeAnew(_ update: StoreUpdate) async throws(RetrievalError) {
        let begun: Anew
        if update.continues, let known = anew.withLock({ $0 }) {
            begun = known
        } else {
            begun = try await begin(update)
        }
        // What it says of itself adds up over the updates.
        let known = try await find(begun.name, timeout: Self.writeTimeout) ?? begun.collection
        try await renewVersion(of: known, with: update)
        try await store(update, in: known)
        anew.withLock { $0 = update.isLast ? nil : begun }
        guard update.isLast else { return }
        if begun.name != name { try await changeOver(to: begun.name) }
        _ = try await lookUp(timeout: Self.writeTimeout)
    }

    private func begin(_ update: StoreUpdate) async throws(RetrievalError) -> Anew {
        guard let named = try await find(name, timeout: Self.writeTimeout) else {
            // Nothing is there that it would have to stay beside.
            return Anew(name: name, collection: try await make(name, for: update))
        }
        try refuseForeign(named)
        // What was begun before and not ended.
        if let left = named.nextName, left != named.currentName { try await delete(left) }
        // Earlier versions of Chroma take 63 characters.
        let beginning = name.prefix(46).reversed().drop { !$0.isLetter && !$0.isNumber }.reversed()
        let next = "\(String(beginning))-\(String(UInt64.random(in: 1 << 60...UInt64.max), radix: 16))"
        try await renewVersion(of: named, [Self.nextKey: next])
        return Anew(name: next, collection: try await make(next, for: update))
    }

    private func changeOver(to next: String) async throws(RetrievalError) {
        guard let named = try await find(name, timeout: Self.writeTimeout) else {
            throw RetrievalError(
                .notFound, "the collection \(name) at \(location) was deleted meanwhile: run parley ingest again",
                part: .store)
        }
        try await renewVersion(of: named, [Self.currentKey: next, Self.nextKey: nil])
        _ = try await lookUp(timeout: Self.writeTimeout)
        // Who still searches the old one finds it gone, and looks up the new one.
        if let old = named.currentName, old != next {
            try await delete(old)
        } else {
            var writer = JSONWriter()
            writer.object { json in
                json.key("where")
                json.object {
                    $0.key("ordinal")
                    $0.object { $0.member("$gte", 0) }
                }
            }
            _ = try await call(named, "delete", writer.bytes)
        }
    }
}
