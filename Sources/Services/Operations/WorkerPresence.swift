import ParleyJSON
import ParleyRedis
import Topology

/// What a living worker says of itself. Any member may be missing: the worker may be of another version.
package struct WorkerPresence: Sendable {
    private let json: JSONElement
    /// It has not said for seconds that it lives: it is dead, or stands still, and is forgotten soon. What it held is
    /// counted by the broker, if it is dead.
    package let isSilent: Bool

    /// A worker says it each second, for five (`RedisResults.pulse`).
    private static let silence = 2500

    /// - Parameter left: milliseconds that the sign of life is still kept; nil when Redis does not say.
    init?(_ bytes: [UInt8], left: Int? = nil) {
        // An empty object is a sign of life, and no more: the worker is about to say who it is.
        guard let root = try? JSONDocument(bytes).root, root.kind == .object, root.count > 0 else { return nil }
        json = root
        isSilent = left.map { (0..<Self.silence).contains($0) } ?? false
    }

    package var host: String? { json["host"]?.string }
    package var pid: Int? { json["pid"]?.int }
    package var version: String? { json["version"]?.string }
    /// `working`, `paused` or `draining`; `silent` when it has said nothing for seconds.
    package var state: String? { isSilent ? "silent" : json["state"]?.string }
    /// RFC 3339.
    package var started: String? { json["started"]?.string }
    /// The job queue.
    package var queue: String? { json["queue"]?.string }
    /// Services that it waits for.
    package var away: [String] { json["away"]?.elements.compactMap(\.string) ?? [] }
    package var inFlight: Int? { json["in_flight"]?.int }
    /// Jobs settled since the start.
    package var jobs: Int? { json["jobs"]?.int }
    /// Jobs a second, lately.
    package var rate: Double? { json["rate"]?.double }

    /// The presence as the worker wrote it, on one line, but for the state of one that is silent.
    package func write(to json: inout JSONWriter) {
        guard isSilent else { return json.value(self.json) }
        json.object {
            for (name, value) in self.json.members where name != "state" {
                $0.key(named: name)
                $0.value(value)
            }
            $0.member("state", state)
        }
    }

    /// Those of all living workers, by host and pid.
    static func read(_ client: RedisClient, _ keys: RedisKeys) async throws(RedisError) -> [WorkerPresence] {
        var names: Set<[UInt8]> = []
        var cursor = "0"
        repeat {
            let page = try await client.send(
                RedisCommand("SCAN", cursor, "MATCH", keys.worker("*"), "COUNT", 1000)
            ).get().array
            cursor = page?.first?.string ?? "0"
            for name in page?.last?.array ?? [] { if let bytes = name.bytes { names.insert(bytes) } }
        } while cursor != "0"
        guard !names.isEmpty else { return [] }
        let values = try await client.send(names.map { RedisCommand(arguments: [Array("GET".utf8), $0]) })
        // After the values: what has come anew meanwhile is no silence. A user without the right to it is told nothing.
        let lives = try await client.send(names.map { RedisCommand(arguments: [Array("PTTL".utf8), $0]) })
        return zip(values, lives).compactMap { value, life in
            value.bytes.flatMap { WorkerPresence($0, left: life.int.map { Int(clamping: $0) }) }
        }
        .sorted { ($0.host ?? "", $0.pid ?? 0) < ($1.host ?? "", $1.pid ?? 0) }
    }
}
