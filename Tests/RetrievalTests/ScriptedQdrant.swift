import Foundation
import Synchronization
import TestSupport

/// Answers as the documentation of Qdrant's REST API has it (<https://api.qdrant.tech>, version 1.10 and later), as far as
/// ``QdrantStore`` asks. What the documentation does not know it refuses, so that a slip is not taken for granted.
final class ScriptedQdrant: Sendable {
    typealias Object = [String: Any]

    private struct Point {
        var vector: [Float]
        var payload: Object
    }

    private struct Collection {
        var size: Int
        var points: [String: Point] = [:]
        var indexed: Set<String> = []
    }

    private struct State: @unchecked Sendable {
        // Proof of @unchecked Sendable: behind the mutex, and payloads are never changed in place.
        var collections: [String: Collection] = [:]
        var aliases: [String: String] = [:]
        var requests: [String] = []
        var bodies: [[UInt8]] = []
    }

    private struct Refusal: Error {
        let status: Int
        let words: String
    }

    private let state = Mutex(State())
    private let peer: HTTPPeer
    private let key: String?

    var url: String { "http://127.0.0.1:\(peer.port)" }
    /// `POST /collections/docs/points/query/batch`
    var requests: [String] { state.withLock { $0.requests } }
    var bodies: [String] { state.withLock { $0.bodies.map { String(decoding: $0, as: UTF8.self) } } }
    var collections: Set<String> { state.withLock { Set($0.collections.keys) } }
    var aliases: [String: String] { state.withLock { $0.aliases } }

    /// - Parameter key: what the header `api-key` has to be.
    init(key: String? = nil) throws {
        self.key = key
        peer = try HTTPPeer()
        peer.serve { [weak self] request, client in
            guard let self else { return false }
            let (status, body) = answer(request)
            return HTTPPeer.respond(status, body, header: "content-type: application/json\r\n", client)
        }
    }

    /// As another program makes one.
    func make(_ name: String, size: Int, pointID: String? = nil) {
        state.withLock { state in
            state.collections[name] = Collection(size: size)
            if let pointID {
                state.collections[name]?.points[pointID] = Point(
                    vector: [Float](repeating: 1, count: size), payload: ["page": "x"])
            }
        }
    }

    private func answer(_ request: HTTPPeer.Request) -> (Int, String) {
        if let key, !request.head.lowercased().contains("api-key: \(key)") {
            return (401, "Must provide an API key or an Authorization bearer token")
        }
        return state.withLock { state in
            state.requests.append(request.line)
            state.bodies.append(request.body)
            do {
                let body = try JSONSerialization.jsonObject(
                    with: Data(request.body.isEmpty ? Array("{}".utf8) : request.body))
                let words = request.line.split(separator: " ").map(String.init)
                let path = words[1].split(separator: "?")[0].split(separator: "/").map(String.init)
                let result = try Self.result(words[0], path, body as? Object ?? [:], &state)
                let data = try JSONSerialization.data(withJSONObject: ["result": result, "status": "ok", "time": 0.001])
                return (200, String(decoding: data, as: UTF8.self))
            } catch let refusal as Refusal {
                let error: Object = ["status": ["error": refusal.words], "time": 0.001]
                let data = (try? JSONSerialization.data(withJSONObject: error)) ?? Data()
                return (refusal.status, String(decoding: data, as: UTF8.self))
            } catch {
                return (400, #"{"status":{"error":"Format error in JSON body"},"time":0.0}"#)
            }
        }
    }

    private static func result(
        _ method: String, _ path: [String], _ body: Object, _ state: inout State
    ) throws -> Any {
        if (method, path) == ("GET", ["aliases"]) {
            return ["aliases": state.aliases.map { ["alias_name": $0.key, "collection_name": $0.value] }]
        }
        if (method, path) == ("POST", ["collections", "aliases"]) { return try moveAliases(body, &state) }
        guard path.count >= 2, path[0] == "collections" else { throw Refusal(status: 404, words: "Not found") }
        let name = state.aliases[path[1]] ?? path[1]
        let action = "\(method) \(path.dropFirst(2).joined(separator: "/"))"
        if action == "PUT " {
            try allow(["vectors"], body)
            let vectors = try value(body["vectors"], Object.self)
            guard state.collections[name] == nil, vectors["distance"] as? String == "Cosine" else {
                throw Refusal(status: 409, words: "Wrong input: Collection `\(name)` already exists!")
            }
            state.collections[name] = Collection(size: try value(vectors["size"], Int.self))
            return true
        }
        guard var collection = state.collections[name] else {
            throw Refusal(status: 404, words: "Not found: Collection `\(path[1])` doesn't exist!")
        }
        if action == "DELETE " {
            state.collections[name] = nil
            state.aliases = state.aliases.filter { $0.value != name }
            return true
        }
        defer { state.collections[name] = collection }
        switch action {
        case "PUT index":
            try allow(["field_name", "field_schema"], body)
            collection.indexed.insert(try value(body["field_name"], String.self))
        case "PUT points":
            try allow(["points"], body)
            for point in try value(body["points"], [Object].self) {
                try allow(["id", "vector", "payload"], point)
                let id = try value(point["id"], String.self)
                guard UUID(uuidString: id) != nil else {
                    throw Refusal(status: 400, words: "Format error in JSON body: value \(id) is not a valid point ID")
                }
                collection.points[id] = Point(
                    vector: try vector(point["vector"], collection), payload: try value(point["payload"], Object.self))
            }
        case "POST points/delete":
            try allow(["filter"], body)
            let filter = try value(body["filter"], Object.self)
            for (id, point) in collection.points where try matches(filter, point.payload) {
                collection.points[id] = nil
            }
        case "POST points":
            try allow(["ids", "with_payload"], body)
            return try value(body["ids"], [String].self).compactMap { id in
                collection.points[id].map { ["id": id, "payload": $0.payload] }
            }
        case "POST points/count":
            try allow(["filter", "exact"], body)
            let filter = try value(body["filter"], Object.self)
            return ["count": try collection.points.values.count { try matches(filter, $0.payload) }]
        case "POST points/scroll":
            return try scroll(body, collection)
        case "POST points/query/batch":
            try allow(["searches"], body)
            return try value(body["searches"], [Object].self).map { ["points": try query($0, collection)] }
        default: throw Refusal(status: 404, words: "Not found")
        }
        return ["operation_id": 1, "status": "completed"]
    }

    private static func moveAliases(_ body: Object, _ state: inout State) throws -> Bool {
        try allow(["actions"], body)
        for action in try value(body["actions"], [Object].self) {
            if let removed = action["delete_alias"] as? Object {
                state.aliases[try value(removed["alias_name"], String.self)] = nil
            } else {
                let made = try value(action["create_alias"], Object.self)
                let (alias, name) = (
                    try value(made["alias_name"], String.self), try value(made["collection_name"], String.self)
                )
                guard state.collections[name] != nil, state.collections[alias] == nil else {
                    throw Refusal(status: 400, words: "Wrong input: alias \(alias)")
                }
                state.aliases[alias] = name
            }
        }
        return true
    }

    private static func scroll(_ body: Object, _ collection: Collection) throws -> Object {
        try allow(["filter", "limit", "offset", "with_payload"], body)
        let filter = try value(body["filter"], Object.self)
        let fields = try value(body["with_payload"], [String].self)
        // Small pages, so that there are several.
        let limit = min(try value(body["limit"], Int.self), 7)
        let first = body["offset"] as? String ?? ""
        let found = try collection.points.filter { try $0.key >= first && matches(filter, $0.value.payload) }
            .sorted { $0.key < $1.key }
        let page = found.prefix(limit).map { id, point in
            ["id": id, "payload": point.payload.filter { fields.contains($0.key) }] as Object
        }
        return ["points": page, "next_page_offset": found.count > limit ? found[limit].key : NSNull()]
    }

    private static func query(_ search: Object, _ collection: Collection) throws -> [Object] {
        try allow(["query", "filter", "limit", "with_payload"], search)
        let filter = try value(search["filter"], Object.self)
        let asked = try vector(search["query"], collection)
        let scored = try collection.points.filter { try matches(filter, $0.value.payload) }.map { id, point in
            (id, zip(asked, point.vector).reduce(Float(0)) { $0 + $1.0 * $1.1 }, point.payload)
        }
        return scored.sorted { $0.1 > $1.1 }.prefix(try value(search["limit"], Int.self)).map { id, score, payload in
            ["id": id, "version": 3, "score": score, "payload": payload]
        }
    }

    /// As long as one: Qdrant scales what is compared by `Cosine` when it comes.
    private static func vector(_ any: Any?, _ collection: Collection) throws -> [Float] {
        let numbers = try value(any, [NSNumber].self).map(\.floatValue)
        guard numbers.count == collection.size else {
            throw Refusal(
                status: 400,
                words: "Wrong input: Vector dimension error: expected dim: \(collection.size), got \(numbers.count)")
        }
        let length = numbers.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? numbers.map { $0 / length } : numbers
    }

    // MARK: - Filters

    private static func matches(_ filter: Object, _ payload: Object) throws -> Bool {
        try allow(["must", "must_not", "should"], filter)
        func conditions(_ key: String) throws -> [Object] { try filter[key].map { try value($0, [Object].self) } ?? [] }
        let should = try conditions("should")
        return try conditions("must").allSatisfy { try holds($0, payload) }
            && conditions("must_not").allSatisfy { try !holds($0, payload) }
            && (should.isEmpty || should.contains { try holds($0, payload) })
    }

    private static func holds(_ condition: Object, _ payload: Object) throws -> Bool {
        if let empty = condition["is_empty"] as? Object {
            let held = payload[try value(empty["key"], String.self)]
            return held == nil || held is NSNull || (held as? [Any])?.isEmpty == true
        }
        guard let key = condition["key"] as? String else { return try matches(condition, payload) }
        let held = payload[key] as? [Any] ?? payload[key].map { [$0] } ?? []
        if let match = condition["match"] as? Object {
            guard let wanted = match["value"] as? NSObject else { throw Refusal(status: 400, words: "match") }
            return held.contains { ($0 as? NSObject) == wanted }
        }
        let range = try value(condition["range"], [String: Int].self)
        return held.contains { element in
            guard let number = element as? Int else { return false }
            return range.allSatisfy { comparison, bound in
                switch comparison {
                case "gt": number > bound
                case "gte": number >= bound
                case "lte": number <= bound
                default: false
                }
            }
        }
    }

    private static func allow(_ keys: Set<String>, _ object: Object) throws {
        guard let odd = object.keys.first(where: { !keys.contains($0) }) else { return }
        throw Refusal(status: 400, words: "Format error in JSON body: unknown field `\(odd)`")
    }

    private static func value<T>(_ any: Any?, _ type: T.Type) throws -> T {
        guard let value = any as? T else { throw Refusal(status: 400, words: "Format error in JSON body: \(type)") }
        return value
    }
}
