/// A Lua script, run on the server in one step.
///
/// It travels as the digest by which the server knows it (`EVALSHA`) once that is known: the first call carries the source
/// (`EVAL`), and a `SCRIPT LOAD` behind it asks for the digest. The source follows again when the server answers that it
/// does not know the script (after a restart, or `SCRIPT FLUSH`), and always where `SCRIPT LOAD` is not allowed.
package struct RedisScript: Sendable, Hashable {
    package let source: String
    let bytes: [UInt8]
    /// Of the source, which is long.
    private let hash: Int

    package init(_ source: String) {
        self.source = source
        bytes = Array(source.utf8)
        hash = source.hashValue
    }

    package static func == (a: RedisScript, b: RedisScript) -> Bool { a.hash == b.hash && a.source == b.source }
    package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}

/// What the server at the other end of a connection calls scripts.
struct ScriptDigests {
    private var known: [RedisScript: [UInt8]] = [:]
    /// Asked for, without an answer yet or in vain.
    private var asked: Set<RedisScript> = []
    /// Scripts are constants of a program; whoever makes them up as they go pays for it with their source.
    private static let most = 1000

    subscript(script: RedisScript) -> [UInt8]? { known[script] }

    /// Whether the server should be asked now. True once.
    mutating func shouldAsk(_ script: RedisScript) -> Bool {
        guard known[script] == nil, known.count + asked.count < Self.most else { return false }
        return asked.insert(script).inserted
    }

    /// What the server answered to `SCRIPT LOAD`; a refusal leaves the script to travel as its source.
    mutating func answered(_ script: RedisScript, _ answer: RedisValue) {
        guard let digest = answer.bytes, digest.count == 40, digest.allSatisfy(Self.isHexadecimal) else { return }
        asked.remove(script)
        known[script] = digest
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }
}
